"""Templates are read as CloudFormation reads them: text, sections, intrinsic functions."""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.model import Model, PrincipalKind, ResourceKind, Unresolved
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION, NotAnAssembly, Stack, load_assembly
from kms_patterns.access.read.reader import model_of, read_model
from kms_patterns.access.read.stated_permissions import permission_statement
from kms_patterns.access.read.template import Resolver
from kms_patterns.access.templates.template_text import NotATemplate, template_of
from kms_patterns.access.unknowns.symbols import is_symbol, symbol

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
    arns = [{"Ref": "Managed"}, "arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/NotPublished"]
    role = {**ROLE, "Properties": {**ROLE["Properties"], "Policies": [inline], "ManagedPolicyArns": arns}}
    model = read({"Role": role, "Managed": policy("AWS::IAM::ManagedPolicy")})
    assert policies(model, "Stack/Role") == [
        "AWS managed policy AdministratorAccess",
        "Stack/Managed",
        "Stack/Role policy inline",
        "managed policy NotPublished",
    ]
    assert [(item.where, item.what) for item in model.unresolved] == [
        ("Stack/Role", "arn:aws:iam::aws:policy/NotPublished")
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
    assert boundaries["Stack/Unknown"] is None
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
    assert found.policy.document["Statement"][0]["Action"] == ["kms:*"]


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
            "Principal": {"Service": ["s3.amazonaws.com"]},
            "Action": ["lambda:InvokeFunction"],
            "Resource": ["*"],
            "Condition": {"StringEquals": {"aws:SourceAccount": [UNKNOWN_ACCOUNT]}},
        }
    ]
    assert function.acts_as == [f"arn:aws:iam::{UNKNOWN_ACCOUNT}:role/Stack-Role-ChosenByAWS2"]


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


