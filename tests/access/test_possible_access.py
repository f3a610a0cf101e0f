"""Principals that a template may let in, of each kind in which one was once missing from the report."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.escalation.escalation_methods import takers, taking
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.read.managed_policies import aws_managed
from kms_patterns.access.read.reader import read_model

DECRYPT = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "documents"}}
OPEN = {"Ref": "Open"}

Build = Callable[..., AccessMatrix]


@pytest.fixture
def build(running: Simulator, tmp_path: Path) -> Build:
    def evaluate(**resources: Any) -> AccessMatrix:
        path = tmp_path / "Stack.template.json"
        parameters = {"Open": {"Type": "String"}}
        conditions = {"Strict": {"Fn::Equals": [{"Ref": "Open"}, "x"]}}
        path.write_text(json.dumps({"Parameters": parameters, "Conditions": conditions, "Resources": resources}))
        return build_with(read_model(path), running)

    return evaluate


def key(*statements: Any) -> dict[str, Any]:
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": list(statements)}}}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def strict(yes: Any, no: Any) -> dict[str, Any]:
    """Return a value that a deployment decides."""
    return {"Fn::If": ["Strict", yes, no]}


def inline(allowed: Any) -> list[dict[str, Any]]:
    return [{"PolicyName": "p", "PolicyDocument": document(allowed)}]


def may(action: str, on: Any = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on}


def role(**properties: Any) -> dict[str, Any]:
    return resource("AWS::IAM::Role", AssumeRolePolicyDocument=document(TRUST), **properties)


def trusting(principal: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": principal}
    return resource("AWS::IAM::Role", AssumeRolePolicyDocument=document(statement))


def call(service: str, action: str, parameters: str) -> dict[str, Any]:
    """Return what an ``AwsCustomResource`` of the CDK is in a template."""
    start = f'{{"service":"{service}","action":"{action}","parameters":{{"{parameters}":"'
    return resource("Custom::AWS", Create={"Fn::Join": ["", [start, {"Ref": "It"}, '","X":"y"}}']]})


CDK_CALL = call("Lambda", "addPermission", "FunctionName")
CDK_CALL["Properties"]["ServiceToken"] = {"Fn::GetAtt": ["AWS679f53fac002430cb0da5b7982bd22872D164C4C", "Arn"]}
CDK_CALL["Properties"]["Create"]["Fn::Join"][1][2] = '","Principal":"444444444444","Action":"lambda:InvokeFunction"}}'
GRANT = resource("AWS::S3::AccessGrant", Permission="READ", AccessGrantsLocationId={"Ref": "L"})
GRANT["Properties"]["Grantee"] = {"GranteeType": "IAM", "GranteeIdentifier": "arn:aws:iam::999999999999:role/x"}


def reader(boundary: object) -> dict[str, Any]:
    return role(Policies=inline(DECRYPT), PermissionsBoundary=boundary)


def location(scope: object) -> dict[str, Any]:
    return resource("AWS::S3::AccessGrantsLocation", LocationScope=scope)


def named(role_name: object) -> dict[str, Any]:
    return DECRYPT | {"Principal": {"AWS": {"Fn::Sub": f"arn:aws:iam::${{AWS::AccountId}}:role/{role_name}"}}}


NOTHING = {"Ref": "AWS::NoValue"}
ROOT_MAY = may("kms:*") | {"Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}}
S3_ONLY = {"PermissionsBoundary": {"ManagedPolicyArn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}}
BY_PATH = {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/operators/*"}}
OF_OPERATORS = {"Principal": "*", "Condition": BY_PATH}
DELEGATED, CLOSED = key(ROOT_MAY), key(named("administrator"))
LIMIT = resource("AWS::IAM::ManagedPolicy", PolicyDocument=document(may("s3:*")))
READER = role(Policies=inline(DECRYPT))
TAKEN_OFF = resource("Custom::AWS", Create={"Fn::Join": ["", ["deleteRolePermissionsBoundary ", {"Ref": "User"}]]})
STAFF = resource("AWS::IAM::Group", Policies=inline(DECRYPT))
DECRYPTION, READING, INVOCATION = "kms:Decrypt", "s3:GetObject", "lambda:InvokeFunction"
FUNCTION = resource("AWS::Lambda::Function", FunctionName="f")
PUBLIC = may(READING, "arn:aws:s3:::documents/*") | {"Principal": "*"}
OUTSIDE = "anyone outside"
WEB = "sts:AssumeRoleWithWebIdentity"
MACRO = {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3://x"}}}
WRITER = [{"ObjectOwnership": "ObjectWriter"}]


@pytest.mark.parametrize(
    ("resources", "who", "action"),
    [
        pytest.param({"It": it, "User": user, "B": LIMIT, **more}, who, action, id=name)
        for name, it, user, who, action, more in [
            ("boundary-if", DELEGATED, reader(strict({"Ref": "B"}, NOTHING)), "User", DECRYPTION, {}),
            ("boundary-if-unknown", DELEGATED, reader(strict({"Ref": "B"}, OPEN)), "User", DECRYPTION, {}),
            ("boundary-taken-off", DELEGATED, reader({"Ref": "B"}), "User", DECRYPTION, {"C": TAKEN_OFF}),
            (
                "default-key-policy-if",
                resource("AWS::KMS::Key", KeyPolicy=strict(CLOSED["Properties"]["KeyPolicy"], NOTHING)),
                READER,
                "User",
                DECRYPTION,
                {},
            ),
            (
                "default-replica-policy-if",
                resource(
                    "AWS::KMS::ReplicaKey",
                    PrimaryKeyArn="arn:aws:kms:eu-west-1:111122223333:key/mrk-1",
                    KeyPolicy=strict(CLOSED["Properties"]["KeyPolicy"], NOTHING),
                ),
                READER,
                "User",
                DECRYPTION,
                {},
            ),
            (
                "group-if",
                DELEGATED,
                resource("AWS::IAM::User", Groups=[strict(NOTHING, {"Ref": "G"})]),
                "User",
                DECRYPTION,
                {"G": STAFF},
            ),
            (
                "groups-if",
                DELEGATED,
                resource("AWS::IAM::User", Groups=strict(NOTHING, [{"Ref": "G"}])),
                "User",
                DECRYPTION,
                {"G": STAFF},
            ),
            (
                "added-to-group-if",
                DELEGATED,
                resource("AWS::IAM::User"),
                "User",
                DECRYPTION,
                {
                    "G": STAFF,
                    "A": resource(
                        "AWS::IAM::UserToGroupAddition",
                        GroupName={"Ref": "G"},
                        Users=[strict(NOTHING, {"Ref": "User"})],
                    ),
                },
            ),
            (
                "added-to-group-unknown-user",
                DELEGATED,
                resource("AWS::IAM::User", UserName="bob"),
                "User",
                DECRYPTION,
                {"G": STAFF, "A": resource("AWS::IAM::UserToGroupAddition", GroupName={"Ref": "G"}, Users=[OPEN])},
            ),
            (
                "added-to-group-elsewhere",
                DELEGATED,
                resource("AWS::IAM::User", Groups=[{"Ref": "G"}]),
                "user/carol",
                DECRYPTION,
                {"G": STAFF, "A": resource("AWS::IAM::UserToGroupAddition", GroupName={"Ref": "G"}, Users=["carol"])},
            ),
            ("dynamic-role-name", key(named("{{resolve:ssm:/name}}")), role(RoleName="reader"), "User", DECRYPTION, {}),
            (
                "dynamic-role-name-with-variable",
                key(named("{{resolve:ssm:/${Open}}}")),
                role(RoleName="reader"),
                "User",
                DECRYPTION,
                {},
            ),
            (
                "dynamic-account",
                key(DECRYPT | {"Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::{{resolve:ssm:/a}}:role/reader"}}}),
                role(RoleName="reader"),
                "User",
                DECRYPTION,
                {},
            ),
            ("macro-beside", CLOSED | {"Properties": CLOSED["Properties"] | MACRO}, READER, OUTSIDE, DECRYPTION, {}),
            ("macro-among-resources", CLOSED, role(), OUTSIDE, DECRYPTION, MACRO),
            ("macro-in-role", DELEGATED, role(**MACRO), "User", DECRYPTION, {}),
            ("custom-grant", CLOSED, role(), OUTSIDE, DECRYPTION, {"C": call("KMS", "createGrant", "KeyId")}),
            (
                "custom-key-policy",
                key(ROOT_MAY, DECRYPT | {"Effect": "Deny", "Principal": "*"}),
                READER,
                "User",
                DECRYPTION,
                {"C": call("KMS", "putKeyPolicy", "KeyId")},
            ),
            ("custom-bucket-policy", BUCKET, role(), OUTSIDE, READING, {"C": call("S3", "putBucketPolicy", "Bucket")}),
            (
                "custom-permission",
                FUNCTION,
                role(),
                OUTSIDE,
                INVOCATION,
                {"C": call("Lambda", "addPermission", "FunctionName")},
            ),
            (
                "custom-attachment",
                DELEGATED,
                role(),
                "User",
                DECRYPTION,
                {"C": resource("Custom::AWS", Create={"Fn::Join": ["", ["attachRolePolicy ", {"Ref": "User"}]]})},
            ),
            (
                "custom-trust",
                role(),
                role(),
                OUTSIDE,
                "sts:AssumeRole",
                {"C": call("IAM", "updateAssumeRolePolicy", "RoleName")},
            ),
            *(
                (f"acl-{name}", resource("AWS::S3::Bucket", **given), role(), who, action, {})
                for name, who, action, given in (
                    ("public", OUTSIDE, "s3:ListBucket", {"AccessControl": "PublicRead"}),
                    ("if", OUTSIDE, "s3:PutObject", {"AccessControl": strict("Private", "PublicReadWrite")}),
                    (
                        "unknown",
                        OUTSIDE,
                        "s3:PutObject",
                        {"AccessControl": OPEN, "OwnershipControls": {"Rules": WRITER}},
                    ),
                    ("logs", "logging.s3.amazonaws.com", "s3:PutObject", {"AccessControl": "LogDeliveryWrite"}),
                )
            ),
            (
                "access-point",
                BUCKET,
                role(Policies=inline(may(READING, {"Fn::Sub": "${P.Arn}/object/*"}))),
                "User",
                READING,
                {"P": resource("AWS::S3::AccessPoint", Bucket={"Ref": "It"}, Name="x")},
            ),
            (
                "access-point-of-all-regions",
                BUCKET,
                role(
                    Policies=inline(
                        may(READING, {"Fn::Sub": "arn:aws:s3::${AWS::AccountId}:accesspoint/${P.Alias}/object/*"})
                    )
                ),
                "User",
                READING,
                {"P": resource("AWS::S3::MultiRegionAccessPoint")},
            ),
            (
                "access-grant",
                BUCKET,
                role(),
                "arn:aws:iam::999999999999:role/x",
                READING,
                {
                    "P": resource(
                        "AWS::S3::AccessGrant",
                        Permission="READ",
                        Grantee={"GranteeType": "IAM", "GranteeIdentifier": "arn:aws:iam::999999999999:role/x"},
                    )
                },
            ),
            *(
                (f"access-grant-{number}", BUCKET, role(), "arn:aws:iam::999999999999:role/x", READING, more)
                for number, more in enumerate(
                    {"P": GRANT, "L": location(scope)}
                    for scope in ("s3://", "s3://documents/a*", OPEN, strict("s3://x/", "s3://documents/"))
                )
            ),
            ("cdk-permission", FUNCTION, role(), "account 444444444444", INVOCATION, {"C": CDK_CALL}),
            (
                "version",
                FUNCTION,
                role(Policies=inline(may(INVOCATION, {"Fn::Sub": "${It.Arn}:7"}))),
                "User",
                INVOCATION,
                {},
            ),
            (
                "alias",
                FUNCTION,
                role(Policies=inline(may(INVOCATION, {"Ref": "P"}))),
                "User",
                INVOCATION,
                {"P": resource("AWS::Lambda::Alias", FunctionName={"Ref": "It"}, Name="live")},
            ),
            (
                "alias-of-any-region",
                FUNCTION,
                role(
                    Policies=inline(may(INVOCATION, {"Fn::Sub": "arn:aws:lambda:*:${AWS::AccountId}:function:f:live"}))
                ),
                "User",
                INVOCATION,
                {},
            ),
            ("provider-unknown", trusting({"Federated": OPEN}), role(), "Federated <Open>", WEB, {}),
            (
                "provider-of-custom-resource",
                trusting({"Federated": {"Ref": "P"}}),
                role(),
                "Federated <P>",
                WEB,
                {"P": resource("Custom::Provider")},
            ),
            (
                "provider-by-domain",
                trusting({"Federated": "accounts.google.com"}),
                role(),
                "Federated accounts.google.com",
                WEB,
                {},
            ),
            *(
                (f"service-of-{place}", key(DECRYPT | {"Principal": {"Service": name}}), role(), name, DECRYPTION, {})
                for place, name in (("china", "ec2.amazonaws.com.cn"), ("the-sovereign-cloud", "ec2.amazonaws.eu"))
            ),
            (
                "permission-set",
                DELEGATED,
                resource("AWS::SSO::PermissionSet", Name="Developer", InlinePolicy=document(DECRYPT)),
                "any with permission set Stack/User",
                DECRYPTION,
                {},
            ),
            (
                "permission-set-as-text",
                DELEGATED,
                resource("AWS::SSO::PermissionSet", Name="Developer", InlinePolicy=json.dumps(document(DECRYPT))),
                "any with permission set Stack/User",
                DECRYPTION,
                {},
            ),
            (
                "permission-set-managed",
                DELEGATED,
                resource(
                    "AWS::SSO::PermissionSet",
                    Name="Developer",
                    ManagedPolicies=["arn:aws:iam::aws:policy/AdministratorAccess"],
                ),
                "any with permission set Stack/User",
                DECRYPTION,
                {},
            ),
            (
                "account-of-custom-resource",
                key(
                    DECRYPT | {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": {"Ref": "P"}}}}
                ),
                role(),
                "account <P>",
                DECRYPTION,
                {"P": resource("Custom::Account")},
            ),
        ]
    ],
)
def test_principal_that_may_is_listed(resources: dict[str, Any], who: str, action: str, build: Build) -> None:
    """Of each kind of template in which a principal was missing from the report."""
    entries = build(**resources).entries
    found = {entry.principal.removeprefix("Stack/") for entry in entries if entry.action == action}
    assert who.removeprefix("Stack/") in {item.replace("<Stack.", "<") for item in found}


@pytest.mark.parametrize(
    ("resources", "who", "action"),
    [
        (
            {"It": DELEGATED, "User": role(Policies=inline(DECRYPT), PermissionsBoundary={"Ref": "B"}), "B": LIMIT},
            "User",
            DECRYPTION,
        ),
        ({"It": FUNCTION, "C": CDK_CALL}, OUTSIDE, INVOCATION),
        ({"It": BUCKET, "P": GRANT, "L": location("s3://other/x*")}, "x", READING),
        ({"It": CLOSED, "C": resource("Custom::AWS", Create="listGrants")}, OUTSIDE, DECRYPTION),
        (
            {
                "It": resource(
                    "AWS::S3::Bucket",
                    AccessControl="PublicRead",
                    PublicAccessBlockConfiguration={"IgnorePublicAcls": True},
                )
            },
            OUTSIDE,
            "s3:ListBucket",
        ),
        (
            {
                "It": resource(
                    "AWS::S3::Bucket",
                    AccessControl="PublicRead",
                    OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                )
            },
            OUTSIDE,
            "s3:ListBucket",
        ),
        (
            {"It": FUNCTION, "User": role(Policies=inline(may(INVOCATION, "arn:aws:lambda:*:*:function:other:live")))},
            "User",
            INVOCATION,
        ),
    ],
)
def test_principal_that_may_not_is_not_listed(resources: dict[str, Any], who: str, action: str, build: Build) -> None:
    entries = build(**resources).entries
    assert who not in {entry.principal.removeprefix("Stack/") for entry in entries if entry.action == action}


@pytest.mark.parametrize(
    ("pattern", "who"),
    [
        *((pattern, {"Allowed", "Limited"}) for pattern in ("*:*:*/*", "*:key/*", "*:*:?ey/*")),
        *((pattern, {"Denied"}) for pattern in ("*:*:alias*/*", "*:function:*")),
    ],
)
def test_star_of_a_resource_stands_for_several_fields(pattern: str, who: set[str], build: Build) -> None:
    by_star = {**DECRYPT, "Resource": f"arn:aws:kms:{pattern}"}
    both = [{"PolicyName": "p", "PolicyDocument": document(DECRYPT, {**by_star, "Effect": "Deny"})}]
    resources = {"Allowed": role(Policies=inline(by_star)), "Denied": role(Policies=both)}
    resources["Limit"] = resource("AWS::IAM::ManagedPolicy", PolicyDocument=document(by_star))
    resources["Limited"] = role(Policies=inline(DECRYPT), PermissionsBoundary={"Ref": "Limit"})
    found = build(It=DELEGATED, **resources).entries
    reaching = {entry.principal.removeprefix("Stack/") for entry in found if entry.action == DECRYPTION}
    assert reaching & {*resources} == who


@pytest.mark.parametrize(
    ("more", "who"),
    [
        ({"User": resource("AWS::IAM::User", Policies=inline(DECRYPT), Groups=[{"Ref": "G"}])}, "User"),
        ({"It": key(ROOT_MAY, may("kms:*") | OF_OPERATORS), "User": role()}, "User"),
        ({"User": role(Policies=inline(may(DECRYPTION, "arn:aws:kms:*:*:key/mrk-*")))}, "User"),
        ({"P": resource("AWS::SSO::PermissionSet", InlinePolicy=document(DECRYPT), **S3_ONLY)}, "any with .* Stack/P"),
    ],
)
def test_principal_that_surely_may_not_is_not_listed_as_possible(more: Any, who: str, build: Build) -> None:
    group = resource("AWS::IAM::Group", Policies=inline({**DECRYPT, "Effect": "Deny"}))
    entries = build(**{"It": DELEGATED, "G": group, **more}).entries
    assert not [it for it in entries if it.action == DECRYPTION and re.fullmatch(f"(Stack/)?{who}", it.principal)]


def test_user_that_manages_its_own_access_keys_becomes_no_other(build: Build) -> None:
    own = may("iam:CreateAccessKey", "arn:aws:iam::*:user/${aws:username}")
    users = {name: resource("AWS::IAM::User", Policies=inline(it)) for name, it in (("Own", own), ("Reader", DECRYPT))}
    assert not [item for item in build(It=DELEGATED, **users).escalations if item.principal == "Stack/Own"]


def test_service_that_acts_as_a_role_takes_it_from_actions_of_another() -> None:
    assert "ec2" in takers("vpc-flow-logs.amazonaws.com")
    assert {"ec2:CreateFlowLogs", "cognito-idp:CreateUserPool"} <= taking().keys()


def test_macro_of_the_whole_template_may_allow_anything(running: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "Stack.template.json"
    path.write_text(json.dumps({"Transform": "Company", "Resources": {"It": CLOSED}}))
    found = build_with(read_model(path), running)
    assert OUTSIDE in {entry.principal for entry in found.entries if entry.action == DECRYPTION}


def denied_but(operator: str, name: str, value: Any) -> dict[str, Any]:
    everyone = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    return everyone | {"Condition": {operator: {name: value}}}


CI = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/ci"}
HERE, LITERAL = "arn:aws:iam::<account>:role/ci", "arn:aws:iam::111122223333:role/ci"
ANYONE = may("kms:*") | {"Principal": "*"}


@pytest.mark.parametrize(
    ("statements", "who"),
    [
        ([ROOT_MAY, denied_but("ArnNotEquals", "aws:PrincipalArn", CI)], HERE),
        ([ROOT_MAY, denied_but("StringNotLike", "aws:principalarn", [CI, "arn:aws:iam::*:role/other-*"])], HERE),
        (
            [ROOT_MAY, denied_but("ArnNotLikeIfExists", "aws:PrincipalArn", LITERAL)],
            "role/ci if <account> is 111122223333",
        ),
        (
            [ROOT_MAY, {"Effect": "Deny", "NotPrincipal": {"AWS": LITERAL}, "Action": "*", "Resource": "*"}],
            "role/ci if <account> is 111122223333",
        ),
        ([ANYONE, denied_but("StringNotEquals", "kms:CallerAccount", "222222222222")], "account 222222222222"),
        ([ANYONE, denied_but("StringNotLike", "aws:PrincipalAccount", "2222*")], "account 2222*"),
        ([ANYONE, denied_but("StringNotEquals", "aws:PrincipalServiceName", "s3.amazonaws.com")], "s3.amazonaws.com"),
        ([ANYONE, denied_but("Bool", "aws:PrincipalIsAWSService", "false")], "any-service.amazonaws.com"),
        ([ROOT_MAY, denied_but("StringNotEquals", "aws:username", "bob")], "any other user"),
        ([ROOT_MAY, denied_but("StringNotEquals", "aws:PrincipalType", "Account")], "root user of this account"),
        ([ROOT_MAY | {"Condition": {"StringEquals": {"aws:PrincipalType": "User"}}}], "any other user"),
        (
            [ROOT_MAY | {"Condition": {"ArnEquals": {"aws:PrincipalArn": ROOT_MAY["Principal"]["AWS"]}}}],
            "root user of this account",
        ),
    ],
)
def test_principal_that_a_denial_spares_is_listed(statements: list[Any], who: str, build: Build) -> None:
    """Though no Allow names it: an Allow of the account's root, or of everyone, is all that it needs."""
    found = build(It=key(*statements)).entries
    assert who in {entry.principal for entry in found if entry.action == DECRYPTION}


