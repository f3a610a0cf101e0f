"""Assertions and least privilege: what our patterns and the CDK's own grants give."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access import AccessMatrix
from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.findings import RULES, violations
from kms_patterns.access.project import app_command
from kms_patterns.access.read.reader import read_model
from kms_patterns.policy.actions import S3_CONFIGURATION
from tests.access.minimality.trial import STACKS, access_of

VIA_S3 = {"kms:ViaService": "s3.<region>.amazonaws.com"}
BUCKET = "arn:aws:s3:::<KmsPatterns-S3/Bucket>"
CONTEXT = {"kms:EncryptionContext:aws:s3:arn": [BUCKET, f"{BUCKET}/*"]}
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
    reference.assert_nobody_else("KmsPatterns-Secrets/Key", ciphers)
    with pytest.raises(AssertionError, match="role KmsPatterns-Secrets/Cipher/Decrypt/Role: kms:Decrypt when"):
        reference.assert_nobody_else("KmsPatterns-Secrets/Key", ciphers[:1])


def test_nobody_else_touches_the_objects(reference: AccessMatrix) -> None:
    reference.assert_nobody_else("KmsPatterns-S3/Bucket", ["UploaderRole", "DownloaderRole", "ReadWriteRole"])
    with pytest.raises(AssertionError, match="s3:GetObject"):
        reference.assert_nobody_else("KmsPatterns-S3/Bucket", ["UploaderRole", "ReadWriteRole"])


def test_only_the_reader_decrypts_by_the_function(reference: AccessMatrix) -> None:
    administrators = ["account administrator", "any other role"]
    function = "KmsPatterns-Secrets/Cipher/Decrypt/Function"
    reference.assert_nobody_else(
        function, ["KmsPatterns-Secrets/ReaderRole", *administrators], actions=["lambda:InvokeFunction"]
    )
    with pytest.raises(AssertionError, match="ReaderRole: lambda:InvokeFunction always"):
        reference.assert_nobody_else(function, administrators, actions=["lambda:InvokeFunction"])


@pytest.mark.parametrize("stack", ["S3", "Secrets", "Envelope"])
def test_administrator_cannot_use_our_keys(reference: AccessMatrix, stack: str) -> None:
    reference.assert_administrator_cannot_use(f"KmsPatterns-{stack}/Key")


def test_administrator_uses_a_key_under_the_cdks_default_policy(convenient: AccessMatrix) -> None:
    with pytest.raises(AssertionError, match=r"account administrator.*: kms:Decrypt always"):
        convenient.assert_administrator_cannot_use("Data/Key")


def test_unknown_name_lists_what_there_is(reference: AccessMatrix) -> None:
    with pytest.raises(KeyError, match="KmsPatterns-S3/Key"):
        reference.assert_administrator_cannot_use("Kye")
    with pytest.raises(KeyError, match="not one of"):
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
    reference.assert_nobody_else(bucket, [], actions=list(S3_CONFIGURATION))
    with pytest.raises(AssertionError, match="s3:PutBucketVersioning"):
        reference.assert_nobody_else(bucket, [], actions=["s3:PutBucketVersioning"])


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
