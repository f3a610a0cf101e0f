"""Assertions and least privilege of our patterns and of the CDK's grants; a solver of other authors finds the same."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import cfn_policy_validator
import pytest
import z3
from cfn_policy_validator import client
from iamprover.engine.context import Context
from iamprover.engine.encoder import allowed, encode_conditions, statement_matches
from iamprover.model import Principal as Plain
from iamprover.model import Statement
from iamprover.parsers.iam import parse_conditions, parse_policy_document

from kms_patterns.access import AccessMatrix
from kms_patterns.access.baseline import NotABaseline, read_baseline
from kms_patterns.access.evaluate.access_conditions import from_block
from kms_patterns.access.evaluate.action_catalogue import USE_OF_KEY
from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.evaluate.widening import Change, Judge
from kms_patterns.access.findings import RULES, allowing, as_list, violations
from kms_patterns.access.model import Model, Policy, Principal, PrincipalKind, Resource, ResourceKind
from kms_patterns.access.project import app_command
from kms_patterns.access.questions.filters import filtered
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.report.matrix_json import NotAMatrix, write
from kms_patterns.policy.actions import S3_CONFIGURATION
from tests.access.minimality.trial import STACKS, access_of

VIA_S3 = {"kms:ViaService": "s3.<region>.amazonaws.com"}
BUCKET = "arn:aws:s3:::<KmsPatterns-S3/Bucket>"
CONTEXT = {"kms:EncryptionContext:aws:s3:arn": [BUCKET, f"{BUCKET}/*"]}
ACCOUNT_ROOT = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}
DOCUMENTS = {"StringEquals": VIA_S3, "StringLike": CONTEXT}


@pytest.fixture
def reference(matrix: Callable[[str], AccessMatrix]) -> AccessMatrix:
    return matrix("app")


@pytest.fixture
def convenient(matrix: Callable[[str], AccessMatrix]) -> AccessMatrix:
    return matrix("convenient_grants")


def test_exact_access_passes(reference: AccessMatrix) -> None:
    reference.assert_only("DownloaderRole", "KmsPatterns-S3/Key", {"kms:Decrypt": DOCUMENTS})


def test_equivalent_condition_passes(reference: AccessMatrix) -> None:
    by_pattern = {"StringLike": {**VIA_S3, **CONTEXT}}
    reference.assert_only("DownloaderRole", "KmsPatterns-S3/Key", {"kms:Decrypt": by_pattern})


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"kms:Decrypt": None}, "kms:Decrypt: expected always, reachable when .* [(]narrowed[)]"),
        ({"kms:Decrypt": {"StringEquals": VIA_S3}}, "kms:Decrypt: expected when .* [(]narrowed[)]"),
        ({"kms:Decrypt": DOCUMENTS, "kms:Encrypt": None}, "missing: kms:Encrypt always"),
        ({}, "unexpected: kms:Decrypt when"),
    ],
)
def test_any_difference_fails(reference: AccessMatrix, expected: dict[str, None], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        reference.assert_only("DownloaderRole", "KmsPatterns-S3/Key", expected)


def test_nobody_else_uses_the_key(reference: AccessMatrix) -> None:
    ciphers = ["KmsPatterns-Secrets/Cipher/Encrypt/Role", "KmsPatterns-Secrets/Cipher/Decrypt/Role"]
    tenants = ["KmsPatterns-Secrets/BlueRole", "KmsPatterns-Secrets/RedRole"]
    reference.assert_nobody_else("KmsPatterns-Secrets/Key", [*ciphers, *tenants])
    with pytest.raises(AssertionError, match="role KmsPatterns-Secrets/Cipher/Decrypt/Role: kms:Decrypt when"):
        reference.assert_nobody_else("KmsPatterns-Secrets/Key", [*ciphers[:1], *tenants])


DEPLOYER = "arn:aws:iam::<account>:role/cdk-hnb659fds-cfn-exec-role-<account>-<region>"
"""The role that the bucket's Denies spare: with permissions in IAM it reaches the bucket, and no key."""


