"""Templates as text: JSON and YAML as CloudFormation reads them, and errors of one line, never a traceback."""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.read.assembly import NotAnAssembly, load_assembly
from kms_patterns.access.read.reader import model_of
from kms_patterns.access.templates.template_text import NotATemplate, template_of


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
        ("Resources: [", "one.yaml is not a template in JSON or YAML: while parsing"),
        ("Resources: {A: {Type: X}, A: {Type: Y}}", "line 1: the key 'A' stands twice"),
        ('{"Resources": {"A": {"Type": "X"}, "A": {"Type": "Y"}}}', "the key 'A' stands twice"),
        ("Resources: {A: !!python/object:os.system {}}", "could not determine a constructor"),
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


TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
USE = {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": {"Fn::GetAtt": ["Key", "Arn"]}}
OWN = {"Effect": "Allow", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "Action": "kms:*"}
ROLE = {
    "AssumeRolePolicyDocument": TRUST,
    "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": [USE]}}],
    "ManagedPolicyArns": [{"Ref": "Managed"}, "arn:aws:iam::aws:policy/ReadOnlyAccess"],
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
        "Role": {"Type": "AWS::IAM::Role", "Properties": ROLE, "Metadata": {"aws:cdk:path": "S/Role/Resource"}},
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
