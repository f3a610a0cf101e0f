"""A live account is read by pages, and drift is told from what a deployment adds."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from kms_patterns.access.live.account import Account
from kms_patterns.access.live.account_resources import functions, grant_statements
from kms_patterns.access.live.asking import ACTIONS, AccountNotRead, Notes, ask, is_unreadable, pages
from kms_patterns.access.model import Model, ResourceKind
from kms_patterns.access.read.reader import model_of
from kms_patterns.cli.main import main
from kms_patterns.local import LocalAws

ROOT = Path(__file__).parents[2]
ELSEWHERE = "arn:aws:iam::222222222222:role/r"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ADMINISTER = {
    "Effect": "Allow",
    "Principal": {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}},
    "Action": [
        "kms:DescribeKey",
        "kms:PutKeyPolicy",
        "kms:GetKeyPolicy",
        "kms:CreateGrant",
        "kms:ListGrants",
        "kms:RevokeGrant",
    ],
    "Resource": "*",
}
DECRYPT = {
    "Effect": "Allow",
    "Principal": {"AWS": {"Fn::GetAtt": ["Reader", "Arn"]}},
    "Action": "kms:Decrypt",
    "Resource": "*",
    "Condition": {"StringEquals": {"kms:EncryptionContext:tenant": "a"}},
}
GET = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Fn::Sub": "${Docs.Arn}/*"}}
SECURE = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": {"Fn::Sub": "${Docs.Arn}/*"},
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def resource(kind: str, path: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties, "Metadata": {"aws:cdk:path": f"Shop/{path}/Resource"}}


DEFAULT = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]}}
TEMPLATE = {
    "Resources": {
        "Key": resource("AWS::KMS::Key", "Data/Key", KeyPolicy=document(ADMINISTER, DECRYPT)),
        "Alias": resource("AWS::KMS::Alias", "Data/Alias", AliasName="alias/shop", TargetKeyId={"Ref": "Key"}),
        "Docs": resource(
            "AWS::S3::Bucket",
            "Docs",
            BucketEncryption={"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": DEFAULT}]},
            PublicAccessBlockConfiguration={"RestrictPublicBuckets": True},
        ),
        "DocsPolicy": resource(
            "AWS::S3::BucketPolicy", "Docs/Policy", Bucket={"Ref": "Docs"}, PolicyDocument=document(SECURE)
        ),
        "Reader": resource("AWS::IAM::Role", "Reader", AssumeRolePolicyDocument=TRUST),
        "Named": resource("AWS::IAM::Role", "Named", RoleName="shop-named", AssumeRolePolicyDocument=TRUST),
        "Grant": resource(
            "AWS::IAM::Policy",
            "Reader/Policy",
            PolicyName="read",
            PolicyDocument=document(GET),
            Roles=[{"Ref": "Reader"}],
        ),
    }
}


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws.start() as running:
        running.client("cloudformation").create_stack(
            StackName="Shop", TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        running.client("cloudformation").get_waiter("stack_create_complete").wait(StackName="Shop")
        yield running


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    (tmp_path / "Shop.template.json").write_text(json.dumps(TEMPLATE))
    entries = {
        f"/Shop/{item['Metadata']['aws:cdk:path'].removeprefix('Shop/')}": [{"type": "aws:cdk:logicalId", "data": name}]
        for name, item in TEMPLATE["Resources"].items()
    }
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://unknown-account/unknown-region",
        "properties": {"templateFile": "Shop.template.json"},
        "metadata": entries,
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"Shop": stack}}))
    return tmp_path


@pytest.fixture
def access(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KMS_PATTERNS_NODE_MODULES", str(ROOT / "node_modules"))
    return lambda *words: CliRunner().invoke(main, ["access", *map(str, words)], catch_exceptions=False)


BLOCK = "the account's public-access block (taken as off)"
"""S3 Control has a host name of its own, which the embedded AWS does not serve."""


def drift(access: Callable[..., Result], assembly: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(access("diff", assembly, "live", "--format", "json").output)
    found["newlyUnresolved"] = [text for text in found["newlyUnresolved"] if BLOCK not in text]
    return found


def gained(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (step["principal"], step["action"], step["resource"]) for step in found["steps"] if step["kind"] == "gained"
    }


def test_account_is_reported_as_its_stacks(access: Callable[..., Result]) -> None:
    said = access("--live", "--stack", "Shop").output
    assert "key Data/Key (alias/shop)\n    role Reader, when kms:EncryptionContext:tenant = a\n" in said
    assert "bucket Docs (an object's content also needs key Data/Key)\n" in said


def test_same_templates_deployed_show_no_drift(access: Callable[..., Result], assembly: Path) -> None:
    found = drift(access, assembly)
    assert (found["steps"], found["newResources"], found["removedResources"]) == ([], [], [])
    assert found["newlyUnresolved"] == []
    assert access("diff", "live", assembly, "--fail").output == "no access changed\n"


def test_grant_made_by_hand_is_drift(access: Callable[..., Result], assembly: Path, aws: LocalAws) -> None:
    kms = aws.client("kms")
    key = kms.describe_key(KeyId="alias/shop")["KeyMetadata"]["Arn"]
    context = {"EncryptionContextSubset": {"tenant": "b"}}
    grant = kms.create_grant(KeyId=key, GranteePrincipal=ELSEWHERE, Operations=["Decrypt"], Constraints=context)
    try:
        found = drift(access, assembly)
        assert gained(found) == {(ELSEWHERE, "kms:Decrypt", "Shop/Data/Key")}
        assert found["steps"][0]["new"] == {
            "operator": "StringEquals",
            "key": "kms:EncryptionContext:tenant",
            "values": ["b"],
        }
    finally:
        kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])


def test_changed_key_policy_is_drift(access: Callable[..., Result], assembly: Path, aws: LocalAws) -> None:
    kms = aws.client("kms")
    key = kms.describe_key(KeyId="alias/shop")["KeyMetadata"]["Arn"]
    before = kms.get_key_policy(KeyId=key)["Policy"]
    policy = json.loads(before)
    policy["Statement"].append(
        {"Effect": "Allow", "Principal": {"AWS": ELSEWHERE}, "Action": "kms:Encrypt", "Resource": "*"}
    )
    kms.put_key_policy(KeyId=key, Policy=json.dumps(policy))
    try:
        assert gained(drift(access, assembly)) == {(ELSEWHERE, "kms:Encrypt", "Shop/Data/Key")}
    finally:
        kms.put_key_policy(KeyId=key, Policy=before)


def test_attached_policy_is_drift(access: Callable[..., Result], assembly: Path, aws: LocalAws) -> None:
    iam = aws.client("iam")
    bucket = next(item["Name"] for item in aws.client("s3").list_buckets()["Buckets"])
    put = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    arn = iam.create_policy(PolicyName="by-hand", PolicyDocument=json.dumps(document(put)))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="shop-named", PolicyArn=arn)
    try:
        assert gained(drift(access, assembly)) == {("Shop/Named", "s3:PutObject", "Shop/Docs")}
    finally:
        iam.detach_role_policy(RoleName="shop-named", PolicyArn=arn)
        iam.delete_policy(PolicyArn=arn)


def as_role(aws: LocalAws, monkeypatch: pytest.MonkeyPatch, actions: list[str], *, name: str = "auditor") -> None:
    """Let the command run as a role that may do exactly ``actions``."""
    iam = aws.client("iam")
    trust = document({"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    allow = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=json.dumps(document(allow)))
    found = aws.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="audit")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", found["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", found["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", found["SessionToken"])


def test_printed_permissions_are_enough(
    access: Callable[..., Result], assembly: Path, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_role(aws, monkeypatch, json.loads(access("live-permissions").output)["Statement"][0]["Action"])
    assert drift(access, assembly)["newlyUnresolved"] == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("kms:GetKeyPolicy", "Shop/Data/Key: its key policy (kms:GetKeyPolicy was refused: AccessDenied"),
        ("kms:ListGrants", "Shop/Data/Key: its grants (kms:ListGrants was refused: AccessDenied"),
        ("s3:GetBucketPolicy", "Shop/Docs: its bucket policy (s3:GetBucketPolicy was refused: AccessDenied"),
        (
            "iam:GetAccountAuthorizationDetails",
            "roles, users and their policies (iam:GetAccountAuthorizationDetails was",
        ),
    ],
)
def test_partial_denial_is_said_at_the_resource(
    missing: str,
    said: str,
    access: Callable[..., Result],
    assembly: Path,
    aws: LocalAws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_role(aws, monkeypatch, [action for action in ACTIONS if action != missing], name=missing.replace(":", "-"))
    found = drift(access, assembly)
    assert any(said in text for text in found["newlyUnresolved"])
    assert found["widens"]


@pytest.fixture(scope="module")
def elsewhere(aws: LocalAws) -> str:
    """Return a second Region, where a function has a policy on its alias, and on nothing else."""
    region, code = "eu-west-1", io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("i.py", "")
    trust = json.dumps(TRUST).replace("ec2", "lambda")
    role = aws.client("iam").create_role(RoleName="priced", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    client = aws.client("lambda", region_name=region)
    client.create_function(
        FunctionName="priced", Runtime="python3.12", Role=role, Handler="i.h", Code={"ZipFile": code.getvalue()}
    )
    version = client.publish_version(FunctionName="priced")["Version"]
    client.create_alias(FunctionName="priced", Name="prod", FunctionVersion=version)
    client.add_permission(
        FunctionName="priced", Qualifier="prod", StatementId="a", Action="lambda:InvokeFunction", Principal=ELSEWHERE
    )
    return region


def policies_of_functions(model: Model) -> dict[str, list[Any]]:
    return {
        what.id: what.policy.document["Statement"] if what.policy else []
        for what in model.resources
        if what.kind is ResourceKind.FUNCTION
    }


def test_several_regions_are_read_with_each_qualifier_and_roles_once(
    access: Callable[..., Result], aws: LocalAws, elsewhere: str
) -> None:
    both = model_of(Account(regions=["us-east-1", elsewhere]).stacks())
    ((where, statements),) = policies_of_functions(both).items()
    assert where == f"account {aws.account} in {elsewhere}/function/priced"
    assert {"AWS": [ELSEWHERE]} in [item["Principal"] for item in statements]
    assert [who.id for who in both.principals if who.arn.endswith("role/shop-named")] == ["Shop in us-east-1/Named"]
    assert policies_of_functions(model_of(Account().stacks())) == {}


@pytest.mark.parametrize("missing", ["lambda:ListAliases", "lambda:ListVersionsByFunction"])
def test_qualifiers_that_cannot_be_listed_may_let_anyone_invoke(
    missing: str, access: Callable[..., Result], aws: LocalAws, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_role(aws, monkeypatch, [action for action in ACTIONS if action != missing], name=missing.replace(":", "-"))
    (item,) = functions(boto3.session.Session().client("lambda", region_name=elsewhere), Notes())
    assert "*" in [permission["Principal"] for _, permission in item.companions]
    assert f"{missing} was refused: AccessDeniedException" in [why for _, why in item.notes]


def test_regions_are_of_the_live_account_only(access: Callable[..., Result], assembly: Path) -> None:
    found = access(assembly, "--region", "us-east-1", "--region", "eu-west-1")
    assert (found.exit_code, "only the live account is read in several Regions" in found.output) == (2, True)


def test_stack_of_another_region_is_read_there_and_one_of_another_account_is_said(
    access: Callable[..., Result], assembly: Path, aws: LocalAws
) -> None:
    manifest = json.loads((assembly / "manifest.json").read_text())
    shop = manifest["artifacts"]["Shop"]
    shop["environment"] = f"aws://{aws.account}/us-east-1"
    manifest["artifacts"]["Away"] = {**shop, "environment": "aws://444444444444/us-east-1"}
    (assembly / "manifest.json").write_text(json.dumps(manifest))
    found = json.loads(access("diff", assembly, "live", "--region", "eu-west-1", "--format", "json").output)
    assert not [step for step in found["steps"] if not step["principal"].startswith("account ")]
    assert (found["newResources"], found["removedResources"]) == ([], [])
    assert "Away: stack of account 444444444444 (only one account is read)" in found["newlyUnresolved"]


def test_throttled_to_the_end_is_an_error_and_refusals_are_notes() -> None:
    def fail(code: str) -> Callable[[], Any]:
        def call() -> Any:
            raise ClientError({"Error": {"Code": code, "Message": "later\nplease"}}, "ListKeys")

        return call

    notes = Notes()
    with pytest.raises(AccountNotRead, match=r"kms:ListKeys failed: .*later please"):
        ask("kms:ListKeys", fail("ThrottlingException"), notes.add, what="keys")
    assert is_unreadable(ask("kms:ListKeys", fail("AccessDeniedException"), notes.add, what="keys"))
    assert ask("kms:ListKeys", fail("Gone"), notes.add, what="keys", absent=("Gone",)) is None
    assert notes.found == [("keys", "kms:ListKeys was refused: AccessDeniedException")]


def test_all_pages_are_read() -> None:
    class Client:
        def get_paginator(self, operation: str) -> "Client":
            return self

        def paginate(self, **arguments: str) -> list[dict[str, Any]]:
            return [{"Keys": [1, 2]}, {"Keys": [3]}, {}]

    assert pages(Client(), "list_keys", "Keys")() == [1, 2, 3]


@pytest.mark.parametrize(
    ("grant", "principal", "condition"),
    [
        ({}, {"AWS": ELSEWHERE}, None),
        (
            {"Constraints": {"EncryptionContextEquals": {"a": "1"}}},
            {"AWS": ELSEWHERE},
            {
                "StringEquals": {"kms:EncryptionContext:a": "1"},
                "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a"]},
            },
        ),
        ({"GranteePrincipal": "rds.eu-west-1.amazonaws.com"}, {"Service": "rds.eu-west-1.amazonaws.com"}, None),
        (
            {"GranteeServicePrincipal": "dynamodb.amazonaws.com", "Constraints": {"SourceArn": "arn:aws:x"}},
            {"Service": "dynamodb.amazonaws.com"},
            {"ArnLike": {"aws:SourceArn": "arn:aws:x"}},
        ),
    ],
)
def test_grant_is_the_statement_that_allows_the_same(
    grant: dict[str, Any], principal: dict[str, str], condition: dict[str, Any] | None
) -> None:
    [made] = grant_statements(
        {"GrantId": "g", "GranteePrincipal": ELSEWHERE, "Operations": ["Decrypt", "DescribeKey"]} | grant
    )
    assert made["Principal"] == principal
    assert made["Action"] == ["kms:Decrypt", "kms:DescribeKey"]
    assert made.get("Condition") == condition


def test_no_credentials_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for words, message in (
        (["--live"], "no Region"),
        (["--live", "--region", "eu-west-1"], "credentials"),
        ([], "give a SOURCE"),
    ):
        result = CliRunner().invoke(main, ["access", "report", *words])
        assert (result.exit_code, message in result.output) == (2, True)
