"""Who and what a template defines or names, and with which policies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.model import Model, PrincipalKind, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, load_assembly
from kms_patterns.access.read.function_policies import permission_statement
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.templates.template_text import NotATemplate

Resources = dict[str, Any]
ALLOW = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}
SYNTHETIC = ["role without any policy", "account administrator", "any other role", "anyone outside"]
ROLE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}


def policy(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": {"PolicyDocument": {"Statement": [ALLOW]}, **properties}}


def key(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": list(statements)}}}


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Resources], Model]:
    def write_and_read(resources: Resources) -> Model:
        path = tmp_path / "Stack.template.json"
        path.write_text(json.dumps({"Resources": resources}))
        return read_model(path)

    return write_and_read


def policies(model: Model, principal: str) -> list[str]:
    return sorted(item.where for who in model.principals if who.id == principal for item in who.identity)


@pytest.mark.parametrize(
    "attachment",
    [
        policy("AWS::IAM::Policy", PolicyName="p", Roles=[{"Ref": "Role"}]),
        policy("AWS::IAM::ManagedPolicy", Roles=[{"Ref": "Role"}]),
        policy("AWS::IAM::RolePolicy", PolicyName="p", RoleName={"Ref": "Role"}),
    ],
)
def test_policy_reaches_its_role_however_attached(
    attachment: dict[str, Any], read: Callable[[Resources], Model]
) -> None:
    model = read({"Role": ROLE, "Attached": attachment})
    assert policies(model, "Stack/Role") == ["Stack/Attached"]
    assert model.unresolved == []


def test_inline_managed_and_aws_policies_of_a_role(read: Callable[[Resources], Model]) -> None:
    inline = {"PolicyName": "inline", "PolicyDocument": {"Statement": [ALLOW]}}
    arns = [{"Ref": "Managed"}, "arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/ReadOnlyAccess"]
    role = {**ROLE, "Properties": {**ROLE["Properties"], "Policies": [inline], "ManagedPolicyArns": arns}}
    model = read({"Role": role, "Managed": policy("AWS::IAM::ManagedPolicy")})
    assert policies(model, "Stack/Role") == [
        "AWS managed policy AdministratorAccess",
        "Stack/Managed",
        "Stack/Role policy inline",
        "managed policy ReadOnlyAccess",
    ]
    assert [(item.where, item.what) for item in model.unresolved] == [
        ("Stack/Role", "arn:aws:iam::aws:policy/ReadOnlyAccess")
    ]


def test_user_has_the_policies_of_all_groups(read: Callable[[Resources], Model]) -> None:
    model = read(
        {
            "User": {"Type": "AWS::IAM::User", "Properties": {"Groups": [{"Ref": "One"}]}},
            "One": {"Type": "AWS::IAM::Group"},
            "Two": {"Type": "AWS::IAM::Group"},
            "Addition": {
                "Type": "AWS::IAM::UserToGroupAddition",
                "Properties": {"GroupName": {"Ref": "Two"}, "Users": [{"Ref": "User"}]},
            },
            "OfOne": policy("AWS::IAM::Policy", PolicyName="p", Groups=[{"Ref": "One"}]),
            "OfTwo": policy("AWS::IAM::GroupPolicy", PolicyName="p", GroupName={"Ref": "Two"}),
        }
    )
    assert policies(model, "Stack/User") == ["Stack/OfOne", "Stack/OfTwo"]


def test_boundary_is_read_and_an_unknown_one_is_listed_and_limits_nothing(read: Callable[[Resources], Model]) -> None:
    def bounded(boundary: object) -> dict[str, Any]:
        return {**ROLE, "Properties": {**ROLE["Properties"], "PermissionsBoundary": boundary}}

    model = read(
        {
            "Known": bounded({"Ref": "Limit"}),
            "Unknown": bounded("arn:aws:iam::1:policy/x"),
            "Limit": policy("AWS::IAM::ManagedPolicy"),
        }
    )
    boundaries = {who.id: who.boundaries for who in model.principals if who.stack}
    assert [item.where for item in boundaries["Stack/Known"] or ()] == ["Stack/Limit"]
    assert boundaries["Stack/Unknown"] == []
    assert [item.what for item in model.unresolved] == ["arn:aws:iam::1:policy/x"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Principal": {"Service": "logs.amazonaws.com"}}, ("logs.amazonaws.com", PrincipalKind.SERVICE)),
        ({"Principal": {"AWS": "222222222222"}}, ("account 222222222222", PrincipalKind.NAMED)),
        ({"Principal": {"AWS": "arn:aws:iam::222222222222:root"}}, ("account 222222222222", PrincipalKind.NAMED)),
        (
            {"Principal": {"AWS": "arn:aws:iam::222222222222:role/partner"}},
            ("arn:aws:iam::222222222222:role/partner", PrincipalKind.NAMED),
        ),
        (
            {"Principal": {"AWS": f"arn:aws:iam::{UNKNOWN_ACCOUNT}:role/ops"}},
            ("arn:aws:iam::<account>:role/ops", PrincipalKind.NAMED),
        ),
        (
            {
                "Principal": "*",
                "Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{UNKNOWN_ACCOUNT}:role/ops-*"}},
            },
            ("arn:aws:iam::<account>:role/ops-*", PrincipalKind.NAMED),
        ),
    ],
)
def test_whom_a_key_policy_names_is_asked_about(
    statement: dict[str, Any], expected: tuple[str, PrincipalKind], read: Callable[[Resources], Model]
) -> None:
    model = read({"Key": key({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", **statement})})
    found = [(who.id, who.kind) for who in model.principals if who.id not in SYNTHETIC]
    assert found[:1] == [expected]
    assert [name for name, _ in found[1:]] == (
        [f"{expected[0]} by this policy alone"] if "<account>" in expected[0] else []
    )


def test_own_account_and_anybody_are_no_further_principals(read: Callable[[Resources], Model]) -> None:
    root = {"Principal": {"AWS": f"arn:aws:iam::{UNKNOWN_ACCOUNT}:root"}}
    model = read({"Key": key({**ALLOW, **root}, {**ALLOW, "Principal": {"AWS": "*"}})})
    assert [who.id for who in model.principals] == SYNTHETIC


def test_key_without_policy_has_the_default_of_kms(read: Callable[[Resources], Model]) -> None:
    (found,) = read({"Key": {"Type": "AWS::KMS::Key"}}).resources
    assert found.policy is not None
    assert found.policy.document["Statement"][0]["Action"] == "kms:*"


def test_permissions_of_a_function_are_its_policy(read: Callable[[Resources], Model]) -> None:
    permission = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Fn::GetAtt": ["Function", "Arn"]},
        "Principal": "s3.amazonaws.com",
        "SourceAccount": {"Ref": "AWS::AccountId"},
    }
    model = read(
        {
            "Role": ROLE,
            "Function": {"Type": "AWS::Lambda::Function", "Properties": {"Role": {"Fn::GetAtt": ["Role", "Arn"]}}},
            "Permission": {"Type": "AWS::Lambda::Permission", "Properties": permission},
        }
    )
    (function,) = [item for item in model.resources if item.kind is ResourceKind.FUNCTION]
    assert function.policy is not None
    assert function.policy.document["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": UNKNOWN_ACCOUNT}},
        }
    ]
    assert function.acts_as == f"arn:aws:iam::{UNKNOWN_ACCOUNT}:role/Stack-Role"


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("*", "*"),
        ("s3.amazonaws.com", {"Service": "s3.amazonaws.com"}),
        ("222222222222", {"AWS": "222222222222"}),
        ("arn:aws:iam::222222222222:role/r", {"AWS": "arn:aws:iam::222222222222:role/r"}),
    ],
)
def test_principal_of_a_permission(principal: str, expected: object) -> None:
    found = permission_statement({"FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": principal})
    assert found["Principal"] == expected


@pytest.mark.parametrize(
    ("resource", "what"),
    [
        ({"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://example"}}, "nested stack"),
        ({"Type": "AWS::SSO::PermissionSet", "Properties": {}}, "AWS::SSO::PermissionSet"),
        (policy("AWS::IAM::Policy", PolicyName="p", Roles=["imported"]), "its other policies"),
    ],
)
def test_what_is_not_seen_is_listed(resource: dict[str, Any], what: str, read: Callable[[Resources], Model]) -> None:
    assert [item.what for item in read({"Thing": resource}).unresolved] == [what]


def test_resource_under_a_false_condition_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "Stack.template.json"
    conditions = {"Never": {"Fn::Equals": ["a", "b"]}, "Always": {"Fn::Not": [{"Condition": "Never"}]}}
    resources = {name: {**ROLE, "Condition": name} for name in conditions}
    path.write_text(json.dumps({"Conditions": conditions, "Resources": resources}))
    assert [item.id for item in read_model(path).resources] == ["Stack/Always"]


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"AWSTemplateFormatVersion": "2010-09-09"}'])
def test_file_that_is_no_template_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(NotATemplate, match="not a CloudFormation template: it has no Resources"):
        load_assembly(path)


def test_same_stack_in_two_regions_is_two(tmp_path: Path) -> None:
    granted = policy("AWS::IAM::Policy", PolicyName="p", Roles=[{"Ref": "Role"}])
    artifacts = {}
    for region in ("eu-west-1", "us-east-1"):
        (tmp_path / f"{region}.json").write_text(json.dumps({"Resources": {"Role": ROLE, "Grant": granted}}))
        artifacts[region] = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{'1' * 12}/{region}",
            "properties": {"templateFile": f"{region}.json", "stackName": "Service"},
        }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    model = read_model(tmp_path)
    assert policies(model, "eu-west-1/Role") == ["eu-west-1/Grant"]
    assert policies(model, "us-east-1/Role") == ["us-east-1/Grant"]
    arns = [who.arn for who in model.principals if who.kind is PrincipalKind.ROLE]
    assert len(set(arns)) == len(arns) == 2
