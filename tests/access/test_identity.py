"""Who is who: principals by account and ARN, functions in every way of naming, policies wherever they are attached."""

import json
import random
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.report.wording import in_words
from kms_patterns.access.templates.template_text import NotATemplate
from tests.access.test_unknown_values import DECRYPT, OUTSIDE, OWNER, SYNTHETIC, TRUST, key, role

Build = Callable[[Mapping[str, Any]], Matrix]


@pytest.fixture
def build(running: Simulator, tmp_path: Path) -> Build:
    def matrix(resources: Mapping[str, Any]) -> Matrix:
        (tmp_path / "S.json").write_text(json.dumps({"Parameters": {"P": {"Type": "String"}}, "Resources": resources}))
        return build_with(read_model(tmp_path / "S.json"), running)

    return matrix


def reached(matrix: Matrix, action: str, resource: str) -> dict[str, str]:
    return {
        entry.principal: in_words(entry.condition)
        for entry in matrix.entries
        if entry.action == action and entry.resource == resource and entry.scope is None
    }


@pytest.mark.parametrize("name", ["role/ci", "user/ann", "role/team/ci"])
def test_same_name_in_two_accounts_is_two_principals(name: str, running: Simulator, tmp_path: Path) -> None:
    artifacts = {}
    for stack, account in (("Dev", "111111111111"), ("Prod", "222222222222")):
        statement = DECRYPT | {"Principal": {"AWS": f"arn:aws:iam::{account}:{name}"}}
        (tmp_path / f"{stack}.json").write_text(json.dumps({"Resources": {"K": key(statement)}}))
        environment = f"aws://{account}/eu-west-1"
        properties = {"templateFile": f"{stack}.json"}
        artifacts[stack] = {
            "type": "aws:cloudformation:stack",
            "environment": environment,
            "properties": properties,
            "additionalMetadataFile": "is-not-there.json",
        }
    (tmp_path / "manifest.json").write_text(json.dumps({"version": "38.0.0", "artifacts": artifacts}))
    found = build_with(read_model(tmp_path), running)
    alone = "by this policy alone"
    assert set(reached(found, "kms:Decrypt", "Dev/K")) == {
        f"arn:aws:iam::111111111111:{name}",
        f"arn:aws:iam::111111111111:{name} {alone}",
    }
    assert f"arn:aws:iam::222222222222:{name}" in reached(found, "kms:Decrypt", "Prod/K")


@pytest.mark.parametrize("account", ["111122223333", "700000000001", "888877776666"])
def test_made_up_principal_is_not_of_an_account_of_the_input(account: str, build: Build) -> None:
    found = build({"K": key(DECRYPT | {"Principal": {"AWS": f"arn:aws:iam::{account}:root"}})})
    assert OUTSIDE not in reached(found, "kms:Decrypt", "S/K")
    if account != UNKNOWN_ACCOUNT:
        assert f"account {account}" in reached(found, "kms:Decrypt", "S/K")


@pytest.mark.parametrize(
    ("provider", "principal", "expected"),
    [
        ("AWS::IAM::OIDCProvider", {"Ref": "O"}, "oidc-provider/token.example"),
        ("AWS::IAM::OIDCProvider", {"Fn::GetAtt": ["O", "Arn"]}, "oidc-provider/token.example"),
        ("Custom::AWSCDKOpenIdConnectProvider", {"Ref": "O"}, "oidc-provider/token.example"),
        ("AWS::IAM::SAMLProvider", {"Ref": "O"}, "saml-provider/corporate"),
    ],
)
def test_identity_provider_however_it_is_made_and_named(
    provider: str, principal: Any, expected: str, build: Build
) -> None:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole*", "Principal": {"Federated": principal}}
    made = {"Type": provider, "Properties": {"Url": "https://token.example", "Name": "corporate"}}
    found = build({"O": made, "R": role(AssumeRolePolicyDocument={"Statement": [trust]})})
    assert any(who.endswith(expected) for who in reached(found, "sts:AssumeRoleWithWebIdentity", "S/R"))


