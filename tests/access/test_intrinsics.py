"""What CloudFormation's functions come to, over all stacks together; what cannot be told is listed, never dropped."""

from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.assembly import Stack
from kms_patterns.access.intrinsics import Resolver, Unresolved

TEMPLATE: dict[str, Any] = {
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


STACKS = [stack("Main", TEMPLATE), stack("Other", OTHER)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "AWS::AccountId"}, "111111111111"),
        ({"Ref": "Tenant"}, "blue"),
        ({"Ref": "Bucket"}, "main-bucket"),
        ({"Ref": "Role"}, "reader"),
        ({"Ref": "Topic"}, "arn:aws:sns:eu-west-1:111111111111:Main-Topic"),
        ({"Fn::GetAtt": ["Key", "Arn"]}, "arn:aws:kms:eu-west-1:111111111111:key/Main.Key"),
        ({"Fn::GetAtt": "Role.Arn"}, "arn:aws:iam::111111111111:role/team/reader"),
        ({"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/*"]]}, "arn:aws:s3:::main-bucket/*"),
        ({"Fn::Sub": "${Bucket.Arn}/${!aws:username}/${Tenant}"}, "arn:aws:s3:::main-bucket/${aws:username}/blue"),
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
    assert resolver.unresolved == set()


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
def test_what_cannot_be_told_is_listed_and_matches_nothing(value: object, what: str) -> None:
    resolver = Resolver(STACKS)
    assert resolver.resolve(STACKS[0], value, "here").startswith("arn:aws:unresolved:::")
    assert [(item.where, item.what) for item in resolver.unresolved] == [("here", what)]


def test_undecided_condition_counts_as_true_and_is_listed() -> None:
    resolver = Resolver(STACKS)
    assert resolver.holds(STACKS[0], "Undecided", "here") is True
    assert resolver.unresolved == {Unresolved("here", "Ref Open", "the parameter has no default")}