@pytest.mark.parametrize("empty", [{}, {"Parameters": {}, "Rules": {}}, {"Resources": None}])
def test_empty_stack_of_an_assembly_hides_no_other(empty: dict[str, Any], tmp_path: Path) -> None:
    artifacts = {}
    for name, template in (("Empty", empty), ("Full", {"Resources": {"Role": ROLE}})):
        (tmp_path / f"{name}.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": f"{name}.json"},
        }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    model = read_model(tmp_path)
    assert (list(model.stacks), [item.id for item in model.resources]) == (["Empty", "Full"], ["Full/Role"])


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


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def to_file(text: str) -> Path:
        path = tmp_path / "one.yaml"
        path.write_text(text)
        return path

    return to_file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!Ref Key", {"Ref": "Key"}),
        ("!GetAtt Nested.Outputs.Arn", {"Fn::GetAtt": ["Nested", "Outputs.Arn"]}),
        ("!GetAtt [Key, Arn]", {"Fn::GetAtt": ["Key", "Arn"]}),
        ("!Condition Yes", {"Condition": "Yes"}),
        ("!If [C, !Ref A, !Sub '${B}']", {"Fn::If": ["C", {"Ref": "A"}, {"Fn::Sub": "${B}"}]}),
        ("!Sub ['${A}', {A: !Ref B}]", {"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}),
        ("!Transform {Name: M, Parameters: {a: 1}}", {"Fn::Transform": {"Name": "M", "Parameters": {"a": 1}}}),
        ("2012-10-17", "2012-10-17"),
        ("012345670123", "012345670123"),
        ("123456789012", 123456789012),
        ("{on: 1}", {"true": 1}),
    ],
)
def test_yaml_value_is_what_cloudformation_makes_of_it(write: Callable[..., Path], text: str, value: object) -> None:
    found = template_of(write(f"Resources: {{A: {{Type: Custom::A, Properties: {{V: {text}}}}}}}"))
    assert found["Resources"]["A"]["Properties"]["V"] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: [", "one.yaml is not a template in JSON or YAML: line 1: expected the node content"),
        ("Resources: {A: {Type: X}, A: {Type: Y}}", "line 1: the key 'A' stands twice"),
        ('{"Resources": {"A": {"Type": "X"}, "A": {"Type": "Y"}}}', "the key 'A' stands twice"),
        ("Resources: {A: !!python/object:os.system {}}", "could not determine a constructor"),
        ("Resources: {}\nMetadata: !!binary aGVsbG8=", "could not determine a constructor"),
        ("Resources: {}\nMetadata: {a: !!set {b, c}}", "could not determine a constructor"),
        ("Resources: {A: &a {Type: X}, B: {<<: *a, Type: Y, Type: Z}}", "line 1: the key 'Type' stands twice"),
        ("Other: 1", "one.yaml is not a CloudFormation template: it has no Resources"),
        ("Resources: 3", "one.yaml: Resources is 3, CloudFormation takes an object"),
        ("Resources: {A: text}", 'one.yaml: resource A is "text", CloudFormation takes an object with a Type'),
        ("Resources: {A: {Type: [X]}}", 'one.yaml: resource A: Type is ["X"], CloudFormation takes a text'),
        ("Resources: {A: {Type: X, Properties: [1]}}", "one.yaml: resource A: Properties is [1]"),
        ("Resources: {A: {Type: X, Condition: {a: b}}}", "one.yaml: resource A: Condition is"),
        ("Resources: {}\nParameters: {P: 1}", "one.yaml: parameter P is 1"),
        ("Resources: {}\nOutputs: {O: {Export: {Name: x}}}", "one.yaml: output O has no Value"),
    ],
)
def test_error_is_one_line_with_file_and_place(write: Callable[..., Path], text: str, message: str) -> None:
    with pytest.raises(NotATemplate) as error:
        load_assembly(write(text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_key_of_a_mapping_comes_before_a_merged_one(write: Callable[..., Path]) -> None:
    found = template_of(write("Resources: {A: &a {Type: X, Properties: {V: 1}}, B: {<<: *a, Type: Y}, C: {<<: [*a]}}"))
    assert found["Resources"]["B"] == {"Type": "Y", "Properties": {"V": 1}}
    assert found["Resources"]["C"] == found["Resources"]["A"]


def test_yaml_whose_aliases_multiply_is_refused(write: Callable[..., Path]) -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))
    with pytest.raises(NotATemplate, match="its aliases make more than"):
        load_assembly(write(f"a0: &a0 [x]\n{levels}\nResources: {{}}"))


@pytest.mark.parametrize(
    "text", ["Resources: {A: {Type: X, Properties: {V: '\ue000guard\ue001'}}}", '{"Resources": {"\\ue001": {}}}']
)
def test_characters_that_stand_for_unknown_values_are_refused(write: Callable[[str], Path], text: str) -> None:
    with pytest.raises(NotATemplate, match=r"one\.yaml holds the private-use character U\+E00[01]"):
        template_of(write(text))


