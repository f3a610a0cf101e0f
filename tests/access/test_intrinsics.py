"""What CloudFormation's functions come to, over all stacks together; what cannot be told is listed, never dropped."""

from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.model import Unresolved
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION, Stack
from kms_patterns.access.read.resolver import Resolver
from kms_patterns.access.unknowns.symbols import is_symbol, symbol

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
    "Any", "Any", UNKNOWN_ACCOUNT, UNKNOWN_REGION, {**TEMPLATE, "Conditions": CONDITIONS}, Path("none"), {}
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
        **TEMPLATE["Parameters"],
        "Names": {"Type": "CommaDelimitedList", "Default": "alpha, beta"},
        "OpenNames": {"Type": "List<String>"},
    }
    main = stack("Main", {**TEMPLATE, "Parameters": declared})
    assert Resolver([main]).resolve(main, value, "here") == expected


def test_export_of_another_region_is_not_taken() -> None:
    regions = ("eu-west-1", "us-east-1")
    exporters = [Stack(f"Other-{region}", "Other", "1" * 12, region, OTHER, Path("none"), {}) for region in regions]
    importer = Stack("Main", "Main", "1" * 12, "us-east-1", TEMPLATE, Path("none"), {})
    elsewhere = Stack("Main", "Main", "1" * 12, "ap-south-1", TEMPLATE, Path("none"), {})
    resolver = Resolver([*exporters, importer, elsewhere])
    imported = {"Fn::ImportValue": "the-key"}
    assert str(resolver.resolve(importer, imported, "here")).startswith("arn:aws:kms:us-east-1:")
    assert is_symbol(resolver.resolve(elsewhere, imported, "here"))
