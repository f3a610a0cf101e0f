"""The validation plugin stops the synthesis of apps whose keys are not under least privilege."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.findings import RULES, violations
from kms_patterns.access.project import app_command
from kms_patterns.access.read.reader import read_model

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
