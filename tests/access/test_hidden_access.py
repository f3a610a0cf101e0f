"""What a template hides: conditions, names that AWS chooses, stacks that are elsewhere, changes beside policies."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.comparison import compare
from kms_patterns.access.evaluate.evaluation import Names
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.read.template import Template
from kms_patterns.access.report.difference_text import difference_as_text
from kms_patterns.access.report.wording import in_words
from kms_patterns.access.sources import Sources
from tests.access.test_inputs import ANYONE, PUT, ROOT, key, resource


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def to_file(template: Any, name: str = "S.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(template))
        return path

    return to_file


USE = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
OWN = {"Effect": "Allow", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "Action": "kms:*"}
KEY_OF_IAM = key({**OWN, "Resource": "*"})
REF_R, REF_B, TEXT, LIST = {"Ref": "R"}, {"Ref": "B"}, {"Type": "String"}, {"Type": "CommaDelimitedList"}
BUCKET, PUBLIC = resource("AWS::S3::Bucket", BucketName="bkt"), {"Effect": "Allow", "Principal": "*", "Resource": "*"}
UNKNOWN = {"Fn::ImportValue": "x"}
TEAM = [{"Key": "team", "Value": UNKNOWN}]
READ, PUBLIC_KEY = {**USE, "Action": "s3:*"}, {**PUBLIC, "Action": "kms:*"}
FALSE, YES = {"Type": "String", "Default": "false"}, {"Fn::Equals": [{"Ref": "P"}, "yes"]}


def of_role(*statements: Any, version: str = "2012-10-17", **more: Any) -> dict[str, Any]:
    policies = [{"PolicyName": "p", "PolicyDocument": {"Version": version, "Statement": list(statements)}}]
    return resource("AWS::IAM::Role", Policies=policies, **more)


def where(prefix: str) -> dict[str, Any]:
    return {
        "Condition": {"ArnLike": {"aws:PrincipalArn": {"Fn::Sub": f"arn:aws:iam::${{AWS::AccountId}}:role/{prefix}"}}}
    }


def told(*words: str, **more: Any) -> dict[str, Any]:
    return resource("::".join(words), **more)


def role_of_unknown_account(name: str) -> dict[str, Any]:
    return {"Fn::Sub": [f"arn:aws:iam::${{A}}:role/{name}", {"A": UNKNOWN}]}


@pytest.mark.parametrize(
    ("condition", "parameter"),
    [
        ({"Fn::Equals": [{"Ref": "P"}, True]}, {"Type": "String", "Default": "true"}),
        ({"Fn::Equals": [{"Ref": "P"}, "true"]}, {"Type": "String", "Default": True}),
        ({"Fn::Equals": [{"Fn::Sub": "${P}"}, "1"]}, {"Type": "Number", "Default": 1}),
        ({"Fn::Not": [{"Fn::Equals": [{"Ref": "P"}, True]}]}, FALSE),
        ({"Fn::Equals": [{"Fn::Length": {"Ref": "P"}}, 2]}, LIST),
        ({"Fn::Equals": [{"Fn::Length": {"Fn::Split": [",", {"Ref": "P"}]}}, "2"]}, TEXT),
        ({"Fn::Equals": [{"Fn::Length": ["a", "b"]}, "2"]}, TEXT),
        ({"Fn::Equals": [{"Fn::Select": [1, {"Fn::Split": ["-", {"Fn::Sub": "${P}-app-x"}]}]}, "prod"]}, TEXT),
        ({"Fn::Equals": [{"Fn::If": ["Yes", "a", "b"]}, "b"]}, TEXT),
        ({"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws-cn"]}, TEXT),
        ({"Fn::Equals": [{"Fn::Sub": "x.${AWS::URLSuffix}"}, "x.amazonaws.com.cn"]}, TEXT),
        ({"Fn::Equals": [{"Ref": "AWS::StackName"}, "prod"]}, TEXT),
        ({"Fn::Not": [{"Fn::Equals": ["{{resolve:ssm:/a/b}}", "{{resolve:ssm:/a-b}}"]}]}, TEXT),
        ({"Fn::Not": [{"Fn::Equals": [{"Fn::ImportValue": "a:b"}, {"Fn::ImportValue": "a/b"}]}]}, TEXT),
        ({"Fn::Not": [{"Fn::Equals": [{"Fn::ImportValue": "a/b"}, {"Fn::ImportValue": "a\u012fb"}]}]}, TEXT),
        ({"Fn::Equals": [{"Fn::Select": [0, {"Fn::Split": ["-", {"Ref": "AWS::Region"}]}]}, "us"]}, TEXT),
        ({"Fn::Equals": [{"Fn::Select": [0, {"Fn::Split": ["e", {"Ref": "AWS::Region"}]}]}, "us-"]}, TEXT),
    ],
)
def test_what_exists_under_a_condition_that_may_hold_is_listed(
    condition: Any, parameter: Any, write: Callable[..., Path], running: Simulator
) -> None:
    resources = {"K": KEY_OF_IAM, "R": {**of_role(USE), "Condition": "C"}}
    template = {"Parameters": {"P": parameter}, "Conditions": {"C": condition, "Yes": YES}, "Resources": resources}
    found = build_with(read_model(write(template)), running)
    assert ("S/R", "kms:Decrypt") in {(entry.principal, entry.action) for entry in found.entries}


@pytest.mark.parametrize(
    ("resources", "who", "cell"),
    [
        ({"K": key({**PUBLIC, "Action": "kms:*", **where("S-R-*")}), "R": of_role()}, "S/R", "kms:Decrypt"),
        (
            {"K": key({**PUBLIC, "Action": "kms:*", **where("prod-R-????????????")}), "R": of_role()},
            "S/R",
            "kms:Decrypt",
        ),
        (
            {
                "B": told("AWS", "S3", "Bucket"),
                "R": of_role({**USE, "Action": "s3:*", "Resource": "arn:aws:s3:::prod-*/*"}),
            },
            "S/R",
            "s3:GetObject",
        ),
        (
            {
                "K": KEY_OF_IAM,
                "R": of_role(),
                "N": told("AWS", "CloudFormation", "Stack", TemplateURL="https://x", Parameters={"Role": REF_R}),
            },
            "S/R",
            "kms:Decrypt",
        ),
        (
            {"K": KEY_OF_IAM, "R": of_role(), "N": told("Vendor", "Iam", "Attachment", RoleName=REF_R)},
            "S/R",
            "kms:Decrypt",
        ),
        (
            {"B": BUCKET, "N": told("AWS", "CloudFormation", "StackSet", Parameters=[{"ParameterValue": REF_B}])},
            "anyone outside",
            "s3:GetObject",
        ),
        (
            {
                "K": KEY_OF_IAM,
                "R": of_role(
                    USE,
                    {
                        **USE,
                        "Effect": "Deny",
                        "Condition": {"StringEquals": {"aws:PrincipalArn": "${aws:PrincipalArn}"}},
                    },
                    version="2008-10-17",
                ),
            },
            "S/R",
            "kms:Decrypt",
        ),
        (
            {"B": BUCKET, "R": of_role({**USE, "Action": "s3:*", "Resource": "arn:aws:s3:::bkt/a${*}b"})},
            "S/R",
            "s3:GetObject",
        ),
        (
            {
                "B": BUCKET,
                "R": of_role(
                    {**USE, "Action": "s3:*", "Resource": "arn:aws:s3:::bkt/${aws:PrincipalTag/Team}/*"},
                    Tags=[{"Key": "team", "Value": "x"}],
                ),
            },
            "S/R",
            "s3:GetObject",
        ),
        (
            {
                "B": resource("AWS::S3::Bucket", BucketName={"Fn::Sub": "data-${AWS::Region}"}),
                "R": of_role({**USE, "Action": "s3:*", "Resource": "arn:aws:s3:::data-eu-west-1/*"}),
            },
            "S/R",
            "s3:GetObject",
        ),
        (
            {
                "B": resource("AWS::S3::Bucket", BucketName="data-111111111111"),
                "R": of_role(
                    {**USE, "Action": "s3:*", "Resource": {"Fn::Sub": "arn:aws:s3:::data-${AWS::AccountId}/*"}}
                ),
            },
            "S/R",
            "s3:GetObject",
        ),
        (
            {
                "K": key({**PUBLIC, "Action": "kms:*", **where("app-eu-west-1")}),
                "R": of_role(RoleName={"Fn::Sub": "app-${AWS::Region}"}),
            },
            "S/R",
            "kms:Decrypt",
        ),
        (
            {
                "K": key({**PUBLIC, "Action": "kms:*", "Condition": {"StringEquals": {"aws:PrincipalTag/r": "x-1"}}}),
                "R": of_role(Tags=[{"Key": "r", "Value": {"Ref": "AWS::Region"}}]),
            },
            "S/R",
            "kms:Decrypt",
        ),
        ({"K": key({**PUBLIC, "Action": "kms:*", "Sid": 1})}, "anyone outside", "kms:Decrypt"),
        (
            {"K": key({"effect": "Allow", "principal": "*", "action": "kms:*", "resource": "*"})},
            "anyone outside",
            "kms:Decrypt",
        ),
        ({"K": resource("AWS::KMS::Key", KeyPolicy={"statement": [PUBLIC]})}, "anyone outside", "kms:Decrypt"),
        ({"K": KEY_OF_IAM, "R": of_role({**USE, "Action": "*:*"})}, "S/R", "kms:Decrypt"),
        (
            {
                "K": KEY_OF_IAM,
                "R": of_role({**USE, "Effect": "Deny"}),
                "P": told("AWS", "IAM", "Policy", PolicyName="p", Roles=[REF_R], PolicyDocument={"Statement": [USE]}),
            },
            "S/R",
            "kms:Decrypt",
        ),
        (
            {
                "K": key(),
                "R": of_role(),
                "G": told(
                    "Custom",
                    "KmsGrant",
                    Grant={
                        "KeyId": {"Fn::ImportValue": "k"},
                        "GranteePrincipal": {"Fn::GetAtt": ["R", "Arn"]},
                        "Operations": ["Decrypt"],
                    },
                ),
            },
            "S/R",
            "kms:Decrypt",
        ),
        (
            {
                "K": key(),
                "R": of_role(),
                "G": told(
                    "Custom",
                    "KmsGrant",
                    Grant={
                        "KeyId": {"Ref": "K"},
                        "GranteePrincipal": "x.amazonaws.com",
                        "RetiringPrincipal": {"Fn::GetAtt": ["R", "Arn"]},
                        "Operations": ["Decrypt"],
                    },
                ),
            },
            "S/R",
            "kms:RetireGrant",
        ),
        (
            {
                "B": {
                    **BUCKET,
                    "Properties": {
                        "BucketName": "bkt",
                        "PublicAccessBlockConfiguration": {"RestrictPublicBuckets": True},
                    },
                },
                "Q": told(
                    "AWS",
                    "S3",
                    "BucketPolicy",
                    Bucket=REF_B,
                    PolicyDocument={
                        "Statement": [{**PUBLIC, "Action": "s3:*", "Principal": {"AWS": {"Fn::ImportValue": "who"}}}]
                    },
                ),
            },
            "principal <import who>",
            "s3:GetObject",
        ),
        (
            {"B": told("AWS", "S3", "Bucket"), "R": of_role(READ | {"Resource": "arn:aws:s3:::app-b-1dzetitowekvo/*"})},
            "S/R",
            "s3:GetObject",
        ),
        ({"K": key(PUBLIC_KEY | where("App-R-1DZETITOWEKVO")), "R": of_role()}, "S/R", "kms:Decrypt"),
        (
            {
                "B": BUCKET,
                "R": of_role(READ | {"Resource": "arn:aws:s3:::bkt/home/${aws:PrincipalTag/team}/*"}, Tags=TEAM),
            },
            "S/R",
            "s3:GetObject",
        ),
        (
            {
                "K": resource(
                    "AWS::KMS::Key", KeyPolicy={"Statement": [{**OWN, "Resource": "*"}]}, MultiRegion=UNKNOWN
                ),
                "R": of_role({**USE, "Resource": "arn:aws:kms:*:*:key/mrk-*"}),
            },
            "S/R",
            "kms:Decrypt",
        ),
        (
            {
                "K": KEY_OF_IAM,
                "R": of_role(),
                "N": told(
                    "AWS",
                    "CloudFormation",
                    "Stack",
                    TemplateURL="https://x",
                    Parameters={"Roles": {"Fn::Join": [",", [REF_R, {"Ref": "K"}]]}},
                ),
            },
            "S/R",
            "kms:Decrypt",
        ),
        (
            {"K": key({**USE, "Principal": {"AWS": role_of_unknown_account("App-R-AbCdEf123456")}}), "R": of_role()},
            "S/R",
            "kms:Decrypt",
        ),
        (
            {
                "K": key(PUBLIC_KEY | {"Condition": {"StringEquals": {"aws:PrincipalTag/r": "app:us-east-1:prod"}}}),
                "R": of_role(Tags=[{"Key": "r", "Value": {"Fn::Sub": "app:${AWS::Region}:prod"}}]),
            },
            "S/R",
            "kms:Decrypt",
        ),
        (
            {
                "K": key(
                    PUBLIC_KEY | {"Condition": {"StringEquals": {"aws:PrincipalTag/r": "arn:aws:a:us-east-1:b:c"}}}
                ),
                "R": of_role(Tags=[{"Key": "r", "Value": {"Fn::Sub": "arn:aws:a:${AWS::Region}:b:c"}}]),
            },
            "S/R",
            "kms:Decrypt",
        ),
    ],
)
def test_who_may_by_what_only_aws_knows_is_listed(
    resources: Any, who: str, cell: str, write: Callable[..., Path], running: Simulator
) -> None:
    found = build_with(read_model(write({"Resources": resources})), running)
    assert (who, cell) in {(entry.principal, entry.action) for entry in found.entries}


def test_deny_of_a_nested_stack_that_a_condition_makes_is_not_sure(
    write: Callable[..., Path], running: Simulator
) -> None:
    deny = {"Statement": [{**USE, "Effect": "Deny"}]}
    policy = resource("AWS::IAM::Policy", PolicyName="d", Roles=[{"Ref": "Role"}], PolicyDocument=deny)
    write({"Parameters": {"Role": TEXT}, "Resources": {"D": policy}}, "inner.json")
    nested = {
        **resource("AWS::CloudFormation::Stack", TemplateURL="inner.json", Parameters={"Role": REF_R}),
        "Condition": "C",
    }
    resources = {"K": KEY_OF_IAM, "R": of_role(USE), "N": nested}
    path = write({"Parameters": {"P": TEXT}, "Conditions": {"C": YES}, "Resources": resources})
    found = build_with(read_model(path), running)
    (entry,) = [entry for entry in found.entries if (entry.principal, entry.action) == ("S/R", "kms:Decrypt")]
    assert in_words(entry.condition) == "not (condition S.C)"


@pytest.mark.parametrize(
    "given", [{"Ref": "AWS::Partition"}, {"Fn::Sub": "${AWS::Partition}"}, {"Fn::GetAtt": ["O", "Outputs.P"]}]
)
def test_nested_stack_is_told_what_only_its_region_decides(
    given: Any, write: Callable[..., Path], running: Simulator
) -> None:
    cond = {"C": {"Fn::Equals": [{"Ref": "P"}, "aws-cn"]}}
    inner = {"K": KEY_OF_IAM, "R": {**of_role(USE), "Condition": "C"}}
    write({"Parameters": {"P": TEXT}, "Conditions": cond, "Resources": inner}, "inner.json")
    write({"Outputs": {"P": {"Value": {"Ref": "AWS::Partition"}}}, "Resources": {"K": KEY_OF_IAM}}, "other.json")
    stack = "AWS::CloudFormation::Stack"
    nested = resource(stack, TemplateURL="inner.json", Parameters={"P": given})
    path = write({"Resources": {"N": nested, "O": resource(stack, TemplateURL="other.json")}})
    found = build_with(read_model(path), running)
    assert ("S/N/R", "kms:Decrypt") in {(entry.principal, entry.action) for entry in found.entries}


ASSUMED = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
SESSION = {**ASSUMED, "Action": ["sts:AssumeRole", "sts:TagSession"]}
OF_TEAM = {**PUBLIC_KEY, "Action": "kms:Decrypt", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}


REPLICATED = {"Statement": [{**OWN, "Action": ["kms:DescribeKey", "kms:ReplicateKey"], "Resource": "*"}]}
TAGGED_ONLY, SESSIONS = {"Statement": [OF_TEAM]}, {"Statement": [SESSION]}
MAYBE = {"Fn::If": ["C", True, {"Ref": "AWS::NoValue"}]}
REPLICATE = {"Action": "kms:ReplicateKey"}
OF_R = {"K": {"KeyPolicy": TAGGED_ONLY}, "U": {"Action": "iam:TagRole", "Resource": {"Fn::GetAtt": ["R", "Arn"]}}}
EITHER = {"Fn::If": ["C", [{"Key": "a", "Value": "b"}], {"Ref": "AWS::NoValue"}]}


@pytest.mark.parametrize(
    ("made", "method", "target"),
    [
        ({"K": {"KeyPolicy": REPLICATED, "MultiRegion": UNKNOWN}, "U": REPLICATE}, "kms:ReplicateKey", "S/K"),
        ({"K": {"KeyPolicy": REPLICATED, "MultiRegion": MAYBE}, "U": REPLICATE}, "kms:ReplicateKey", "S/K"),
        ({**OF_R, "R": {"AssumeRolePolicyDocument": SESSIONS}}, "iam:TagRole", "S/R"),
        ({**OF_R, "R": {"Tags": EITHER}}, "iam:TagRole", "S/R"),
    ],
)
def test_path_over_what_only_aws_knows_is_listed(
    made: Any, method: str, target: str, write: Callable[..., Path], running: Simulator
) -> None:
    resources = {
        "K": resource("AWS::KMS::Key", **made["K"]),
        "R": resource("AWS::IAM::Role", **{"AssumeRolePolicyDocument": {"Statement": [ASSUMED]}, **made.get("R", {})}),
        "U": of_role({**USE, **made["U"]}),
    }
    template = {"Parameters": {"P": TEXT}, "Conditions": {"C": YES}, "Resources": resources}
    found = build_with(read_model(write(template)), running).escalations
    steps = {
        (name, step.target) for item in found if item.principal == "S/U" for step in item.path for name in step.methods
    }
    assert (method, target) in steps


ROLES = {"K": KEY_OF_IAM, "R": of_role(USE), "S": resource("AWS::IAM::Role")}
ASSIGNED = {"PermissionSetArn": "arn:aws:sso:::permissionSet/x", "PrincipalType": "GROUP", "TargetId": "111111111111"}
TAGGED = {
    "Effect": "Allow",
    "Action": "kms:*",
    "Resource": "*",
    "Condition": {"StringEquals": {"aws:ResourceTag/a": "x"}},
}


def logged(who: Any) -> dict[str, Any]:
    said = ['{"Statement": [{"Effect": "Allow", "Action": "logs:*", "Principal": {"AWS": "', who, '"}}]}']
    return resource("AWS::Logs::ResourcePolicy", PolicyDocument={"Fn::Join": ["", said]})


QUEUE = resource("AWS::SQS::Queue")
OF_GROUP, MAPPED = {**PUT, "Resource": "a/${aws:username}"}, {"Fn::FindInMap": ["M", {"Ref": "AWS::AccountId"}, "x"]}
LISTENS = of_role({**USE, "Condition": {"StringEquals": {"kms:ViaService": MAPPED}}})
BY_ONE_PROPERTY = """
AppSync::GraphQLApi.AuthenticationType Cognito::UserPoolUserToGroupAttachment.Username Glue::DevEndpoint.PublicKey
Config::AggregationAuthorization.AuthorizedAccountId EC2::VerifiedAccessGroup.PolicyDocument
EC2::SnapshotBlockPublicAccess.State EKS::PodIdentityAssociation.ServiceAccount IdentityStore::GroupMembership.MemberId
OpenSearchServerless::AccessPolicy.Policy VerifiedPermissions::Policy.Definition
"""
NAMED = [item.partition(".") for item in BY_ONE_PROPERTY.split()]


def both(kind: str, before: dict[str, Any], after: dict[str, Any], **same: Any) -> tuple[Any, Any]:
    return tuple(resource(f"AWS::{kind}", **same, **way) for way in (before, after))  # type: ignore[return-value]


def setting(name: str, option: str, value: str) -> dict[str, Any]:
    return {"Options": [{"Namespace": "x", name: option, "Value": value}]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (QUEUE, resource("AWS::SQS::QueuePolicy", PolicyDocument=ANYONE)),
        (resource("AWS::SQS::QueuePolicy", PolicyDocument={"Statement": [{**PUBLIC, "Effect": "Deny"}]}), QUEUE),
        both("S3::BucketPolicy", {"PolicyDocument": {"Statement": [OWN]}}, {"PolicyDocument": ANYONE}, Bucket="other"),
        both("Lambda::Permission", {"Principal": "s3.amazonaws.com"}, {"Principal": "*"}, FunctionName="x"),
        both("SSO::Assignment", {"PrincipalId": "a"}, {"PrincipalId": "b"}, **ASSIGNED),
        both("Organizations::Policy", {"TargetIds": ["a", "b"]}, {"TargetIds": ["a"]}),
        both("EC2::VPCEndpoint", {"PolicyDocument": ANYONE}, {}),
        both("ECS::TaskDefinition", *({"TaskRoleArn": {"Fn::GetAtt": [it, "Arn"]}} for it in "SR")),
        both("KMS::Alias", {"TargetKeyId": {"Ref": "K"}}, {"TargetKeyId": "other"}),
        (of_role(TAGGED), of_role(TAGGED, Tags=[{"Key": "a", "Value": "x"}])),
        both("Lambda::Url", {"AuthType": "AWS_IAM"}, {"AuthType": "NONE"}),
        both("Lambda::Url", {"AuthType": "AWS_IAM"}, {"AuthType": {"Ref": "P"}}),
        both("S3::Bucket", {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}}, {}),
        both("SecretsManager::Secret", {"KmsKeyId": {"Ref": "K"}}, {}),
        both("IAM::UserToGroupAddition", {"GroupName": "a"}, {"GroupName": "b"}, Users=["u"]),
        both("CodeBuild::Project", {}, {"ServiceRole": REF_R}),
        both("ApiGatewayV2::Integration", {}, {"CredentialsArn": REF_R}),
        both("ApiGatewayV2::Route", {"AuthorizationType": "JWT"}, {}),
        both("IAM::OIDCProvider", {}, {"ClientIdList": ["a"]}),
        (logged({"Ref": "AWS::AccountId"}), logged("999999999999")),
        ({**of_role(USE), "Condition": "C"}, {**of_role(USE), "Condition": "C", "Not": True}),
        (of_role(OF_GROUP, version="2008-10-17"), of_role(OF_GROUP)),
        both("ElasticBeanstalk::Environment", *(setting("OptionName", "IamInstanceProfile", it) for it in "ab")),
        both("ElasticBeanstalk::ConfigurationTemplate", *(setting("OptionName", "ServiceRole", it) for it in "ab")),
        both("ElasticBeanstalk::Environment", {}, setting("OptionName", "EC2KeyName", "k")),
        both("DataPipeline::Pipeline", *(setting("Key", "resourceRole", it) for it in "ab")),
        both("LakeFormation::DataLakeSettings", *({"Admins": [{"DataLakePrincipalIdentifier": it}]} for it in "ab")),
        both("ACMPCA::Permission", {"Actions": ["a"]}, {"Actions": ["a", "b"]}, Principal="acm.amazonaws.com"),
        *(both(kind, *({name: f"{it} (x)"} for it in ("forbid", "permit"))) for kind, _, name in NAMED),
        (LISTENS, {**LISTENS, "Map": "b"}),
    ],
)
def test_change_that_may_give_access_is_never_silent(old: Any, new: Any, write: Callable[..., Path]) -> None:
    def side(name: str, changed: Any) -> str:
        condition = {"Fn::Not": [YES]} if changed.pop("Not", False) else YES
        tables = {"M": {"111111111111": {"x": changed.pop("Map", "a")}}}
        sections = {"Parameters": {"P": TEXT}, "Conditions": {"C": condition}, "Mappings": tables}
        return str(write({**sections, "Resources": {**ROLES, "X": changed}}, f"{name}/S.json"))

    found = compare(*Sources(ROOT).pair(side("old", dict(old)), side("new", dict(new))))
    assert found.widens
    assert difference_as_text(found) != "no access changed\n"


def test_what_stays_on_aws_is_said_where_access_is_lost(write: Callable[..., Path]) -> None:
    policy = resource("AWS::IAM::Policy", PolicyName="q", Roles=[{"Ref": "S"}], PolicyDocument={"Statement": [USE]})
    old = write({"Resources": {**ROLES, "X": {**policy, "DeletionPolicy": "Retain"}}}, "old/S.json")
    found = compare(*Sources(ROOT).pair(str(old), str(write({"Resources": ROLES}, "new/S.json"))))
    assert "S/X stays when it leaves its stack" in difference_as_text(found)


def test_alias_of_one_name_in_two_accounts_is_printed_by_its_name() -> None:
    template = {"Resources": {"A": resource("AWS::KMS::Alias", AliasName="alias/x")}}
    accounts = ("111111111111", "222222222222")
    stacks = [Stack(a, a, a, "eu-west-1", template, Path(a), {}, physical={"A": "alias/x"}) for a in accounts]
    assert Template(stacks).names() == {}


def test_names_of_keys_are_looked_up_and_not_part_of_one_pattern() -> None:
    few, many = (Names({f"S.K{number}": f"S/K{number}" for number in range(count)}) for count in (2, 200))
    assert few._pattern == many._pattern
    assert few("key/S.K1, S.K1.x.S.K0, a.S.K1, S.K12, S.K1.") == "key/<S/K1>, <S/K1>.x.<S/K0>, a.<S/K1>, S.K12, <S/K1>."


LIMIT, SECRET = {"PermissionsBoundary": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}, "arn:aws:iam::aws:policy/x"
GRANTED = {"KeyId": {"Ref": "K"}, "GranteePrincipal": {"Fn::GetAtt": ["R", "Arn"]}, "Operations": ["Decrypt"]}
KEY_OF_TEAM = resource("AWS::KMS::Key", KeyPolicy=TAGGED_ONLY)
UUID = "arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OF_PROD = key(USE | {"Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/prod-r"}}})


def attached(**to: Any) -> dict[str, Any]:
    return resource("AWS::IAM::Policy", PolicyName="q", PolicyDocument={"Statement": [USE]}, **to)


def called(action: str, **parameters: Any) -> dict[str, Any]:
    return resource("Custom::AWS", Create=json.dumps({"service": "x", "action": action, "parameters": parameters}))


def tagging(action: str) -> dict[str, Any]:
    return of_role(AssumeRolePolicyDocument={"Statement": [{**ASSUMED, "Action": ["sts:AssumeRole", action]}]})


@pytest.mark.parametrize(
    ("resources", "who"),
    [
        ({"R": of_role(RoleName="Reader"), "P": attached(Roles=["READER"])}, "S/R"),
        ({"P": attached(Users=["u"], Groups=["devs"])}, "any in group devs"),
        ({"K": KEY_OF_TEAM, "R": tagging("sts:Tag*")}, "S/R"),
        ({"K": KEY_OF_TEAM, "R": of_role(RoleName="r"), "C": called("tagRole", RoleName="r")}, "S/R"),
        ({"R": of_role(USE, USE | {"Effect": "Deny"}), "C": called("deleteRolePolicy", RoleName="x")}, "S/R"),
        ({"R": of_role(USE, **LIMIT), "C": called("putRolePermissionsBoundary", RoleName="x")}, "S/R"),
        ({"P": told("AWS", "SSO", "PermissionSet"), "C": called("putInlinePolicyToPermissionSet")}, "any with .* S/P"),
        ({"R": of_role(), "C": resource("Custom::X", ServiceToken=UNKNOWN, RoleName=REF_R)}, "S/R"),
        ({"R": of_role(**LIMIT), "G": resource("Custom::KmsGrant", Grant=GRANTED)}, "S/R"),
        ({"R": of_role(USE | {"Resource": UUID})}, "S/R"),
        ({"R": of_role(USE | {"Resource": "arn:aws-us-gov:kms:us-gov-west-1:*:key/*"})}, "S/R"),
        ({"R": of_role(USE | {"Resource": "arn:aws:kms:*:*:key/${aws:PrincipalTag/a}"}, Tags=TEAM)}, "S/R"),
        ({"K": OF_PROD, "R": of_role(RoleName={"Fn::Sub": "${AWS::StackName}-r"})}, "S/R"),
    ],
)
def test_who_may_by_what_stands_beside_policies_is_listed(
    resources: Any, who: str, write: Callable[..., Path], running: Simulator
) -> None:
    found = build_with(read_model(write({"Resources": {"K": KEY_OF_IAM, **resources}})), running)
    assert [it for it in found.entries if re.fullmatch(who, it.principal) and it.action == "kms:Decrypt"]


def may(*actions: str, **more: Any) -> dict[str, Any]:
    return {**USE, "Action": list(actions), **more}


PASSED = {"StringEquals": {"iam:PassedToService": "states.eu-west-1.amazonaws.com"}}
REGIONAL = {"Statement": [{**ASSUMED, "Principal": {"Service": "states.eu-west-1.amazonaws.com"}}]}
CDK = may("sts:AssumeRole", Resource="arn:aws:iam::111111111111:role/cdk-*")
CODE, PASSING = may("lambda:UpdateFunctionCode"), may("iam:PassRole", "lambda:CreateFunction")
STATES = of_role(may("iam:PassRole", Condition=PASSED), may("states:CreateStateMachine"))
FUNCTION = resource("AWS::Lambda::Function", Role={"Fn::If": ["C", SECRET, {"Fn::GetAtt": ["R", "Arn"]}]})
PREFIX = resource("AWS::S3::AccessGrantsLocation", LocationScope="s3://", IAMRoleArn={"Fn::GetAtt": ["R", "Arn"]})
OF_U = resource(
    "AWS::S3::AccessGrant", Grantee={"GranteeType": "IAM", "GranteeIdentifier": {"Fn::GetAtt": ["U", "Arn"]}}
)


@pytest.mark.parametrize(
    ("resources", "method"),
    [
        ({"U": of_role(CODE), "F": FUNCTION}, "UpdateFunctionCode of S/F"),
        ({"U": of_role(CODE), "R": of_role(USE, AssumeRolePolicyDocument=SESSIONS)}, "lambda:UpdateFunctionCode"),
        ({"U": of_role(CDK)}, "not in this assembly"),
        ({"U": of_role(may("iam:PassRole", "kafkaconnect:CreateConnector"))}, "kafkaconnect:CreateConnector"),
        ({"K": OF_PROD, "U": of_role(may("iam:UpdateAssumeRolePolicy"))}, "iam:UpdateAssume"),
        ({"R": of_role(USE, AssumeRolePolicyDocument=REGIONAL), "U": STATES}, "states:CreateStateMachine$"),
        ({"U": of_role(may("kms:Decrypt", "iam:DeleteRolePolicy"), USE | {"Effect": "Deny"})}, "iam:DeleteRolePolicy"),
        ({"U": of_role(TAGGED, may("kms:TagResource"))}, "kms:TagResource"),
        ({"U": of_role(), "L": PREFIX, "G": OF_U}, "sts:AssumeRole"),
        ({"U": told("AWS", "SSO", "PermissionSet", InlinePolicy={"Statement": [PASSING]})}, "PassRole and lambda"),
    ],
)
def test_path_that_no_policy_names_is_listed(
    resources: Any, method: str, write: Callable[..., Path], running: Simulator
) -> None:
    sections = {"Parameters": {"P": TEXT}, "Conditions": {"C": YES}}
    template = {**sections, "Resources": {"K": KEY_OF_IAM, "R": of_role(USE), **resources}}
    found = build_with(read_model(write(template)), running)
    own = [item for item in found.escalations if item.principal.endswith("S/U")]
    names = [name for item in own for step in item.path for name in step.methods]
    assert [name for name in names if re.search(method, name)]