TRUSTING = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}
USE = {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": {"Fn::GetAtt": ["Key", "Arn"]}}
OWN = {"Effect": "Allow", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "Action": "kms:*"}
NULL_ROLE = {
    "AssumeRolePolicyDocument": TRUSTING,
    "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": [USE]}}],
    "ManagedPolicyArns": [{"Ref": "Managed"}, "arn:aws:iam::aws:policy/NotPublished"],
    "Tags": [{"Key": "team", "Value": "a"}],
}
ENCRYPTION = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "Key"}}
BUCKET = {
    "BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": ENCRYPTION}]},
    "PublicAccessBlockConfiguration": {"RestrictPublicBuckets": True},
}
MANAGED = {"PolicyDocument": {"Statement": USE}, "Roles": [{"Ref": "Role"}]}
INVOKE = {"FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction", "Principal": "*"}
TEMPLATE = {
    "Parameters": {"P": {"Type": "CommaDelimitedList", "Default": "a,b"}, "Q": {"Type": "String"}},
    "Conditions": {"C": {"Fn::Equals": [{"Ref": "Q"}, "x"]}, "D": {"Fn::Not": [{"Condition": "C"}]}},
    "Mappings": {"M": {"a": {"b": "c"}}},
    "Resources": {
        "Key": {"Type": "AWS::KMS::Key", "Condition": "C", "Properties": {"KeyPolicy": {"Statement": [OWN]}}},
        "Alias": {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": "alias/a", "TargetKeyId": {"Ref": "Key"}}},
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": NULL_ROLE,
            "Metadata": {"aws:cdk:path": "S/Role/Resource"},
        },
        "Managed": {"Type": "AWS::IAM::ManagedPolicy", "Properties": MANAGED},
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": BUCKET},
        "Policy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Statement": [OWN]}},
        },
        "Function": {"Type": "AWS::Lambda::Function", "Properties": {"Role": {"Fn::GetAtt": "Role.Arn"}}},
        "Permission": {"Type": "AWS::Lambda::Permission", "Properties": INVOKE},
    },
    "Outputs": {"O": {"Value": {"Ref": "Key"}, "Export": {"Name": {"Fn::Join": ["-", ["a", {"Ref": "P"}]]}}}},
}
WRONG = (
    *(None, 1, 1.5, True, "", "x", "arn:x", [], {}, [None], {"Ref": "Nope"}, {"Ref": ["a"]}, {"Condition": "C"}),
    *({"Fn::If": ["C", "a", "b"]}, {"Fn::If": "C"}, {"Fn::If": ["C"]}, {"Fn::GetAtt": ["a"]}, {"Fn::GetAtt": "a"}),
    *({"Fn::Join": "a"}, {"Fn::Sub": [1, 2]}, {"Fn::Select": [0]}, {"Fn::Split": []}, {"Fn::FindInMap": ["a"]}),
    *({"Fn::ImportValue": {}}, {"Fn::Transform": {}}, [{"Ref": "AWS::NoValue"}], {"Fn::Equals": ["a"]}),
    {"Fn::ForEach::L": ["N", ["a"], {"x${N}": 1}]},
)
TRANSFORMS = (None, None, "AWS::LanguageExtensions", "Macro", {"Name": "x"}, [1], "AWS::Serverless-2016-10-31")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for name, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, name))


def outcome(path: Path) -> str:
    """Return the error, empty if there is none."""
    try:
        model_of(load_assembly(path))
    except (NotATemplate, NotAnAssembly) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(3))
def test_wrong_values_are_read_or_refused_in_one_line(seed: int, tmp_path: Path) -> None:
    picks, path = random.Random(seed), tmp_path / "template.json"
    read = 0
    for _ in range(120):
        template = deepcopy(TEMPLATE) | {"Transform": picks.choice(TRANSFORMS)}
        for _ in range(picks.randint(1, 3)):
            *outer, last = picks.choice(list(places(template)))
            holder: Any = template
            for name in outer:
                holder = holder[name]
            holder[last] = deepcopy(picks.choice(WRONG))
        path.write_text(json.dumps(template))
        said = outcome(path)
        read += not said
        assert not said or (str(path) in said and "\n" not in said)
    assert 40 < read < 120


INTRINSICS: dict[str, Any] = {
    "Parameters": {"Tenant": {"Type": "String", "Default": "blue"}, "Open": {"Type": "String"}},
    "Conditions": {
        "IsBlue": {"Fn::Equals": [{"Ref": "Tenant"}, "blue"]},
        "IsNotBlue": {"Fn::Not": [{"Condition": "IsBlue"}]},
        "Undecided": {"Fn::Equals": [{"Ref": "Open"}, "x"]},
    },
    "Mappings": {"Map": {"first": {"second": "mapped"}}},
    "Resources": {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "reader", "Path": "/team/"}},
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Custom": {"Type": "Custom::Thing"},
    },
}
OTHER: dict[str, Any] = {
    "Resources": {"Key": {"Type": "AWS::KMS::Key"}},
    "Outputs": {"Exported": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}, "Export": {"Name": "the-key"}}},
}


def stack(name: str, template: dict[str, Any]) -> Stack:
    return Stack(name, name, "111111111111", "eu-west-1", template, Path("none"), {})