OBJECTS = {"Fn::Sub": "${B.Arn}/*"}
GROUP = ("AWS::IAM::Group", {})
FUNCTION = {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "fn"}}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"Ref": "F"}, "always"),
        ({"Fn::GetAtt": ["F", "Arn"]}, "always"),
        ("fn", "always"),
        ("fn:live", "always"),
        ({"Fn::Sub": "${F.Arn}:live"}, "always"),
        ({"Fn::Sub": "${AWS::AccountId}:function:fn"}, "always"),
        ({"Fn::Sub": "${AWS::AccountId}:function:fn:1"}, "always"),
        ({"Ref": "Live"}, "always"),
        ({"Ref": "P"}, "<P> is the function fn"),
        ({"Fn::GetAtt": ["Other", "Arn"]}, None),
    ],
)
def test_permission_of_a_function_however_it_is_named(named: Any, expected: str | None, build: Build) -> None:
    alias = {"FunctionName": {"Ref": "F"}, "Name": "live", "FunctionVersion": "1"}
    permission = {"FunctionName": named, "Action": "lambda:InvokeFunction", "Principal": "222222222222"}
    found = build(
        {
            "F": FUNCTION,
            "Other": {"Type": "AWS::Lambda::Function"},
            "Live": {"Type": "AWS::Lambda::Alias", "Properties": alias},
            "ForS3": {
                "Type": "AWS::Lambda::Permission",
                "Properties": {**permission, "FunctionName": {"Ref": "F"}, "Principal": "s3.amazonaws.com"},
            },
            "Permission": {"Type": "AWS::Lambda::Permission", "Properties": permission},
        }
    )
    assert reached(found, "lambda:InvokeFunction", "S/F").get("account 222222222222") == expected
    assert "s3.amazonaws.com" in reached(found, "lambda:InvokeFunction", "S/F")


def bucket_policy(effect: str, principal: Any, bucket: Any) -> dict[str, Any]:
    statement = {
        "Effect": effect,
        "Principal": principal,
        "Action": "s3:GetObject",
        "Resource": {"Fn::Sub": "${B.Arn}/*"},
    }
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {"Bucket": bucket, "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}},
    }


@pytest.mark.parametrize(
    ("policies", "who", "expected"),
    [
        ([("Allow", "*", {"Ref": "B"}), ("Deny", "*", {"Ref": "B"})], OUTSIDE, "the policy of bucket S/B is S/P0"),
        ([("Deny", "*", {"Ref": "B"}), ("Allow", "*", {"Ref": "B"})], OUTSIDE, "the policy of bucket S/B is S/P1"),
        ([("Allow", "*", {"Ref": "P"})], OUTSIDE, "<P> is the bucket S/B"),
        ([("Allow", {"CanonicalUser": "79a5"}, {"Ref": "B"})], "canonical user 79a5", "always"),
        (
            [("Allow", {"CanonicalUser": {"Fn::GetAtt": ["O", "S3CanonicalUserId"]}}, {"Ref": "B"})],
            "canonical user <O.S3CanonicalUserId>",
            "always",
        ),
    ],
)
def test_every_policy_of_a_bucket_counts(policies: Any, who: str, expected: str, build: Build) -> None:
    made = {f"P{number}": bucket_policy(*policy) for number, policy in enumerate(policies)}
    identity = {"Type": "AWS::CloudFront::CloudFrontOriginAccessIdentity"}
    found = reached(build({"B": {"Type": "AWS::S3::Bucket"}, "O": identity, **made}), "s3:GetObject", "S/B")
    assert expected in found[who]