def test_principal_that_a_denial_spares_stays_where_an_allow_names_it(build: Build) -> None:
    """Both have one id: what one resource spares does not replace what another one allows."""
    named = DECRYPT | {"Principal": {"AWS": "arn:aws:iam::222222222222:root"}}
    spared = denied_but("StringNotEquals", "aws:PrincipalAccount", "222222222222")
    found = build(It=key(named), Other=key(ANYONE, spared)).entries
    where = {
        entry.resource for entry in found if (entry.principal, entry.action) == ("account 222222222222", DECRYPTION)
    }
    assert where == {"Stack/It", "Stack/Other"}


@pytest.mark.parametrize("spared", ["222222222222", "444444444444"])
def test_account_is_asked_about_in_every_account_that_names_it(spared: str, running: Simulator, tmp_path: Path) -> None:
    allowed = may("kms:*") | {"Principal": {"AWS": "222222222222"}}
    denied = denied_but("StringNotEquals", "aws:PrincipalAccount", spared)
    entries = in_two_accounts({"One": [allowed], "Three": [ANYONE, denied]}, running, tmp_path).entries
    who = {(entry.resource, entry.principal) for entry in entries if entry.action == DECRYPTION}
    assert {("One/It", "account 222222222222"), ("Three/It", f"account {spared}")} <= who