STACKS = [stack("Main", INTRINSICS), stack("Other", OTHER)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "AWS::AccountId"}, "111111111111"),
        ({"Ref": "Tenant"}, "blue"),
        ({"Ref": "Bucket"}, "main-bucket-chosenbyaws1"),
        ({"Ref": "Role"}, "reader"),
        ({"Ref": "Topic"}, "arn:aws:sns:eu-west-1:111111111111:Main-Topic-ChosenByAWS1"),
        ({"Fn::GetAtt": ["Key", "Arn"]}, "arn:aws:kms:eu-west-1:111111111111:key/Main.Key"),
        ({"Fn::GetAtt": "Role.Arn"}, "arn:aws:iam::111111111111:role/team/reader"),
        ({"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/*"]]}, "arn:aws:s3:::main-bucket-chosenbyaws1/*"),
        (
            {"Fn::Sub": "${Bucket.Arn}/${!aws:username}/${Tenant}"},
            "arn:aws:s3:::main-bucket-chosenbyaws1/${aws:username}/blue",
        ),
        ({"Fn::Sub": ["${X}-${AWS::Region}", {"X": {"Ref": "Tenant"}}]}, "blue-eu-west-1"),
        ({"Fn::Select": [1, {"Fn::Split": [":", "a:b:c"]}]}, "b"),
        ({"Fn::FindInMap": ["Map", "first", "second"]}, "mapped"),
        ({"Fn::ImportValue": "the-key"}, "arn:aws:kms:eu-west-1:111111111111:key/Other.Key"),
        (
            {"Fn::GetStackOutput": {"StackName": "Other", "OutputName": "Exported"}},
            "arn:aws:kms:eu-west-1:111111111111:key/Other.Key",
        ),
        ({"Fn::If": ["IsBlue", "yes", "no"]}, "yes"),
        ({"Fn::If": ["IsNotBlue", "yes", "no"]}, "no"),
        ([{"Ref": "AWS::NoValue"}, "kept"], ["kept"]),
        ({"dropped": {"Ref": "AWS::NoValue"}, "kept": 1}, {"kept": 1}),
        ({"Fn::Length": ["a", "b"]}, 2),
    ],
)
def test_value_resolves(value: object, expected: object) -> None:
    resolver = Resolver(STACKS)
    assert resolver.resolve(STACKS[0], value, "here") == expected
    assert [item for item in resolver.unresolved if "default is assumed" not in item.why] == []


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"Ref": "Open"}, "Ref Open"),
        ({"Fn::GetAtt": ["Custom", "Arn"]}, "Custom.Arn"),
        ({"Fn::ImportValue": "elsewhere"}, "import elsewhere"),
        ({"Fn::Transform": {}}, "Fn::Transform {}"),
        ("{{resolve:ssm:/key}}", "{{resolve:ssm:/key}}"),
        ({"Fn::GetStackOutput": {"StackName": "Nowhere", "OutputName": "X"}}, "output Nowhere.X"),
    ],
)
def test_what_cannot_be_told_is_listed_and_a_symbol(value: object, what: str) -> None:
    resolver = Resolver(STACKS)
    assert is_symbol(resolver.resolve(STACKS[0], value, "here"))
    assert [(item.where, item.what) for item in resolver.unresolved] == [("here", what)]


def test_undecided_condition_counts_as_true_and_is_listed() -> None:
    resolver = Resolver(STACKS)
    assert resolver.holds(STACKS[0], "Undecided", "here") is True
    assert resolver.unresolved == {
        Unresolved("here", "Ref Open", "the parameter has no default"),
        Unresolved("here", "condition Undecided", "it cannot be decided before deployment; taken as true"),
    }


