"""The stacks of app.py, built as the CDK command line builds them: snapshots, functions, what stays, cdk-nag."""

import json
import re
import uuid
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_lambda, aws_s3
from cdk_nag import AwsSolutionsChecks, NagPack, NIST80053R5Checks, ServerlessChecks
from constructs import IConstruct

from kms_patterns.local import LocalAws
from kms_patterns.local.server.stacks.resource_types import TYPES
from stacks import discovered
from tests.contract.lifecycle import created, documented, refusal
from tests.contract.templates import documents, faults, unsupported
from tests.synthesis import reference_app as reference

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def templates(reference_app: cdk.App) -> dict[str, dict[str, Any]]:
    """The synthesized template of each stack."""
    return {stack.stack_name: stack.template for stack in reference_app.synth().stacks}


Templates = dict[str, dict[str, Any]]
EMPTIES = "Custom::S3AutoDeleteObjects"
STACKS = [stack.NAME for stack in discovered()]
KEEPS_DATA = {"AWS::KMS::Key", "AWS::S3::Bucket", "AWS::DynamoDB::GlobalTable", "AWS::Logs::LogGroup"}


@pytest.mark.parametrize("name", STACKS)
def test_stack_matches_its_snapshot(
    name: str, templates: Templates, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(templates[name])


def test_app_has_one_stack_per_module_and_each_tells_callers_what_it_made(templates: Templates) -> None:
    modules = {path.stem for path in (ROOT / "stacks").glob("*.py")} - {"__init__"}
    assert {stack.__module__ for stack in discovered()} == {f"stacks.{module}" for module in modules}
    assert sorted(templates) == sorted(STACKS)
    assert [name for name, template in templates.items() if not template.get("Outputs")] == []


def test_no_stack_deploys_a_custom_resource_or_a_function_that_is_not_ours(templates: Templates) -> None:
    resources = [item for template in templates.values() for item in template["Resources"].values()]
    assert [item["Type"] for item in resources if "Custom" in item["Type"]] == []
    assert [name for name in sorted(handlers(templates)) if not callable(function_of(name))] == []


HANDLERS = {path.stem for path in (ROOT / "lambda" / "kms_runtime" / "handlers").glob("*.py")} & {
    path.stem for path in (ROOT / "constructs" / "kms_patterns" / "patterns").glob("[!_]*.py")
}


# KeyGrant is in no stack of the reference app: tests/end_to_end/apps deploys it.
@pytest.mark.parametrize("name", sorted(HANDLERS - {"key_grant"}))
def test_handler_of_the_data_plane_is_deployed(name: str, templates: Templates) -> None:
    assert f"kms_runtime.handlers.{name}" in {handler.rpartition(".")[0] for handler in handlers(templates)}


def handlers(templates: Templates) -> set[str]:
    return {function["Handler"] for function in functions(templates.values())}


def functions(found: Any) -> list[dict[str, Any]]:
    resources = [item for template in found for item in template["Resources"].values()]
    return [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]


def function_of(handler: str) -> object:
    module, _, name = handler.rpartition(".")
    assert module.startswith("kms_runtime.handlers.")
    return getattr(import_module(module), name)


def test_data_outlives_its_stack_by_default(templates: Templates) -> None:
    resources = [item for template in templates.values() for item in template["Resources"].values()]
    policies = {(item["Type"], item["DeletionPolicy"]) for item in resources if item["Type"] in KEEPS_DATA}
    ours = {"AWS::KMS::Key", "AWS::S3::Bucket"}
    assert policies == {(kind, "RetainExceptOnCreate" if kind in ours else "Retain") for kind in KEEPS_DATA}


def test_nothing_that_stays_has_a_name_that_the_next_deployment_of_its_stack_would_need(templates: Templates) -> None:
    resources = [item for template in templates.values() for item in template["Resources"].values()]
    stays = [item for item in resources if item.get("DeletionPolicy", "Delete") != "Delete"]
    names = {name for item in stays for name in item.get("Properties", {}) if name.endswith("Name")}
    assert (len(stays) > len(STACKS), names) == (True, set())


@pytest.fixture(scope="session")
def ephemeral_on_x86() -> cdk.App:
    """The app as one throws it away, for other processors, and without any acknowledgement."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cdk.Validations, "acknowledge", lambda *_: None)
        app = reference(context={"kms-patterns:lifecycle": "ephemeral", "kms-patterns:platform": "x86_64"})
        app.synth()
    return app


@pytest.fixture(scope="session")
def ephemeral_templates(ephemeral_on_x86: cdk.App) -> Templates:
    return {stack.stack_name: stack.template for stack in ephemeral_on_x86.synth().stacks}


def test_ephemeral_context_deletes_everything_with_its_stack(ephemeral_templates: Templates) -> None:
    resources = [item for template in ephemeral_templates.values() for item in template["Resources"].values()]
    assert [item for item in resources if item.get("DeletionPolicy", "Delete") != "Delete"] == []
    buckets = [item for item in resources if item["Type"] == "AWS::S3::Bucket"]
    assert [item["Type"] for item in resources if "Custom" in item["Type"]] == [EMPTIES] * len(buckets)


def test_stacks_that_the_region_cannot_take_are_left_out_with_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-central-2")
    app = reference()
    names = ("CodeSigning", "Hpke", "PublicKey", "RsaEnvelope", "Signing", "Tokens")
    with_urls = {f"KmsPatterns-{name}" for name in names}
    built = {child.stack_name for child in app.node.children if isinstance(child, cdk.Stack)}
    assert built == {*STACKS} - with_urls
    notices = [entry.data for entry in app.node.metadata if entry.type == "aws:cdk:info"]
    assert sorted(str(notice).partition(" is left out: ")[0] for notice in notices) == sorted(with_urls)


def test_platform_context_reaches_every_function(ephemeral_templates: Templates, templates: Templates) -> None:
    found = [item for item in functions(ephemeral_templates.values()) if item["Handler"] in handlers(templates)]
    assert len(found) == len(functions(templates.values())) > 0
    assert {tuple(function["Architectures"]) for function in found} == {("x86_64",)}
    assert len({function["Code"]["S3Key"] for function in found}) == 1


ACKNOWLEDGED = "aws:cdk:acknowledged-rules"
PACKS = [AwsSolutionsChecks, NIST80053R5Checks, ServerlessChecks]
Pack = Callable[[IConstruct], NagPack]


def findings(pack: Pack, scope: IConstruct) -> dict[str, list[str]]:
    """Finding id to the paths of the resources."""
    result = pack(scope).validate_scope(scope)  # type: ignore[attr-defined]
    return {
        violation.rule_name: [resource.construct_path for resource in violation.violating_resources]
        for violation in result.violations
    }


def acknowledgements(app: cdk.App) -> list[tuple[str, str, str]]:
    """Path, finding id and reason of every acknowledgement, as the assembly tells them."""
    told = [json.loads(file.read_text()) for file in Path(app.synth().directory).glob("*.metadata.json")]
    return [
        (path.removeprefix("/"), finding.removeprefix("Annotation::"), reason)
        for of_stack in told
        for path, entries in of_stack.items()
        for entry in entries
        if entry["type"] == ACKNOWLEDGED
        for finding, reason in entry["data"].items()
    ]


@pytest.mark.parametrize("pack", PACKS)
def test_every_finding_on_the_reference_app_is_acknowledged(pack: Pack, reference_app: cdk.App) -> None:
    assert findings(pack, reference_app) == {}


def test_no_acknowledgement_covers_a_stack_or_lacks_a_reason(reference_app: cdk.App) -> None:
    wide = {stack.hierarchical_id for stack in reference_app.synth().stacks}
    found = acknowledgements(reference_app)
    assert len(found) > 100
    assert [entry for entry in found if entry[0] in wide] == []
    # The metadata of the app itself is in no file of a stack.
    assert [entry.data for entry in reference_app.node.metadata if entry.type == ACKNOWLEDGED] == []
    assert [entry for entry in found if len(entry[2]) < 30] == []


def test_every_acknowledgement_answers_a_finding_of_its_own_construct(
    reference_app: cdk.App, ephemeral_on_x86: cdk.App
) -> None:
    found = acknowledgements(reference_app)
    silent = ephemeral_on_x86
    assert acknowledgements(silent) == []
    bare = {finding: paths for pack in PACKS for finding, paths in findings(pack, silent).items()}
    stale = [
        (path, finding)
        for path, finding, _ in found
        if not any(f"{resource}/".startswith(f"{path}/") for resource in bare.get(finding, []))
    ]
    assert stale == []


@pytest.mark.parametrize(
    ("pack", "finding"),
    [
        (AwsSolutionsChecks, "AwsSolutions-S10"),
        (AwsSolutionsChecks, "AwsSolutions-L1"),
        (AwsSolutionsChecks, "AwsSolutions-IAM5[Action::kms:*]"),
        (NIST80053R5Checks, "NIST.800.53.R5-S3DefaultEncryptionKMS"),
        (NIST80053R5Checks, "NIST.800.53.R5-LambdaDLQ"),
        (ServerlessChecks, "Serverless-LambdaDLQ"),
    ],
)
def test_plain_twin_is_flagged(pack: Pack, finding: str) -> None:
    assert finding in findings(pack, plain_twin())


def test_cdk_nag_is_no_dependency_of_the_library() -> None:
    sources = [ROOT / "app.py", *(ROOT / "constructs").rglob("*.py")]
    assert [path.name for path in sources if re.search(r"^\s*(import|from) cdk_nag", path.read_text(), re.M)] == []


def plain_twin() -> cdk.Stack:
    """What the library replaces, as written without it."""
    stack = cdk.Stack(cdk.App(), "Twin")
    aws_s3.Bucket(stack, "Bucket")
    function = aws_lambda.Function(
        stack,
        "Function",
        runtime=aws_lambda.Runtime.PYTHON_3_9,
        handler="index.handler",
        code=aws_lambda.Code.from_inline("def handler(event, context): pass"),
    )
    function.add_to_role_policy(aws_iam.PolicyStatement(actions=["kms:*"], resources=["*"]))
    return stack


# What AWS would refuse of the templates, known without an account; and who may deploy them.
@pytest.fixture(scope="session")
def deployment_page() -> ModuleType:
    """The script that writes the figures of docs/deployment.md."""
    spec = spec_from_file_location("write_deployment", ROOT / "docs" / "write_deployment.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_aws_would_refuse_nothing_of_the_templates_that_is_known_without_an_account(reference_app: cdk.App) -> None:
    assert faults(Path(reference_app.synth().directory)) == []


@pytest.mark.parametrize(
    ("action", "key"), [("s3:GetObject", "kms:ViaService"), ("kms:CreateKey", "kms:GrantOperations"),
                        ("kms:Decryp*", "kms:GrantOperations")]
)  # fmt: skip
def test_condition_key_that_an_action_lacks_would_be_found(action: str, key: str) -> None:
    assert list(unsupported({"Action": action, "Condition": {"StringEquals": {key: "x"}}}))
    assert not list(unsupported({"Action": action, "Condition": {"StringEquals": {"aws:PrincipalArn": "x"}}}))
    for unknown in ("kms:Unlock", "kms:Unlock*"):
        assert list(unsupported({"Action": unknown})) == [f"no action {unknown}"]


def test_property_that_the_schema_refuses_and_policy_over_its_limit_would_be_found(tmp_path: Path) -> None:
    app = cdk.App(builtin_cloud_formation_validation=True, outdir=str(tmp_path))
    stack = cdk.Stack(app, "Wrong")
    cdk.CfnResource(stack, "Key", type="AWS::KMS::Key", properties={"KeySpec": "RSA_1024", "KeyPolicy": {}})
    statement = {"Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "x" * 33_000}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    cdk.CfnResource(stack, "Large", type="AWS::KMS::Key", properties={"KeyPolicy": document})
    both = {"Version": "2012-10-17", "Statement": [{**statement, "Principal": "*", "Resource": "x" * 5_200}]}
    for name in ("One", "Two"):
        inline = {"PolicyName": name, "Roles": ["same"], "PolicyDocument": both}
        cdk.CfnResource(stack, name, type="AWS::IAM::Policy", properties=inline)
    app.synth()
    found = "\n".join(faults(tmp_path))
    assert "RSA_1024" in found
    assert "Wrong/Large: 33,1" in found
    assert "Wrong/One: 10,6" in found, "inline policies of a role count together"


def test_no_policy_is_over_half_of_its_limit(templates: Templates) -> None:
    sizes = [size / limit for template in templates.values() for _place, size, limit, _ in documents(template)]
    assert len(sizes) > 100
    assert [size for size in sizes if size > 0.5] == []


def test_the_page_on_deployment_is_as_written(templates: Templates, deployment_page: ModuleType) -> None:
    page = deployment_page.PAGE.read_text(encoding="utf-8")
    assert deployment_page.written(page, deployment_page.parts(templates)) == page, "make docs"


def test_cost_of_a_stack_counts_its_keys_rotations_alarms_and_dashboard(deployment_page: ModuleType) -> None:
    kinds = [("AWS::KMS::Key", {"EnableKeyRotation": True}), ("AWS::KMS::Key", {"KeySpec": "ECC_NIST_P256"}),
             ("AWS::CloudWatch::Alarm", {}), ("AWS::CloudWatch::Dashboard", {}), ("AWS::S3::Bucket", {})]  # fmt: skip
    resources = {str(number): {"Type": kind, "Properties": found} for number, (kind, found) in enumerate(kinds)}
    table = deployment_page.costs({"One": {"Resources": resources}})
    assert "| One | 2 | 5.1 | 7.1 | 3 or 15 | 0 | 1 |" in table.splitlines()


def test_the_embedded_aws_asks_for_no_permission_that_the_schemas_do_not_name(deployment_page: ModuleType) -> None:
    known = json.loads(deployment_page.PERMISSIONS.read_text(encoding="utf-8"))
    asked = {}
    assert known.keys() - TYPES.keys() == {"AWS::IAM::Policy", "AWS::KMS::Alias", "AWS::KMS::Key"}
    for kind in known.keys() & TYPES.keys():
        row, service = TYPES[kind], kind.split("::")[1].lower()
        service = deployment_page._PREFIXES.get(service, service)
        names = {*row.create, *row.delete, *row.properties.values()}
        asked[kind] = {f"{service}:{name}" for name in names} - set(known[kind])
    assert {kind: more for kind, more in asked.items() if more} == {}


WITHOUT_FUNCTIONS = [
    ("KmsPatterns-KeyWatch", ["sns:CreateTopic", "events:PutTargets", "logs:PutResourcePolicy"]),
    ("KmsPatterns-S3", ["kms:PutKeyPolicy", "iam:PutRolePolicy", "s3:PutBucketPolicy"]),
]


@pytest.mark.parametrize(
    ("stack", "removed"), [(stack, action) for stack, actions in WITHOUT_FUNCTIONS for action in (None, *actions)]
)
def test_stack_is_deployed_with_the_documented_permissions_and_not_without_one(
    stack: str, removed: str | None, templates: Templates, aws: LocalAws
) -> None:
    """``make contract-deploy STACKS=all REMOVALS=5`` does so with each stack, with functions also."""
    template = {"Resources": templates[stack]["Resources"]}
    allowed = [action for action in documented([template]) if action != removed]
    name = f"Least{uuid.uuid4().hex[:8]}"
    body = json.dumps(template).replace(f"alias/{stack}", f"alias/{name}")
    body = body.replace(f'"{stack.replace("-", "")}Recording', f'"{name}Recording')
    reasons = created(aws, name, body, allowed)
    assert (refusal(removed) in reasons) if removed else reasons == ""