def test_name_in_every_account_is_a_principal_of_each(running: Simulator, tmp_path: Path) -> None:
    named = {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/app-*"}}
    policy = [may("kms:*") | {"Principal": "*", "Condition": named}]
    entries = in_two_accounts({"One": policy, "Three": policy}, running, tmp_path).entries
    found = {(entry.resource, entry.principal) for entry in entries if entry.action == DECRYPTION}
    alone = {(place, who) for place, who in found if who.startswith("role/app-*") and "alone" in who}
    assert {resource for resource, _ in alone} == {"One/It", "Three/It"}
    assert len({principal for _, principal in alone}) == 2


def in_two_accounts(policies: dict[str, list[Any]], running: Simulator, folder: Path) -> AccessMatrix:
    """Evaluate an assembly of two stacks, in the accounts 111122223333 and 333333333333, each with a key."""
    stacks = {}
    for (name, policy), account in zip(policies.items(), ("111122223333", "333333333333"), strict=True):
        (folder / f"{name}.template.json").write_text(json.dumps({"Resources": {"It": key(*policy)}}))
        stacks[name] = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{account}/eu-west-1",
            "properties": {"templateFile": f"{name}.template.json"},
        }
    (folder / "manifest.json").write_text(json.dumps({"version": "38.0.0", "artifacts": stacks}))
    return build_with(read_model(folder), running)


def test_spared_principal_is_not_asked_about_elsewhere(build: Build) -> None:
    found = build(It=key(ROOT_MAY, denied_but("ArnNotEquals", "aws:PrincipalArn", CI)), Other=key(ROOT_MAY)).entries
    assert {entry.resource for entry in found if entry.principal == HERE} == {"Stack/It"}


@pytest.mark.parametrize(
    ("arn", "action"),
    [
        ("arn:aws:iam::aws:policy/ReadOnlyAccess", "s3:Get*"),
        ("arn:aws:iam::aws:policy/job-function/SupportUser", "kms:Describe*"),
        ("arn:aws-us-gov:iam::aws:policy/service-role/AWSLambdaRole", "lambda:InvokeFunction"),
    ],
)
def test_published_managed_policy_is_read(arn: str, action: str) -> None:
    found = aws_managed(arn)
    assert found
    assert found[0] == arn.split(":policy/")[1]
    assert any(action in statement["Action"] for statement in found[1]["Statement"])


@pytest.mark.parametrize("name", ["SupportUser", "NotPublished", "ReadOnlyAccess/x"])
def test_policy_that_is_not_published_is_not_guessed(name: str) -> None:
    assert aws_managed(f"arn:aws:iam::aws:policy/{name}") is None
