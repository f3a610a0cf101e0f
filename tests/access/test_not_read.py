"""What cannot be evaluated is listed, whatever form it takes; and everybody whom a policy names is asked about."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT
from kms_patterns.access.read.reader import read_model

DECRYPT = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
ROLE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [TRUST]}}}
BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "documents"}}
OPEN = {"Ref": "Open"}
SAME = ("account administrator", "any other role", "role without any policy")
"""Of this account: which may be the one that a policy names."""
OPS = ("arn:aws:iam::<account>:role/x", "arn:aws:iam::<account>:role/x by this policy alone")

Build = Callable[..., AccessMatrix]


@pytest.fixture
def build(running: Simulator, tmp_path: Path) -> Build:
    def evaluate(**resources: Any) -> AccessMatrix:
        path = tmp_path / "Stack.template.json"
        parameters = {"Open": {"Type": "String"}}
        path.write_text(json.dumps({"Parameters": parameters, "Resources": resources}))
        return build_with(read_model(path), running)

    return evaluate


def key(*statements: Any) -> dict[str, Any]:
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": list(statements)}}}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def custom_call(name: str) -> dict[str, Any]:
    return resource("Custom::AWS", Create=json.dumps({"service": "KMS", "action": name}))


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (resource("AWS::S3::AccessPoint", Bucket="documents"), "AWS::S3::AccessPoint"),
        (resource("AWS::S3::AccessGrant"), "AWS::S3::AccessGrant"),
        (resource("AWS::Organizations::Policy"), "AWS::Organizations::Policy"),
        (resource("AWS::Serverless::Function"), "AWS::Serverless::Function"),
        (resource("Company::IAM::Role::MODULE"), "Company::IAM::Role::MODULE"),
        (resource("AWS::S3::Bucket", AccessControl="PublicRead"), "ACL PublicRead"),
        (custom_call("createGrant"), "call of createGrant"),
        (custom_call("PutKeyPolicyCommand"), "call of PutKeyPolicy"),
        (resource("AWS::IAM::User", Groups=["staff"]), "its group staff"),
        (resource("AWS::IAM::Policy", Groups=["staff"], PolicyDocument={"Statement": [DECRYPT]}), "its users"),
        (resource("AWS::S3::BucketPolicy", Bucket="others", PolicyDocument={}), "policy of bucket others"),
        (resource("AWS::Lambda::Permission", FunctionName="f", Principal="*", Action="*"), "permission of function f"),
        (resource("AWS::IAM::ManagedPolicy", PolicyDocument=OPEN), "its policy"),
        (resource("AWS::KMS::Key", KeyPolicy=OPEN), "its policy"),
        (key(DECRYPT | {"Principal": "*"}, OPEN), "a statement of its policy"),
        (key(DECRYPT | {"Principal": "*", "Condition": OPEN}), "Condition of a statement"),
        (key(DECRYPT | {"Principal": {"AWS": "AROAEXAMPLE"}}), "principal AWS AROAEXAMPLE"),
        (key(DECRYPT | {"Principal": {"CanonicalUser": "79a5"}}), "principal CanonicalUser 79a5"),
    ],
)
def test_what_is_not_evaluated_is_listed(found: dict[str, Any], what: str, build: Build) -> None:
    assert what in [item.what for item in build(Found=found, Key=key()).unresolved]


def inline(name: object) -> dict[str, Any]:
    document = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": name}]}
    return resource("AWS::IAM::User", UserName="bob", Policies=[{"PolicyName": "p", "PolicyDocument": document}])


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("arn:aws:s3:eu-west-1:111122223333:accesspoint/x/object/*", ["an access point"]),
        ({"Fn::Sub": "${Function.Arn}:live"}, ["versions of arn:aws:lambda:<region>:<account>:function:f"]),
        ([{"Fn::GetAtt": ["Function", "Arn"]}, {"Fn::Sub": "${Function.Arn}:*"}], []),
    ],
)
def test_allowed_resource_that_is_not_asked_about_is_listed(name: object, listed: list[str], build: Build) -> None:
    found = build(User=inline(name), Function=resource("AWS::Lambda::Function", FunctionName="f"))
    assert [item.what for item in found.unresolved] == listed


def test_loop_without_its_transform_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "Stack.template.json"
    loop = ["Name", ["a", "b"], {"Role${Name}": ROLE}]
    path.write_text(json.dumps({"Resources": {"Key": key(), "Fn::ForEach::Roles": loop}}))
    assert {(item.where, item.why) for item in read_model(path).unresolved} == {
        ("Stack/Fn::ForEach::Roles", "made by a transform that is not read")
    }


def test_policy_as_json_text_is_read(build: Build) -> None:
    text = json.dumps({"Statement": [DECRYPT | {"Principal": "*"}]})
    found = build(Key=resource("AWS::KMS::Key", KeyPolicy=text))
    assert "anyone outside" in {entry.principal for entry in found.entries}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringEquals": {"kms:CallerAccount": "999999999999"}}, {"account 999999999999", *SAME}),
        (
            {"StringEquals": {"aws:PrincipalAccount": ["999999999999", "777777777777"]}},
            {"account 999999999999", "account 777777777777", *SAME},
        ),
        ({"StringLike": {"aws:PrincipalAccount": "9999*"}}, {"account 9999*", *SAME}),
        ({"StringEquals": {"aws:PrincipalServiceName": "backup.amazonaws.com"}}, {"backup.amazonaws.com"}),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, {"any-service.amazonaws.com"}),
        (
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/App*"}},
            {"role/App*", "role/App* by this policy alone", "arn:aws:iam::*:role/App*"},
        ),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::999999999999:role/x"}}, {"arn:aws:iam::999999999999:role/x"}),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{UNKNOWN_ACCOUNT}:role/x"}}, set(OPS)),
        ({"StringNotEquals": {"kms:CallerAccount": UNKNOWN_ACCOUNT}}, {"anyone outside"}),
    ],
)
def test_everybody_whom_a_condition_lets_in_is_shown(
    condition: dict[str, Any], expected: set[str], build: Build
) -> None:
    found = build(Key=key(DECRYPT | {"Principal": "*", "Condition": condition}))
    assert {entry.principal for entry in found.entries if entry.action == "kms:Decrypt"} == expected


def test_provider_without_an_arn_assumes_its_role(build: Build) -> None:
    allow = {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity"}
    trust = {"Statement": [allow | {"Principal": {"Federated": "cognito-identity.amazonaws.com"}}]}
    found = build(Role=resource("AWS::IAM::Role", AssumeRolePolicyDocument=trust))
    assert "Federated cognito-identity.amazonaws.com" in {entry.principal for entry in found.entries}
