"""cdk-nag's AwsSolutions, NIST 800-53 R5 and Serverless packs over the reference app."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_lambda, aws_s3
from cdk_nag import AwsSolutionsChecks, NagPack, NIST80053R5Checks, ServerlessChecks
from constructs import IConstruct

ROOT = Path(__file__).parents[3]
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


def acknowledgements(scope: IConstruct) -> list[tuple[str, str, str]]:
    """Path, finding id and reason of every acknowledgement below ``scope``."""
    return [
        (construct.node.path, finding.removeprefix("Annotation::"), reason)
        for construct in scope.node.find_all()
        for entry in construct.node.metadata
        if entry.type == ACKNOWLEDGED
        for finding, reason in entry.data.items()
    ]


@pytest.mark.parametrize("pack", PACKS)
def test_every_finding_on_the_reference_app_is_acknowledged(pack: Pack, reference_app: cdk.App) -> None:
    assert findings(pack, reference_app) == {}


def test_no_acknowledgement_covers_a_stack_or_lacks_a_reason(reference_app: cdk.App) -> None:
    wide = {"", *(stack.node.path for stack in reference_app.node.find_all() if cdk.Stack.is_stack(stack))}
    found = acknowledgements(reference_app)
    assert [entry for entry in found if entry[0] in wide] == []
    assert [entry for entry in found if len(entry[2]) < 30] == []


def test_every_acknowledgement_answers_a_finding_of_its_own_construct(
    reference_app: cdk.App, build: Callable[..., cdk.App], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = acknowledgements(reference_app)
    monkeypatch.setattr(cdk.Validations, "acknowledge", lambda *_: None)
    silent = build()
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


def test_cdk_nag_is_no_dependency_of_the_library(app_module: ModuleType) -> None:
    sources = [Path(str(app_module.__file__)), *(ROOT / "constructs").rglob("*.py")]
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