def test_nobody_else_touches_the_objects(reference: AccessMatrix) -> None:
    named = [DEPLOYER, "UploaderRole", "ReadWriteRole"]
    reference.assert_nobody_else("KmsPatterns-S3/Bucket", [*named, "DownloaderRole"])
    with pytest.raises(AssertionError, match="s3:GetObject"):
        reference.assert_nobody_else("KmsPatterns-S3/Bucket", named)


DEPLOYER = "arn:aws:iam::<account>:role/cdk-hnb659fds-cfn-exec-role-<account>-<region>"
"""CloudFormation's role, which a key policy of the Bulk stack names: its own policies are not in the assembly."""


def test_only_the_reader_decrypts_by_the_function(reference: AccessMatrix) -> None:
    administrators = ["account administrator", "any other role", DEPLOYER]
    function = "KmsPatterns-Secrets/Cipher/Decrypt/Function"
    reference.assert_nobody_else(
        function, ["KmsPatterns-Secrets/ReaderRole", *administrators], actions=["lambda:InvokeFunction"]
    )
    with pytest.raises(AssertionError, match="ReaderRole: lambda:InvokeFunction always"):
        reference.assert_nobody_else(function, administrators, actions=["lambda:InvokeFunction"])


def test_assertion_that_would_pass_for_everyone_is_an_error(reference: AccessMatrix) -> None:
    key, function = "KmsPatterns-Secrets/Key", "KmsPatterns-Secrets/Cipher/Decrypt/Function"
    for actions in (["kms:Decyrpt"], ["s3:GetObject"], ["kms:*"]):
        with pytest.raises(KeyError, match="is not an action on a key"):
            reference.assert_nobody_else(key, actions=actions)
    with pytest.raises(KeyError, match="actions is empty"):
        reference.assert_nobody_else(key, actions=[])
    with pytest.raises(AssertionError, match="kms:Decrypt"):
        reference.assert_nobody_else(key, actions=["KMS:decrypt"])
    with pytest.raises(AssertionError, match="ReaderRole: lambda:InvokeFunction always"):
        reference.assert_nobody_else(function)
    reference.assert_nobody_else(function, ["KmsPatterns-Secrets/ReaderRole", DEPLOYER])
    with pytest.raises(KeyError, match="not a key"):
        reference.assert_administrator_cannot_use(function)
    with pytest.raises(NotAMatrix, match="holds only --principal ReaderRole"):
        AccessMatrix.from_json(write(filtered(reference, principals=["ReaderRole"])))


def test_administrator_assumes_a_role_that_trusts_the_account(template: Callable[..., Path]) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT_ROOT}, "Action": "sts:AssumeRole"}
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [trust]}}}
    with pytest.raises(AssertionError, match="account administrator"):
        AccessMatrix.from_assembly(template(Role=role), project=ROOT).assert_nobody_else("Role")


@pytest.mark.parametrize("stack", ["S3", "Secrets", "Envelope"])
def test_administrator_cannot_use_our_keys(reference: AccessMatrix, stack: str) -> None:
    reference.assert_administrator_cannot_use(f"KmsPatterns-{stack}/Key")


def test_administrator_uses_a_key_under_the_cdks_default_policy(convenient: AccessMatrix) -> None:
    with pytest.raises(AssertionError, match=r"account administrator.*: kms:Decrypt always"):
        convenient.assert_administrator_cannot_use("Data/Key")


def test_unknown_name_lists_what_there_is(reference: AccessMatrix) -> None:
    with pytest.raises(KeyError, match="KmsPatterns-S3/Key"):
        reference.assert_administrator_cannot_use("Kye")
    with pytest.raises(KeyError, match=r"'Key' is several: .*KmsPatterns-S3/Key"):
        reference.assert_administrator_cannot_use("Key")
    with pytest.raises(KeyError, match="no stack 'Nowhere'"):
        reference.of_stack("Nowhere")


ROOT = Path(__file__).parents[2]
APP = """
import aws_cdk as cdk
from aws_cdk import aws_iam as iam, aws_kms as kms
from kms_patterns import EncryptionKey
from kms_patterns.access.least_privilege import LeastPrivilege

app = cdk.App()
stack = cdk.Stack(app, "Stack")
role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
{body}
cdk.Validations.of(app).add_plugins(LeastPrivilege(project={project!r}))
app.synth()
"""


