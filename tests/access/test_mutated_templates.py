"""No template, however wrong, ends in a traceback: it is read, or refused in one line."""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.read.assembly import NotAnAssembly, load_assembly
from kms_patterns.access.read.reader import model_of
from kms_patterns.access.templates.template_text import NotATemplate

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
