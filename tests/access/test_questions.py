"""Questions to the proof: one decision explained, filters, who reads content, rules that fail a build, SARIF."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kms_patterns.cli.main import main

ROOT = Path(__file__).parents[2]
ACCOUNT, OTHER = "111111111111", "222222222222"
ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"
READ = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": {"Fn::GetAtt": ["Key", "Arn"]}}


def statement(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": list(actions), "Resource": "*"} | more


def role(*statements: dict[str, Any], **more: Any) -> dict[str, Any]:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    policies = [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)}}]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": trust, "Policies": policies if statements else [], **more},
    }


def key(*statements: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::KMS::Key",
        "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": list(statements)}},
    }


@pytest.fixture
def template(tmp_path: Path) -> Callable[..., Path]:
    def write(**resources: Any) -> Path:
        path = tmp_path / "one.json"
        path.write_text(json.dumps({"Resources": resources}, indent=1))
        return path

    return write


def access(*words: object) -> Result:
    return CliRunner().invoke(main, ["access", *map(str, words), "--account", ACCOUNT], catch_exceptions=False)


def explained(
    path: Path, principal: str = "Reader", action: str = "kms:Decrypt", resource: str = "Key"
) -> tuple[int, str]:
    result = access("explain", principal, action, resource, path)
    return result.exit_code, " ".join(result.output.split())


NOTHING = statement(ROOT_ARN, "kms:DescribeKey")
DENY = {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
BOUNDARY = {
    "Type": "AWS::IAM::ManagedPolicy",
    "Properties": {
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
        }
    },
}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (
            {"Key": key(statement(ROOT_ARN, "kms:*")), "Reader": role(READ)},
            [
                "role one/Reader can kms:Decrypt on key one/Key",
                "one/Reader policy p: allows it, always",
                "key policy: allows it if the principal's own policies do",
            ],
        ),
        (
            {"Key": key(statement(ROOT_ARN, "kms:*")), "Reader": role()},
            [
                "cannot",
                "missing an Allow of kms:Decrypt in the principal's own policies or an Allow of kms:Decrypt for the",
            ],
        ),
        (
            {"Key": key(NOTHING), "Reader": role(READ)},
            [
                "cannot",
                "one/Key key policy: has no statement that allows it",
                "missing an Allow of kms:Decrypt for the principal in the key policy of one/Key",
            ],
        ),
        (
            {"Key": key(statement(ROOT_ARN, "kms:*"), DENY), "Reader": role(READ)},
            ["cannot", "one/Key key policy: denies it", "missing no Deny in one/Key key policy"],
        ),
        (
            {"Key": key(statement(ROOT_ARN, "kms:*")), "Reader": role(READ, READ | {"Effect": "Deny"})},
            ["cannot", "one/Reader policy p: denies it", "missing no Deny in one/Reader policy p"],
        ),
        (
            {
                "Key": key(statement(ROOT_ARN, "kms:*")),
                "B": BOUNDARY,
                "Reader": role(READ, PermissionsBoundary={"Ref": "B"}),
            },
            ["cannot", "one/B: has no statement that allows it", "missing an Allow in the permissions boundary"],
        ),
        (
            {"Key": key(NOTHING, DENY), "Reader": role(READ)},
            [
                "for the principal in the key policy of one/Key and no Deny in one/Key key policy",
            ],
        ),
        (
            {
                "Key": key(statement(ROOT_ARN, "kms:*", Condition={"Bool": {"aws:SecureTransport": "true"}})),
                "Reader": role(READ),
            },
            ["can kms:Decrypt on key one/Key when aws:SecureTransport = true policies", "p: allows it, always"],
        ),
    ],
)
def test_decision_is_explained_policy_by_policy(
    template: Callable[..., Path], resources: dict[str, Any], words: list[str]
) -> None:
    code, said = explained(template(**resources))
    assert code == ("cannot" in said)
    for text in words:
        assert text in said


def test_cross_account_refusal_names_both_sides(template: Callable[..., Path]) -> None:
    elsewhere = f"arn:aws:iam::{OTHER}:role/r"
    path = template(Key=key(statement(elsewhere, "kms:Decrypt")), Reader=role())
    code, said = explained(path, principal=elsewhere)
    assert (code, "one/Key key policy: allows it if the principal's own policies do" in said) == (0, True)
    code, said = explained(path, principal=elsewhere, action="kms:Encrypt")
    assert (code, "missing an Allow of kms:Encrypt for the principal in the key policy" in said) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("Nobody", "kms:Decrypt", "Key"), "'Nobody' is not one of"),
        (("Reader", "kms:Decrypt", "Nothing"), "'Nothing' is not one of"),
        (("Reader", "kms:Decript", "Key"), "kms:Decript is not an action on a key"),
        (("Reader", "s3:GetObject", "Key"), "known: those of kms"),
    ],
)
def test_question_about_nothing_is_an_error(
    template: Callable[..., Path], words: tuple[str, ...], message: str
) -> None:
    result = access("explain", *words, template(Key=key(NOTHING), Reader=role(READ)))
    assert (result.exit_code, message in result.output) == (2, True)


@pytest.fixture
def shop(template: Callable[..., Path]) -> Path:
    """Two buckets, one under the key; a role with both halves, one without the key, one for some objects only."""
    objects = {"Fn::Sub": "${Docs.Arn}/*"}
    get = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": objects}
    default = {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]}}
    }
    encryption = {"BucketEncryption": {"ServerSideEncryptionConfiguration": [default]}}
    return template(
        Key=key(statement(ROOT_ARN, "kms:*")),
        Docs={"Type": "AWS::S3::Bucket", "Properties": encryption},
        Plain={"Type": "AWS::S3::Bucket"},
        Reader=role(get, READ | {"Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}}),
        Lister=role(get),
        Part=role(get | {"Resource": {"Fn::Sub": "${Docs.Arn}/part/*"}}, READ),
    )


def test_readers_of_content_need_bucket_and_key(shop: Path) -> None:
    said = access("readers", "Docs", shop).output
    assert "role one/Reader: when kms:ViaService = s3.us-east-1.amazonaws.com\n" in said
    assert "role one/Part: objects part/*: always\n" in said
    assert "Lister" not in said
    assert "account administrator (*:*): always" in said
    assert "its objects not under a KMS key by default" in access("readers", "Plain", shop).output
    assert access("readers", "Key", shop).exit_code == 2


def test_filters_leave_what_was_asked_for(shop: Path) -> None:
    said = access("report", shop, "--principal", "Reader", "--action", "KMS:dec*").output
    assert said.startswith(
        "only --principal Reader\nonly --action KMS:dec*\nstack one\n\n  key Key\n    role Reader, when"
    )
    assert "bucket" not in said.split("Decided by")[0]
    assert "roles, and who" not in said
    document = json.loads(
        access("report", shop, "--resource", "Docs", "--action", "s3:GetObject", "--format", "json").output
    )
    assert {item["id"] for item in document["resources"]} == {"one/Docs"}
    assert {item["action"] for item in document["access"]} == {"s3:GetObject"}
    assert access("report", shop, "--principal", "Typo").exit_code == 2


@pytest.mark.parametrize(
    ("rule", "code"), [("AdministratorUsesKey", 1), ("all", 1), ("OutsiderUsesKey", 0), ("VoidGrant", 0)]
)
def test_broken_rule_fails_if_it_was_asked_about(shop: Path, rule: str, code: int) -> None:
    result = access("report", shop, "--fail-on", rule)
    assert result.exit_code == code
    assert ("AdministratorUsesKey: one/Key:" in result.stderr) == bool(code)
    assert result.stdout.startswith("stack one\n")


def test_sarif_names_file_line_and_resource(shop: Path) -> None:
    run = json.loads(access("report", shop, "--format", "sarif").output)["runs"][0]
    found = {item["ruleId"]: item for item in run["results"]}
    assert set(found) == {"AdministratorUsesKey", "WildcardOnKey"}
    location = found["AdministratorUsesKey"]["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == shop.resolve().as_uri()
    line = shop.read_text().splitlines()[location["physicalLocation"]["region"]["startLine"] - 1]
    assert line.strip() == '"Key": {'
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "one/Key"
    assert run["tool"]["driver"]["rules"][found["WildcardOnKey"]["ruleIndex"]]["id"] == "WildcardOnKey"