def synthesize(body: str, folder: Path) -> tuple[int, Counter[str]]:
    script = folder / "app.py"
    script.write_text(APP.format(body=body, project=str(ROOT)))
    _, context = app_command(ROOT)
    environment = {**os.environ, "CDK_OUTDIR": str(folder / "cdk.out"), "CDK_CONTEXT_JSON": context}
    environment["CDK_VALIDATION"] = "false"  # that by AWS's schemas; the plugin stays
    done = subprocess.run(
        [shutil.which("python") or "python", script], env=environment, capture_output=True, check=False
    )
    reported = folder / "cdk.out" / "validation-report.json"
    report = json.loads(reported.read_text())["pluginReports"] if reported.exists() else []
    rules = [
        violation["ruleName"]
        for plugin in report
        if "LeastPrivilege" in json.dumps(plugin)
        for violation in plugin["violations"]
    ]
    return done.returncode, Counter(rules)


def test_our_key_passes(tmp_path: Path) -> None:
    assert synthesize('EncryptionKey(stack, "Key").grant_decrypt(role)', tmp_path) == (0, Counter())


def test_cdks_default_key_is_refused(tmp_path: Path) -> None:
    code, rules = synthesize('kms.Key(stack, "Key").grant_decrypt(role)', tmp_path)
    assert code != 0
    assert set(rules) == {"AdministratorUsesKey", "WildcardOnKey"}


def test_ours_have_no_violation(our_app: str, evaluated: Callable[[str], Any]) -> None:
    assert violations(*evaluated(our_app)) == []


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (
            "convenient_grants",
            {
                ("AdministratorUsesKey", "Data"),
                ("WildcardOnKey", "Data"),
                ("WildcardOnKey", "Service"),
            },
        ),
        (
            "wildcards",
            {("AdministratorUsesKey", "Wildcards"), ("WildcardOnKey", "Wildcards")},
        ),
    ],
)
def test_excess_of_other_apps_is_named(
    app: str, expected: set[tuple[str, str]], evaluated: Callable[[str], Any]
) -> None:
    assert {(item.rule, item.stack) for item in violations(*evaluated(app))} == expected


def test_void_grant_is_named(
    template_alone: Callable[[str], dict[str, Any]], running: Simulator, tmp_path: Path
) -> None:
    template = template_alone("KmsPatterns-S3")
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::KMS::Key":
            kept = [item for item in resource["Properties"]["KeyPolicy"]["Statement"] if "Downloader" not in str(item)]
            resource["Properties"]["KeyPolicy"]["Statement"] = kept
    path = tmp_path / "KmsPatterns-S3.template.json"
    path.write_text(json.dumps(template))
    model = read_model(path)
    found = violations(model, evaluate(model, running))
    assert [(item.rule, item.detail) for item in found] == [
        ("VoidGrant", "role KmsPatterns-S3/DownloaderRole cannot kms:Decrypt with KmsPatterns-S3/Key")
    ]


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ({"NotAction": "iam:*", "Resource": "*"}, "all but iam:*"),
        ({"NotAction": ["kms:Create*"], "NotResource": "arn:aws:s3:::b"}, "all but kms:Create*"),
        ({"Action": "kms:Decryp?", "Resource": "*"}, "kms:Decryp?"),
        ({"Action": "kms:Decrypt", "NotResource": "arn:aws:s3:::b"}, "kms:Decrypt on all but arn:aws:s3:::b"),
        ({"NotAction": "kms:*", "Resource": "*"}, None),
        ({"Action": "kms:Decrypt", "NotResource": "*"}, None),
        ({"Action": "kms:List*", "Resource": "*"}, None),
    ],
)
def test_wildcard_in_any_form_is_named(
    statement: dict[str, object], detail: str | None, running: Simulator, tmp_path: Path
) -> None:
    policy = {"PolicyName": "p", "PolicyDocument": {"Statement": [{"Effect": "Allow", **statement}]}}
    trust: dict[str, object] = {"Statement": []}
    resources = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": []}}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust, "Policies": [policy]}},
    }
    path = tmp_path / "Stack.template.json"
    path.write_text(json.dumps({"Resources": resources}))
    model = read_model(path)
    found = [item for item in violations(model, evaluate(model, running)) if item.rule == "WildcardOnKey"]
    assert [item.detail.partition(": ")[2] for item in found] == ([detail] if detail else [])


