"""A live account is read by pages, drift is told from what a deployment adds, no option is passed over."""

import json
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.live.account import Account
from kms_patterns.access.live.account_resources import grant_statements
from kms_patterns.access.live.asking import ACTIONS, AccountNotRead, Notes, ask, is_unreadable
from kms_patterns.access.read.reader import model_of
from kms_patterns.cli.failures import Failed, print_or_write
from kms_patterns.cli.main import main
from kms_patterns.local import LocalAws
from tests.access import test_questions as asked

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
NOTHING = '{"Statement": []}'
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


def drift(access: Callable[..., Result], assembly: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(access("diff", assembly, "live", "--format", "json").output)
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
    assert access("diff", assembly, "live", "--fail").output == "no access changed\n"


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


HOME, FAR = "us-east-1", "eu-west-1"
OURS = "111111111111"
FUNCTION = f"arn:aws:lambda:{HOME}:{OURS}:function:"
LOCATION = '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</LocationConstraint>'
INVOKE = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Principal": {"AWS": [ELSEWHERE, "333333333333"]}}


def paged(member: str, *found: Any, token: str = "NextToken", **more: Any) -> list[dict[str, Any]]:
    """Return responses of one item each."""
    last = len(found) - 1
    return [
        {member: [item]}
        | more
        | ({token: str(place + 1), "Truncated": True, "IsTruncated": True} if place < last else {})
        for place, item in enumerate(found)
    ]


def reader(name: str) -> dict[str, Any]:
    get = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::docs/*"})
    policies = [{"PolicyName": "p", "PolicyDocument": json.dumps(get)}]
    return {"RoleName": name, "AssumeRolePolicyDocument": json.dumps(TRUST), "RolePolicyList": policies}


RESPONSES: dict[str, Any] = {
    "cloudformation:DescribeStacks": paged(
        "Stacks", *({"StackName": n, "StackStatus": "CREATE_COMPLETE"} for n in "ST")
    ),
    "cloudformation:GetTemplate": {"TemplateBody": {}},
    "cloudformation:ListStackResources": paged(
        "StackResourceSummaries",
        {"LogicalResourceId": "K", "ResourceType": "AWS::KMS::Key", "PhysicalResourceId": "k1"},
        {"LogicalResourceId": "Docs", "ResourceType": "AWS::S3::Bucket", "PhysicalResourceId": "docs"},
    ),
    "iam:GetAccountAuthorizationDetails": paged("RoleDetailList", reader("one"), reader("two"), token="Marker"),
    "kms:DescribeKey": {
        "KeyMetadata": {"KeyManager": "CUSTOMER", "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"}
        | {"Origin": "AWS_KMS"}
    },
    "kms:GetKeyPolicy": {"Policy": json.dumps(document())},
    "kms:ListAliases": paged(
        "Aliases", *({"AliasName": f"alias/{key}", "TargetKeyId": key} for key in ("k1", "k2")), token="NextMarker"
    ),
    "kms:ListGrants": paged(
        "Grants",
        *({"GrantId": g, "GranteePrincipal": f"{ELSEWHERE}{g}", "Operations": ["Decrypt"]} for g in "gh"),
        token="NextMarker",
    ),
    "kms:ListKeys": paged("Keys", {"KeyId": "k1"}, {"KeyId": "k2"}, token="NextMarker"),
    "lambda:GetPolicy": {"Policy": json.dumps({"Statement": INVOKE})},
    "lambda:ListAliases": paged("Aliases", {"Name": "dev"}, {"Name": "prod"}, token="NextMarker"),
    "lambda:ListFunctions": paged(
        "Functions",
        *({"FunctionName": f, "FunctionArn": f"arn:aws:lambda:{HOME}:{OURS}:function:{f}", "Role": "r"} for f in "fg"),
        token="NextMarker",
    ),
    "lambda:ListVersionsByFunction": paged("Versions", {"Version": "$LATEST"}, {"Version": "1"}, token="NextMarker"),
    "organizations:ListPolicies": paged("Policies", {"Name": "a"}, {"Name": "b"}),
    "s3-control:GetPublicAccessBlock": {"PublicAccessBlockConfiguration": {}},
    "s3-control:ListAccessGrants": paged(
        "AccessGrantsList",
        *(
            {"AccessGrantId": g, "Permission": "READ", "GrantScope": "s3://docs/a*"}
            | {"Grantee": {"GranteeType": "IAM", "GranteeIdentifier": f"{ELSEWHERE}-{g}"}}
            for g in ("ag1", "ag2")
        ),
    ),
    "s3:GetBucketAcl": {"Owner": {"ID": "me"}, "Grants": [{"Grantee": {"ID": "me"}}]},
    "s3:GetBucketEncryption": {"ServerSideEncryptionConfiguration": {"Rules": []}},
    "s3:GetBucketLocation": {},
    "s3:GetBucketPolicy": {"Policy": json.dumps(document())},
    "s3:GetPublicAccessBlock": {"PublicAccessBlockConfiguration": {"RestrictPublicBuckets": True}},
    "s3:ListBuckets": paged("Buckets", {"Name": "docs"}, {"Name": "logs"}, token="ContinuationToken"),
    "sts:GetCallerIdentity": {"Account": OURS},
}
"""What AWS answers, by service and operation; a list is of pages."""
ACTION = {
    "s3-control:GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
    "s3-control:ListAccessGrants": "s3:ListAccessGrants",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
}
"""Permissions that are not called as their operations."""
TOKENS = ("NextToken", "Marker", "ContinuationToken")


class Recorded(boto3.session.Session):
    """A session of AWS's own clients, whose requests are answered here."""

    def __init__(self) -> None:
        super().__init__("a", "b", region_name=HOME)
        self.refused: dict[str, str] = {}
        self.replaced: dict[str, Any] = {}
        self.asked: set[str] = set()
        self.events.register("before-parameter-build", lambda params, context, **_: context.update(given=dict(params)))
        self.events.register("before-call", self._answer)

    def _answer(self, model: Any, context: dict[str, Any], request_signer: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        name = f"{model.service_model.endpoint_prefix}:{model.name}"
        self.asked.add(name)
        place = "" if name != "s3:GetBucketLocation" else self.replaced.get(name, "")
        plain = {"raw": True, "content": LOCATION.format(place).encode()}
        if name in self.refused:
            failed = {"Error": {"Code": self.refused[name], "Message": "later"}}
            return SimpleNamespace(status_code=400, raw=None), failed
        here = self.replaced.get(f"{name} {request_signer.region_name}", self.replaced.get(name, RESPONSES[name]))
        found = {} if place else here
        if isinstance(found, list):
            found = found[int(next((context["given"][token] for token in TOKENS if token in context["given"]), 0))]
        return SimpleNamespace(status_code=200, **plain), deepcopy(found)


@pytest.fixture(scope="module")
def session() -> Recorded:
    return Recorded()


@pytest.fixture
def recorded(session: Recorded, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    monkeypatch.setattr(boto3.session, "Session", lambda **_: session)
    for each in (session.refused, session.replaced, session.asked):
        each.clear()
    return session


def test_every_request_has_its_permission_and_every_page_is_read(recorded: Recorded) -> None:
    said = json.dumps([dict(stack.template["Resources"]) for stack in Account().stacks()], ensure_ascii=False)
    assert {ACTION.get(name, name) for name in recorded.asked} == {*ACTIONS}
    for second in ("alias/k2", "role/rh", "two", "logs", '"g"', "-ag2", ":1", ":prod", ELSEWHERE, "333333333333"):
        assert second in said


@pytest.mark.parametrize("name", sorted(RESPONSES.keys() - {"sts:GetCallerIdentity"}))
def test_refusal_is_said_and_a_throttled_request_is_an_error(name: str, recorded: Recorded) -> None:
    action = ACTION.get(name, name)
    recorded.refused[name] = "AccessDenied"
    model = model_of(Account().stacks())
    assert f"{action} was refused: AccessDenied" in {item.why for item in model.unresolved}
    recorded.refused[name] = "ThrottlingException"
    with pytest.raises(AccountNotRead, match=f"^{action} failed: .*ThrottlingException"):
        Account().stacks()


OPEN = (
    *("kms:GetKeyPolicy", "kms:ListGrants", "lambda:GetPolicy", "lambda:ListAliases", "lambda:ListVersionsByFunction"),
    *("s3:GetBucketPolicy", "s3:GetBucketAcl", "s3-control:ListAccessGrants"),
)


def test_what_is_refused_may_allow_anyone(recorded: Recorded, running: Simulator) -> None:
    recorded.replaced |= {
        "s3-control:ListAccessGrants": {"AccessGrantsList": []},
        "lambda:GetPolicy": {"Policy": NOTHING},
    }

    def outsiders() -> set[str]:
        found = build_with(model_of(Account().stacks()), running)
        return {entry.resource for entry in found.entries if entry.principal == "anyone outside"}

    assert outsiders() == set()
    for name in OPEN:
        recorded.refused[name] = "AccessDenied"
        assert outsiders(), name
        del recorded.refused[name]


def test_default_encryption_that_is_refused_is_not_said_to_be_none(recorded: Recorded) -> None:
    recorded.refused["s3:GetBucketEncryption"] = "AccessDenied"
    said = CliRunner().invoke(main, ["access", "--live"]).output
    assert "bucket Docs" in said
    assert "not under a KMS key" not in said


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("kms:GetKeyPolicy", "NotFoundException"),
        ("kms:ListGrants", "KMSInvalidStateException"),
        ("s3:GetBucketPolicy", "NoSuchBucket"),
        ("s3:GetBucketLocation", "NoSuchBucket"),
        ("cloudformation:ListStackResources", "ValidationError"),
        ("organizations:ListPolicies", "AWSOrganizationsNotInUseException"),
        ("s3-control:ListAccessGrants", "AccessGrantsInstanceNotExistsError"),
    ],
)
def test_what_went_since_it_was_listed_ends_no_report(name: str, code: str, recorded: Recorded) -> None:
    recorded.refused[name] = code
    noted = [item.why for item in model_of(Account().stacks()).unresolved if code in item.why]
    assert bool(noted) == (code not in {"AWSOrganizationsNotInUseException", "AccessGrantsInstanceNotExistsError"})


def test_bucket_whose_region_is_refused_stands_in_its_stack(recorded: Recorded) -> None:
    recorded.refused["s3:GetBucketLocation"] = "AccessDenied"
    recorded.replaced |= {
        "s3:ListBuckets": {"Buckets": [{"Name": "docs"}]},
        f"cloudformation:DescribeStacks {HOME}": {},
    }
    stacks = Account(regions=[FAR]).stacks()
    assert [stack.id for stack in stacks if "Docs" in stack.template["Resources"]] == [f"S in {FAR}"]
    # What belongs to no Region stands once, in the first.
    assert [stack.id for stack in stacks if "role.one" in stack.template["Resources"]] == [f"account {OURS} in {HOME}"]


def test_drift_is_not_what_an_organization_denies_or_buckets_elsewhere_hold(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMS_PATTERNS_NODE_MODULES", str(ROOT / "node_modules"))
    recorded.replaced |= {"s3:GetBucketLocation": FAR, "kms:ListGrants": {}, "s3-control:ListAccessGrants": {}}
    template = tmp_path / "S.json"
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": document()}}
    template.write_text(json.dumps({"Resources": {"K": key}}))
    result = CliRunner().invoke(main, ["access", "diff", str(template), "live", "--fail"])
    assert (result.exit_code, result.output) == (0, "no access changed\n")
    assert "of other Regions" not in result.output
    recorded.replaced["s3:ListBuckets"] = {"Buckets": [{"Name": "docs"}]}
    said = CliRunner().invoke(main, ["access", "--live"]).output
    assert "1 bucket of other Regions" in said
    assert "from what the account had when it was read" in said
    assert ("grants made at run time" in said, "outside these templates" in said) == (False, False)
    recorded.replaced["kms:GetKeyPolicy"] = {"Policy": "{"}
    for words, message in (
        (["--live", "--account", "222222222222"], f"the credentials are of account {OURS}"),
        (["--live", "--region", f"{HOME},nowhere"], "'nowhere' is not a Region"),
        (["diff", "live", "live"], "the account is read once"),
        (["--live"], "the policy of key k1 is not JSON"),
    ):
        refused = CliRunner().invoke(main, ["access", *words], catch_exceptions=False)
        assert (refused.exit_code, message in refused.output) == (2, True), refused.output


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
        (["--live", "--region", "us-west-2"], "no client of sts: Invalid endpoint: nowhere"),
    ):
        if "us-west-2" in words:
            monkeypatch.setenv("AWS_ENDPOINT_URL", "nowhere")
        result = CliRunner().invoke(main, ["access", "report", *words])
        assert (result.exit_code, message in result.output) == (2, True)


KEY_ALONE: Any = {"Resources": {"Key": {"Type": "AWS::KMS::Key"}}}
PARAMETER: Any = KEY_ALONE | {
    "Parameters": {"P": {"Type": "String", "AllowedPattern": "[a-z]+"}, "N": {"Type": "Number"}}
}


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        ("", ["report", "IN"], "IN: not a saved access matrix"),
        ({"Resources": {}}, ["report", "IN", "--fail-on", "all"], "no resource under Resources"),
        ({"manifest.json": {"artifacts": {}}}, ["report", "IN", "--fail-on", "all"], "has no stack"),
        ({"manifest.json": {"artifacts": {"T": {"type": "cdk:tree"}}}}, ["report", "IN"], "has no stack"),
        ({"a.json": KEY_ALONE, "b.json": {"AWSTemplateFormatVersion": "x"}}, ["report", "IN"], "b.json is not a Cloud"),
        (KEY_ALONE, ["report", ""], "'' is neither a path nor a git revision"),
        (KEY_ALONE, ["diff", " ", "IN", "--fail"], "' ' is neither a path nor a git revision"),
        (KEY_ALONE, ["report", "NOWHERE"], "NOWHERE is neither a path nor a git revision"),
        (KEY_ALONE, ["explain", "a", "kms:Sign", "Key", "NOWHERE"], "NOWHERE is neither a path nor a git revision"),
        (KEY_ALONE, ["report", "IN", "--account", ""], "not an account id of twelve digits"),
        (KEY_ALONE, ["report", "IN", "--region", "us_east_1"], "'us_east_1' is not a Region"),
        (KEY_ALONE, ["report", "IN", "--region", ""], "'' is not a Region"),
        (KEY_ALONE, ["report", "IN", "--profile", "p"], "--profile is of the live account"),
        (KEY_ALONE, ["report", "IN", "--env", "A=b"], "--env is of an app"),
        (KEY_ALONE, ["report", "IN", "--format", "sarif", "--stack", "IN"], "sarif takes no filter"),
        (KEY_ALONE, ["report", "IN", "--format", "baseline", "--action", "kms:*"], "baseline takes no filter"),
        (KEY_ALONE, ["report", "IN", "--crypto", "--stack", ""], "--crypto takes no filter"),
        (KEY_ALONE, ["report", "IN", "--stack", ""], "no stack ''"),
        (PARAMETER, ["report", "IN", "--parameter", "P=a", "--parameter", "P=b"], "gives P twice"),
        (PARAMETER, ["report", "IN", "--parameter", "=a"], "=a is not NAME=VALUE"),
        (PARAMETER, ["report", "IN", "--parameter", "P=1"], "parameter P is '1', the template allows [a-z]+"),
        (PARAMETER, ["report", "IN", "--parameter", "N=x"], "parameter N is 'x', the template takes a number"),
        (PARAMETER, ["diff", "IN", "IN", "--parameter", "Q=x"], "no template declares the parameter Q"),
    ],
)
def test_command_refuses_what_it_would_pass_over(
    content: Any, words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = content if isinstance(content, dict) and all("." in name for name in content) else {"": content}
    for name, text in files.items():
        place = tmp_path / "IN" / name if name else tmp_path / "IN"
        place.parent.mkdir(exist_ok=True)
        place.write_text(json.dumps(text) if text != "" else text)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["access", *words])
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_report_that_cannot_be_printed_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as `>&-` leaves it
    with pytest.raises(Failed, match="standard output is closed"):
        print_or_write("the report")
    print_or_write("the report", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "the report"


def test_parameter_may_be_of_one_side_of_a_comparison(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(KEY_ALONE))
    new.write_text(json.dumps(PARAMETER))
    assert asked.access("diff", old, new, "--parameter", "P=x").output == (
        "stacks\n  old (old) and new (new) are compared as one\n\nno access changed\n"
    )