CONDITIONS: dict[str, Any] = {
    "Open": {"Fn::Equals": [{"Ref": "Open"}, "x"]},
    "NotOpen": {"Fn::Not": [{"Condition": "Open"}]},
    "Production": {"Fn::Equals": [{"Ref": "AWS::AccountId"}, "123456789012"]},
    "Europe": {"Fn::Equals": ["eu-west-1", {"Ref": "AWS::Region"}]},
    "False": {"Fn::Equals": ["a", "b"]},
    "NotTrue": {"Fn::Not": [{"Fn::Equals": ["a", "a"]}]},
    "OpenAndFalse": {"Fn::And": [{"Condition": "Open"}, {"Condition": "False"}]},
    "OpenOrTrue": {"Fn::Or": [{"Condition": "Open"}, {"Fn::Equals": ["a", "a"]}]},
    "OpenOrFalse": {"Fn::Or": [{"Condition": "Open"}, {"Condition": "False"}]},
}
AGNOSTIC = Stack(
    "Any",
    "Any",
    UNKNOWN_ACCOUNT,
    UNKNOWN_REGION,
    {**INTRINSICS, "Conditions": CONDITIONS},
    Path("none"),
    {},
)


@pytest.mark.parametrize("name", ["Open", "NotOpen", "Production", "Europe", "OpenOrFalse"])
def test_condition_that_only_a_deployment_decides_is_listed_and_true(name: str) -> None:
    resolver = Resolver([AGNOSTIC])
    assert resolver.holds(AGNOSTIC, name, "here") is True
    assert f"condition {name}" in {item.what for item in resolver.unresolved}


@pytest.mark.parametrize(
    ("name", "expected"), [("False", False), ("NotTrue", False), ("OpenAndFalse", False), ("OpenOrTrue", True)]
)
def test_condition_that_is_decided_whatever_is_open_is_not_listed(name: str, *, expected: bool) -> None:
    resolver = Resolver([AGNOSTIC])
    assert resolver.holds(AGNOSTIC, name, "here") is expected
    assert f"condition {name}" not in {item.what for item in resolver.unresolved}


def test_assumed_default_is_listed() -> None:
    resolver = Resolver(STACKS)
    assert resolver.holds(STACKS[0], "IsNotBlue", "here") is False
    assert resolver.unresolved == {Unresolved("here", "Ref Tenant", "the parameter's default is assumed: blue")}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Names"}, ["alpha", "beta"]),
        ({"Ref": "OpenNames"}, [symbol("OpenNames")]),
        ({"Fn::Select": [{"Ref": "Open"}, ["a", "b"]]}, symbol("element Open of a b")),
        ({"Fn::Select": [4, {"Fn::Split": [":", {"Ref": "Open"}]}]}, symbol("element 4 of Open")),
        ({"Fn::Select": [1, [{"Ref": "Open"}, "b"]]}, "b"),
        ({"Fn::FindInMap": ["Map", "first", "none", {"DefaultValue": "otherwise"}]}, "otherwise"),
    ],
)
def test_lists_whose_items_are_open(value: Any, expected: object) -> None:
    declared = {
        **INTRINSICS["Parameters"],
        "Names": {"Type": "CommaDelimitedList", "Default": "alpha, beta"},
        "OpenNames": {"Type": "List<String>"},
    }
    main = stack("Main", {**INTRINSICS, "Parameters": declared})
    assert Resolver([main]).resolve(main, value, "here") == expected


def test_export_of_another_region_is_not_taken() -> None:
    regions = ("eu-west-1", "us-east-1")
    exporters = [Stack(f"Other-{region}", "Other", "1" * 12, region, OTHER, Path("none"), {}) for region in regions]
    importer = Stack("Main", "Main", "1" * 12, "us-east-1", INTRINSICS, Path("none"), {})
    elsewhere = Stack("Main", "Main", "1" * 12, "ap-south-1", INTRINSICS, Path("none"), {})
    resolver = Resolver([*exporters, importer, elsewhere])
    imported = {"Fn::ImportValue": "the-key"}
    assert str(resolver.resolve(importer, imported, "here")).startswith("arn:aws:kms:us-east-1:")
    assert is_symbol(resolver.resolve(elsewhere, imported, "here"))