@pytest.mark.parametrize(("policy", "wide"), [("AdministratorAccess", True), ("AmazonS3ReadOnlyAccess", False)])
def test_wildcard_of_an_aws_managed_policy_is_named_at_its_role(
    policy: str, wide: bool, template: Callable[..., Path], running: Simulator
) -> None:
    role = {"AssumeRolePolicyDocument": {"Statement": []}, "ManagedPolicyArns": [f"arn:aws:iam::aws:policy/{policy}"]}
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": []}}}
    model = read_model(template(Key=key, Role={"Type": "AWS::IAM::Role", "Properties": role}))
    found = [(item.rule, item.logical_id) for item in violations(model, evaluate(model, running))]
    assert found == ([("WildcardOnKey", "Role")] if wide else [])


ENTRY = "[[finding]]\nrule = 'r'\nresource = 's'\ndetail = 'd'\nfingerprint = 'f'\nowner = 'o'\nreason = 'r'\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[finding]]\nrule = 1", "must have rule, resource, detail, fingerprint, owner, reason, expires"),
        ("finding = 3", "only [[finding]] entries"),
        ("ignore = ['*']", "only [[finding]] entries"),
        ("nonsense", "not TOML in UTF-8"),
        (f"{ENTRY}expires = '2027-01-31'", "expires '2027-01-31' is not a date"),
        (f"{ENTRY}expires = 2027-01-31T00:00:00", "is not a date"),
        (f"{ENTRY}expires = 2027-01-31\n{ENTRY}expires = 2028-01-31", "entry 2 has the fingerprint of an entry before"),
    ],
)
def test_baseline_that_says_too_little_or_too_much_is_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "baseline.toml"
    file.write_text(text)
    with pytest.raises(NotABaseline, match=re.escape(said)):
        read_baseline(file)


def test_every_rule_says_what_to_do() -> None:
    assert all(wrong and remedy for wrong, remedy in RULES.values())


KEYS = [(stack, key) for stack in STACKS for key in access_of(stack)]
PUBLISHING = [stack for stack in STACKS if any("Export/Publish/Role" in roles for roles in access_of(stack).values())]


@pytest.mark.parametrize(("stack", "key"), KEYS)
def test_roles_have_exactly_this_and_nobody_else_uses_the_key(stack: str, key: str, reference: AccessMatrix) -> None:
    roles = access_of(stack)[key]
    for role, expected in roles.items():
        reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", expected)
    # GetPublicKey does not count as a use of the key; the first check sees that it is all that its readers do.
    users = [f"{stack}/{role}" for role, expected in roles.items() if expected.keys() - {"kms:GetPublicKey"}]
    reference.assert_nobody_else(f"{stack}/{key}", users)
    reference.assert_administrator_cannot_use(f"{stack}/{key}")
    for missing in users:
        with pytest.raises(AssertionError, match=f"{missing}: kms:"):
            reference.assert_nobody_else(f"{stack}/{key}", [user for user in users if user != missing])


@pytest.mark.parametrize(("stack", "key"), KEYS)
def test_role_of_another_key_has_nothing_here(stack: str, key: str, reference: AccessMatrix) -> None:
    roles = {role for others in access_of(stack).values() for role in others} - access_of(stack)[key].keys()
    for role in roles:
        reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", {})


@pytest.mark.parametrize("stack", STACKS)
def test_weaker_condition_would_be_found(stack: str, reference: AccessMatrix) -> None:
    for key, roles in access_of(stack).items():
        conditional = [(role, action) for role, found in roles.items() for action, when in found.items() if when]
        for role, action in conditional[:1]:
            unconditional = dict.fromkeys(roles[role])
            with pytest.raises(AssertionError, match=f"{action}: expected always, reachable when"):
                reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", unconditional)