@pytest.mark.parametrize(
    ("made", "who"),
    [
        ({"M": ("AWS::IAM::ManagedPolicy", {})}, "any with policy S/M"),
        (
            {"M": ("AWS::IAM::ManagedPolicy", {"Groups": [{"Ref": "G"}]}), "G": GROUP},
            "any in group S-G",
        ),
        ({"M": ("AWS::IAM::Policy", {"PolicyName": "p", "Groups": ["staff"]})}, "any in group staff"),
        ({"M": ("AWS::IAM::Policy", {"PolicyName": "p", "Roles": [{"Ref": "P"}]})}, "role/<P>"),
    ],
)
def test_policy_of_no_principal_here_is_somebodys(made: Mapping[str, Any], who: str, build: Build) -> None:
    document = {"PolicyDocument": {"Statement": [DECRYPT]}}
    resources = {
        name: {"Type": kind, "Properties": {**(document if name == "M" else {}), **properties}}
        for name, (kind, properties) in made.items()
    }
    found = reached(build({"K": key(OWNER), "R": role(), **resources}), "kms:Decrypt", "S/K")
    assert found[who] == "always"
    assert found.get("S/R") == ("<P> is the name <S/R>" if "<P>" in who else None)


@pytest.mark.parametrize(
    ("tags", "trust", "expected"),
    [
        ([{"Key": "team", "Value": "red"}], TRUST, "always"),
        ([{"Key": "Team", "Value": "red"}], TRUST, "always"),
        ([{"Key": "team", "Value": "blue"}], TRUST, None),
        ([], TRUST, None),
        ([{"Key": "team", "Value": {"Ref": "P"}}], TRUST, "aws:PrincipalTag/team = red"),
        (
            [],
            {"Statement": [{**TRUST["Statement"][0], "Action": ["sts:AssumeRole", "sts:TagSession"]}]},
            "aws:PrincipalTag/team = red",
        ),
    ],
)
def test_tags_of_a_role_decide_unless_a_session_brings_its_own(
    tags: Any, trust: Any, expected: str | None, build: Build
) -> None:
    statement = DECRYPT | {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}
    found = build({"K": key(statement), "R": role(Tags=tags, AssumeRolePolicyDocument=trust)})
    assert reached(found, "kms:Decrypt", "S/K").get("S/R") == expected


TEMPLATE: dict[str, Any] = {
    "K": key(OWNER, DECRYPT | {"Principal": {"AWS": "222222222222"}, "Condition": {"Bool": {"a:b": "true"}}}),
    "B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketEncryption": {"ServerSideEncryptionConfiguration": [{}]}}},
    "P": bucket_policy("Allow", "*", {"Ref": "B"}),
    "R": role(
        DECRYPT, ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"], Tags=[{"Key": "a", "Value": "b"}]
    ),
    "U": {"Type": "AWS::IAM::User", "Properties": {"Groups": ["g"], "PermissionsBoundary": {"Ref": "M"}}},
    "M": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [DECRYPT]}, "Users": []}},
    "F": FUNCTION,
    "L": {"Type": "AWS::Lambda::Permission", "Properties": {"FunctionName": {"Ref": "F"}, "Principal": "*"}},
}
JUNK = (
    None,
    7,
    True,
    "",
    [],
    {},
    "text",
    [[1]],
    {"Ref": "P"},
    {"Ref": "Nothing"},
    {"Fn::If": ["No", 1, 2]},
    {"Fn::Sub": 3},
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a template with each of its keys, but for the resources' types."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, name) for name in keys if name != "Type"]
    return found + [place for name in keys for place in places(value[name])]


@pytest.mark.parametrize("seed", range(40))
def test_template_with_anything_anywhere_is_read_or_refused_in_one_line(seed: int, build: Build) -> None:
    chosen = random.Random(seed)
    resources = deepcopy(TEMPLATE)
    for _ in range(3):
        inner = [place for name in resources for place in places(resources[name])]
        container, name = chosen.choice(inner)
        container[name] = deepcopy(chosen.choice(JUNK))
    said, known = "", SYNTHETIC
    try:
        known = {who.id for who in build(resources).principals}
    except NotATemplate as error:
        said = str(error)
    assert known >= SYNTHETIC
    assert not said or re.search(r"S\.json: resource \w+: ", said)