@pytest.mark.parametrize("stack", PUBLISHING)
def test_only_the_publishing_role_writes_what_is_published(stack: str, reference: AccessMatrix) -> None:
    writes = ["s3:PutObject", "s3:ReplicateObject"]
    publisher = [f"{stack}/Export/Publish/Role"]
    reference.assert_nobody_else(f"{stack}/Export/Bucket", publisher, actions=writes)
    with pytest.raises(AssertionError, match="s3:PutObject"):
        reference.assert_nobody_else(f"{stack}/Export/Bucket", [], actions=writes)


@pytest.mark.parametrize("bucket", ["KmsPatterns-S3/Bucket", "KmsPatterns-Envelope/Vault"])
def test_no_principal_of_the_account_but_the_deployment_configures_a_bucket(
    bucket: str, reference: AccessMatrix
) -> None:
    reference.assert_nobody_else(bucket, [DEPLOYER], actions=list(S3_CONFIGURATION))
    with pytest.raises(AssertionError, match="s3:PutEncryptionConfiguration"):
        reference.assert_nobody_else(bucket, [], actions=list(S3_CONFIGURATION))
    with pytest.raises(AssertionError, match="s3:PutBucketVersioning"):
        reference.assert_nobody_else(bucket, [DEPLOYER], actions=["s3:PutBucketVersioning"])


DOCS = Path(__file__).parents[2] / "docs" / "keys"


def test_table_is_as_counted_and_no_grant_of_ours_allows_more_than_needed():
    sys.path.insert(0, str(DOCS))
    try:
        page = importlib.import_module("write_grants").page()
    finally:
        sys.path.remove(str(DOCS))

    assert page == (DOCS / "grants.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    assert {row[4].strip() for row in rows} == {"0"}
    assert len(rows) > 30
    assert re.search(r"may use the keys of this library by 0 of \d+ cryptographic actions", page)


MILLISECONDS = 100_000


def can_use(who: Principal, key: Resource, action: str) -> bool:
    """Return whether some request of ``who`` for ``action`` on ``key`` is allowed, by the rules of KMS."""
    context, request, arn = _request(who, key, action)
    account = arn.split(":")[4]
    in_key = _statements([key.policy] if key.policy else [])
    named = [item for item in in_key if {"*", arn} & set(item.principals)]
    delegating = [item for item in in_key if {f"arn:aws:iam::{account}:root", account} & set(item.principals)]
    own = _statements(who.identity)
    limits = _statements(who.boundaries or ())

    def some(effect: str, statements: Iterable[Statement]) -> Any:
        matching = [statement_matches(item, *request, context) for item in statements if item.effect == effect]
        return z3.Or(*matching, z3.BoolVal(val=False))

    within = z3.BoolVal(val=True) if who.boundaries is None else some("Allow", limits)
    by_iam = z3.And(some("Allow", own), within)
    by_key = some("Allow", [*named, *delegating])
    direct = some("Allow", named) if account == key.account else z3.BoolVal(val=False)
    denied = some("Deny", [*own, *limits, *named, *delegating])
    return _satisfiable(*_known(context, arn), z3.Or(z3.And(by_iam, by_key), direct), z3.Not(denied))


def can_use_as_it_is(who: Principal, key: Resource, action: str) -> bool:
    """Return what ``iamprover`` says without our rule for KMS."""
    context, request, arn = _request(who, key, action)
    plain = Plain(arn, [parse_policy_document(item.where, dict(item.document)) for item in who.identity])
    policies = [parse_policy_document("key", dict(key.policy.document))] if key.policy else []
    return _satisfiable(*_known(context, arn), allowed(plain, *request, context, policies))


def allows_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Return whether some request meets condition block ``new`` and does not meet ``old``."""
    context = Context()
    met = [encode_conditions(parse_conditions(dict(block)), context, unknown_default=True) for block in (new, old)]
    return _satisfiable(met[0], z3.Not(met[1]))


def _request(who: Principal, key: Resource, action: str) -> tuple[Context, tuple[Any, Any], str]:
    arn = who.arn_at(key)
    return Context(), (z3.StringVal(action.lower()), z3.StringVal(key.arn)), arn


def _known(context: Context, arn: str) -> list[Any]:
    account = arn.split(":")[4]
    facts = {"aws:PrincipalArn": arn, "kms:CallerAccount": account, "aws:PrincipalAccount": account}
    return [context.constrain(key, value) for key, value in {**facts, "aws:PrincipalIsAWSService": "false"}.items()]


def _statements(policies: Iterable[Policy]) -> list[Statement]:
    return [
        statement
        for policy in policies
        for statement in parse_policy_document(policy.where, dict(policy.document)).statements
    ]


def _satisfiable(*formulas: Any) -> bool:
    # The facts first, then each alternative by itself: as one formula of regular expressions, some take minutes.
    alternatives = z3.Repeat(z3.OrElse("split-clause", "skip"))
    solver = z3.Then("simplify", "propagate-values", "solve-eqs", "simplify", alternatives, "smt").solver()
    solver.set("timeout", MILLISECONDS)
    solver.add(*formulas)
    result = solver.check()
    assert result != z3.unknown, "the solver gave up"
    return bool(result == z3.sat)


NOT_ASKED = {PrincipalKind.SERVICE, PrincipalKind.PROVIDER}


def uses(key: Resource) -> list[str]:
    """Return the uses that the key's policy speaks of, and one that it need not."""
    named = {name for statement in allowing(key.policy) for name in as_list(statement.get("Action"))}
    return sorted(USE_OF_KEY & {*named, "kms:Decrypt"})


def questions(principals: list[Principal], keys: list[Resource]) -> list[tuple[Principal, Resource, str]]:
    return [
        (who, key, action)
        for key in keys
        for who in principals
        if who.stack in {None, key.stack} and who.kind not in NOT_ASKED
        for action in uses(key)
    ]


def test_solver_finds_the_same_uses_of_keys(whole_app: str, evaluated: Callable[[str], Any]) -> None:
    model, evaluation = evaluated(whole_app)
    keys = [item for item in model.resources if item.kind is ResourceKind.KEY]
    reached = {
        (finding.request.principal.id, finding.request.resource.id, finding.action.name)
        for finding in evaluation.findings
    }
    asked = questions(list(model.principals), keys)
    different = [
        (who.id, key.id, action)
        for who, key, action in asked
        if can_use(who, key, action) is not ((who.id, key.id, action) in reached)
    ]
    assert different == []
    assert len(asked) >= 3


def test_solver_by_itself_does_not_know_that_a_keys_policy_must_allow(assembly: Callable[[str], Path]) -> None:
    """Why it is not asked by the validation plugin: docs/decisions/README.md, 11."""
    model = read_model(assembly("examples/secret_cipher"))
    key = next(item for item in model.resources if item.kind is ResourceKind.KEY)
    administrator = next(who for who in model.principals if who.kind is PrincipalKind.ADMINISTRATOR)
    assert can_use_as_it_is(administrator, key, "kms:Decrypt")
    assert not can_use(administrator, key, "kms:Decrypt")


# Not among them: patterns with several stars on one key, where the solver gives up; and "*", which it takes for true
# where the key is absent, too.
BLOCKS: list[dict[str, dict[str, Any]]] = [
    {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
    {"StringEquals": {"kms:ViaService": ["s3.eu-west-1.amazonaws.com", "sqs.eu-west-1.amazonaws.com"]}},
    {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}},
    {"StringLike": {"kms:ViaService": "s3.*"}, "Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:111122223333:*"}},
    {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:eu-west-1:111122223333:topic"}},
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"IpAddress": {"aws:SourceIp": ["10.1.0.0/16", "10.2.3.4/32"]}},
]
VERDICTS = {
    (True, True): Change.CHANGED,
    (True, False): Change.WIDENED,
    (False, True): Change.NARROWED,
    (False, False): Change.SAME,
}


def test_solver_finds_the_same_conditions_wider(running: Simulator) -> None:
    pairs = list(permutations(BLOCKS, 2))
    conditions = [(from_block(old), from_block(new)) for old, new in pairs]
    judge = Judge(running, conditions)
    wrong = [
        (old, new)
        for (old, new), pair in zip(pairs, conditions, strict=True)
        if judge.compare(*pair).change is not VERDICTS[allows_more(new, old), allows_more(old, new)]
    ]
    assert wrong == []


def test_solver_sees_a_use_that_a_policy_hides(assembly: Callable[[str], Path]) -> None:
    model = read_model(assembly("convenient_grants"))
    key = next(item for item in model.resources if item.kind is ResourceKind.KEY)
    everybody = {who.kind for who in model.principals if who.kind not in NOT_ASKED and can_use(who, key, "kms:Decrypt")}
    assert {PrincipalKind.ADMINISTRATOR, PrincipalKind.ANY_ROLE} <= everybody
    assert PrincipalKind.OUTSIDER not in everybody


@pytest.mark.parametrize(("new", "old"), [(BLOCKS[2], BLOCKS[0]), (BLOCKS[4], BLOCKS[3]), (BLOCKS[1], BLOCKS[0])])
def test_wider_condition_is_found_by_the_solver(new: dict[str, Any], old: dict[str, Any]) -> None:
    assert allows_more(new, old)
    assert not allows_more(old, new)


STACKS = ["KmsPatterns-S3", "KmsPatterns-Secrets", "KmsPatterns-Envelope"]


@pytest.fixture(autouse=True)
def one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """It builds a client for every ARN, which takes most of its time, and asks AWS nothing here."""
    known: dict[object, Any] = {}
    build = client.build
    monkeypatch.setattr(client, "build", lambda *words: known.setdefault(words, build(*words)))


def texts(documents: Iterable[Any], stack: str = "") -> list[str]:
    """Statements as text; it makes up names from logical ids alone, we put the stack's name before them.

    Without those about tables and logs: it gives ``AWS::DynamoDB::GlobalTable`` an ARN without region, and leaves out
    the ``:*`` of a log group's ARN.
    """
    found = [json.dumps(as_text(item), sort_keys=True) for document in documents for item in document["Statement"]]
    lower = [text.lower() for text in found if "dynamodb:" not in text and "logs:" not in text]
    return sorted(re.sub(rf"{stack.lower()}[.-]|-chosenbyaws\d", "", text) if stack else text for text in lower)


def as_text(value: Any) -> Any:
    """Numbers as text, a list of one as its item: IAM takes ``1.2`` and ``"1.2"``, ``"a"`` and ``["a"]`` alike."""
    if isinstance(value, dict):
        return {name: as_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return as_text(value[0]) if len(value) == 1 else [as_text(item) for item in value]
    return str(value)


def ours(model: Model, kind: ResourceKind) -> list[Any]:
    return [item.policy.document for item in model.resources if item.kind is kind and item.policy]


@pytest.mark.parametrize("stack", STACKS)
def test_same_policies_are_read(stack: str, assembly: Callable[[str], Path]) -> None:
    path = assembly("app") / f"{stack}.template.json"
    theirs = cfn_policy_validator.parse(path.read_text(), UNKNOWN_REGION, UNKNOWN_ACCOUNT, "aws")
    model = read_model(path)
    roles = [who for who in model.principals if who.kind is PrincipalKind.ROLE]
    assert texts((policy.document for who in roles for policy in who.identity), stack) == texts(
        policy["Policy"] for role in theirs["Roles"] for policy in role["Policies"]
    )
    assert texts(ours(model, ResourceKind.ROLE), stack) == texts(role["TrustPolicy"] for role in theirs["Roles"])
    for kind, name in ((ResourceKind.KEY, "AWS::KMS::Key"), (ResourceKind.BUCKET, "AWS::S3::Bucket")):
        found = [item["Policy"]["Policy"] for item in theirs["Resources"] if item["ResourceType"] == name]
        assert texts(ours(model, kind), stack) == texts(found)
    assert len(roles) >= 3
    assert ours(model, ResourceKind.KEY)
