"""Principals and resources are told apart, and what is unknown of them is possible."""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PrincipalKind, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.read.stated_permissions import names_function
from kms_patterns.access.report.sections import SYNTHETIC as SYNTHETIC_KINDS
from kms_patterns.access.report.sections import Section, sections
from kms_patterns.access.report.text import as_text
from kms_patterns.access.report.wording import in_words
from kms_patterns.access.templates.template_text import NotATemplate
from tests.access.unknown_policies import misses

ROOT = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
DECRYPT = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
DENY = DECRYPT | {"Effect": "Deny"}
NOTHING = {"Ref": "AWS::NoValue"}
READER = {"AWS": {"Fn::GetAtt": ["R", "Arn"]}}
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
OWNER = {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": ROOT}
TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}
PARAMETERS = {name: {"Type": "String"} for name in ("Acct", "P", "Nm")}
CONDITIONS = {"Open": {"Fn::Equals": [{"Ref": "P"}, "x"]}}
BARE, OUTSIDE = "role without any policy", "anyone outside"
SYNTHETIC = {BARE, OUTSIDE, "account administrator", "any other role"}

Reach = Callable[..., dict[str, str]]


def key(*statements: Any) -> dict[str, Any]:
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": statements}}}


def role(*statements: Any, **properties: Any) -> dict[str, Any]:
    inline = [{"PolicyName": "p", "PolicyDocument": {"Statement": list(statements)}}] if statements else []
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": TRUST, "Policies": inline, **properties},
    }


@pytest.fixture
def matrix_of(running: Simulator, tmp_path: Path) -> Callable[..., AccessMatrix]:
    def build(resources: Mapping[str, Any]) -> AccessMatrix:
        template = {"Parameters": PARAMETERS, "Conditions": CONDITIONS, "Resources": resources}
        (tmp_path / "S.template.json").write_text(json.dumps(template))
        return AccessMatrix(**vars(build_with(read_model(tmp_path / "S.template.json"), running)))

    return build


@pytest.fixture
def reach(matrix_of: Callable[..., AccessMatrix]) -> Reach:
    def of(resources: Mapping[str, Any], action: str = "kms:Decrypt", resource: str = "K") -> dict[str, str]:
        """Who reaches an action on a resource, and when."""
        found = matrix_of(resources)
        return {
            entry.principal: in_words(entry.condition)
            for entry in found.entries
            if entry.action == action and entry.resource == f"S/{resource}" and entry.scope is None
        }

    return of


@pytest.mark.parametrize(
    ("principal", "listed"),
    [
        ({"AWS": {"Fn::Sub": "arn:aws:iam::${Acct}:root"}}, {"account <Acct>": "always"}),
        ({"AWS": ["222222222222", {"Fn::Sub": "arn:aws:iam::${Acct}:root"}]}, {"account 222222222222": "always"}),
        ({"AWS": {"Ref": "Acct"}}, {"principal <Acct>": "always", "S/R": "principal <Acct> includes it"}),
        ({"AWS": {"Ref": "P"}}, {"principal <P>": "always", OUTSIDE: "principal <P> includes it"}),
        ({"Ref": "P"}, {"principal <P>": "always", BARE: "principal <P> includes it"}),
        ({"AWS": {"Fn::ImportValue": "who"}}, {"principal <import who>": "always"}),
        (
            {"AWS": "AROAEXAMPLEID"},
            {"principal <AROAEXAMPLEID>": "always", "S/R": "principal <AROAEXAMPLEID> includes it"},
        ),
        ({"AWS": {"Fn::Sub": "arn:aws:iam::${Acct}:role/ci"}}, {"arn:aws:iam::<Acct>:role/ci": "always"}),
        (
            {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/${Nm}"}},
            {
                "arn:aws:iam::<account>:role/<Nm> by this policy alone": "always",
                "S/R": "arn:aws:iam::<account>:role/<Nm> is arn:aws:iam::<account>:role/<S/R>",
            },
        ),
        ({"AWS": 123456789012}, {"account 123456789012": "always"}),
    ],
)
def test_principal_that_is_not_known_by_value_is_listed(principal: Any, listed: dict[str, str], reach: Reach) -> None:
    found = reach({"K": key(DECRYPT | {"Principal": principal}), "R": role()})
    assert {name: found.get(name) for name in listed} == listed


def test_unknown_account_may_be_this_one(reach: Reach) -> None:
    statement = DECRYPT | {"Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${Acct}:root"}}}
    found = reach({"K": key(statement), "R": role(DECRYPT), "S": role()})
    assert found["S/R"] == "<Acct> is <account>"
    assert "S/S" not in found


@pytest.mark.parametrize(
    ("condition", "listed"),
    [
        ({"StringEquals": {"aws:PrincipalAccount": {"Ref": "Acct"}}}, {"account <Acct>": "always"}),
        ({"StringEquals": {"kms:CallerAccount": [{"Ref": "Acct"}]}}, {"account <Acct>": "always"}),
        ({"ArnLike": {"aws:PrincipalArn": {"Ref": "P"}}}, {"principal <P>": "always"}),
        ({"StringEquals": {"Fn::GetAtt": ["J", "Value"]}}, {OUTSIDE: "condition StringEquals <J.Value>"}),
        ({"Ref": "P"}, {OUTSIDE: "condition <P>"}),
        ({"Bool": {"aws:MultiFactorAuthPresent": {"Ref": "P"}}}, {OUTSIDE: "aws:MultiFactorAuthPresent Bool <P>"}),
    ],
)
def test_unknown_condition_is_not_dropped(condition: Any, listed: dict[str, str], reach: Reach) -> None:
    found = reach({"K": key(DECRYPT | {"Principal": "*", "Condition": condition}), "J": {"Type": "Custom::J"}})
    assert {name: found.get(name) for name in listed} == listed


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            DECRYPT | {"Principal": {"Fn::If": ["Open", {"AWS": {"Fn::GetAtt": ["R", "Arn"]}}, "*"]}},
            "condition Open is false",
        ),
        ({"Fn::If": ["Open", DECRYPT | {"Principal": "*"}, NOTHING]}, "condition Open"),
        (
            DECRYPT | {"Principal": "*", "Action": {"Fn::If": ["Open", "kms:Encrypt", "kms:*"]}},
            "condition Open is false",
        ),
        (DECRYPT | {"Principal": "*", "Effect": {"Ref": "P"}}, "effect <P> is Allow"),
        (DECRYPT | {"Principal": "*", "Action": {"Ref": "P"}}, "<P> names it"),
        (DECRYPT | {"Principal": "*", "Action": {"Fn::Sub": "kms:${P}"}}, "kms:<P> names it"),
        ({"Fn::If": ["Open", DECRYPT | {"Principal": "*"}, DECRYPT | {"Principal": "*"}]}, "always"),
        ({"Ref": "P"}, "effect <P> is Allow"),
    ],
)
def test_either_way_is_followed(statement: Any, expected: str, reach: Reach) -> None:
    assert reach({"K": key(OWNER, statement), "R": role()})[OUTSIDE] == expected


@pytest.mark.parametrize(
    ("deny", "expected"),
    [
        (
            {"Fn::If": ["Open", {**DENY, "Principal": "*"}, {"Ref": "AWS::NoValue"}]},
            "not (condition Open)",
        ),
        ({**DENY, "Principal": {"AWS": {"Ref": "P"}}}, "not (principal <P> includes it)"),
        ({**DENY, "NotPrincipal": {"AWS": {"Ref": "P"}}}, "not (it is not <P>)"),
        ({**DENY, "Principal": "*", "Action": {"Ref": "P"}}, "not (<P> names it)"),
        ({**DECRYPT, "Effect": {"Ref": "P"}, "Principal": "*"}, "effect <P> is Allow or not (effect <P> is Deny)"),
    ],
)
def test_unknown_deny_takes_nothing_away_for_certain(deny: Any, expected: str, reach: Reach) -> None:
    found = reach({"K": key(OWNER, deny), "R": role(DECRYPT)})
    assert found["S/R"] in {expected, "not (effect <P> is Deny)"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("arn:aws:kms:us-east-1:123456789012:key/*", "<account> is 123456789012 and <region> is us-east-1"),
        ({"Fn::Sub": "arn:aws:kms:us-east-1:${AWS::AccountId}:key/*"}, "<region> is us-east-1"),
        ({"Fn::Sub": "arn:aws:kms:eu-west-1:${AWS::AccountId}:key/${K}"}, "<region> is eu-west-1"),
        ("arn:aws:kms:us-*", "<region> is us-*"),
        ({"Fn::ImportValue": "key"}, "<import key> names it"),
    ],
)
def test_literal_region_and_account_match_if_deployed_there(resource: Any, expected: str, reach: Reach) -> None:
    found = reach({"K": key(OWNER), "R": role(DECRYPT | {"Resource": resource})})["S/R"]
    assert found == expected or ("us-*" in expected and "is in arn:aws:kms:us-*" in found)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"Policies": {"Ref": "P"}}, "effect <P> is Allow"),
        ({"Policies": [{"PolicyName": "p", "PolicyDocument": {"Ref": "P"}}]}, "effect <P> is Allow"),
        ({"ManagedPolicyArns": [{"Ref": "P"}]}, "managed policy <P> allows it"),
        (
            {"ManagedPolicyArns": {"Fn::If": ["Open", ["arn:aws:iam::aws:policy/AdministratorAccess"], []]}},
            "condition Open",
        ),
        ({"ManagedPolicyArns": ["arn:aws:iam::222222222222:policy/x"]}, "managed policy x allows it"),
    ],
)
def test_role_with_a_policy_that_is_not_known(properties: dict[str, Any], expected: str, reach: Reach) -> None:
    found = reach({"K": key(OWNER), "R": role(**properties), "S": role()})
    assert found["S/R"] == expected
    assert "S/S" not in found


@pytest.mark.parametrize("seed", range(1, 13))
def test_what_a_substitution_allows_was_listed_as_possible(seed: int, running: Simulator, tmp_path: Path) -> None:
    assert list(misses(seed, running, tmp_path, substitutions=2)) == []


def kms_grant(**given: Any) -> dict[str, Any]:
    grant = {"KeyId": {"Fn::GetAtt": ["K", "Arn"]}, "Operations": ["Decrypt"], "Name": "g", **given}
    return {"Type": "Custom::KmsGrant", "Properties": {"ServiceToken": "arn:aws:lambda:x", "Grant": grant}}


@pytest.mark.parametrize(
    ("grant", "listed"),
    [
        (kms_grant(GranteePrincipal={"Fn::GetAtt": ["R", "Arn"]}), {"S/R": "always"}),
        (kms_grant(GranteePrincipal={"Fn::GetAtt": ["R", "Arn"]}, Operations=["Encrypt"]), {}),
        (
            kms_grant(GranteePrincipal={"Fn::GetAtt": ["R", "Arn"]},
                      Constraints={"EncryptionContextSubset": {"tenant": "a"}}),
            {"S/R": "kms:EncryptionContext:tenant = a"},
        ),
        (
            kms_grant(GranteePrincipal="arn:aws:iam::444455556666:role/partner"),
            {"arn:aws:iam::444455556666:role/partner": "always"},
        ),
    ],
)  # fmt: skip
def test_grant_of_a_key_is_listed_beside_its_policy(grant: Any, listed: dict[str, str], reach: Reach) -> None:
    found = reach({"K": key(), "R": role(), "G": grant})
    assert {who: when for who, when in found.items() if who not in SYNTHETIC and not who.startswith("any ")} == listed


def test_grant_that_may_exist_or_have_any_grantee_is_listed_as_possible(reach: Reach) -> None:
    maybe = kms_grant(GranteePrincipal={"Fn::GetAtt": ["R", "Arn"]}) | {"Condition": "Open"}
    anyone = kms_grant(GranteePrincipal={"Ref": "P"})

    assert "Open" in reach({"K": key(), "R": role(), "G": maybe})["S/R"]
    assert "<P>" in " ".join(reach({"K": key(), "R": role(), "G": anyone}))


def test_grant_on_a_key_of_elsewhere_is_noted(matrix_of: Callable[..., AccessMatrix]) -> None:
    far = kms_grant(KeyId="arn:aws:kms:eu-west-1:444455556666:key/1", GranteePrincipal={"Fn::GetAtt": ["R", "Arn"]})
    noted = [item for item in matrix_of({"K": key(), "R": role(), "G": far}).unresolved if item.where == "S/G"]
    assert [item.why for item in noted] == ["the key is not defined here"]


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
        ("fn:live", "version or alias live"),
        ({"Fn::Sub": "${F.Arn}:live"}, "version or alias live"),
        ({"Fn::Sub": "${AWS::AccountId}:function:fn"}, "always"),
        ({"Fn::Sub": "${AWS::AccountId}:function:fn:1"}, "version or alias 1"),
        ({"Fn::Sub": "${AWS::AccountId}:fn"}, "always"),
        ({"Fn::Sub": "${AWS::Region}:${AWS::AccountId}:function:fn:1"}, "version or alias 1"),
        ({"Ref": "Live"}, "version or alias live"),
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


HERE = ("eu-west-1", "111111111111")


@pytest.mark.parametrize(
    ("named", "arn", "expected"),
    [
        ("fn", "arn:aws:lambda:eu-west-1:111111111111:function:fn", ()),
        ("fn", "arn:aws:lambda:us-east-1:111111111111:function:fn", None),
        ("fn", "arn:aws:lambda:eu-west-1:222222222222:function:fn", None),
        (
            "us-east-1:111111111111:fn:2",
            "arn:aws:lambda:us-east-1:111111111111:function:fn",
            [("version or alias 2", "true")],
        ),
        ("arn:aws:lambda:us-east-1:222222222222:function:fn", "arn:aws:lambda:us-east-1:222222222222:function:fn", ()),
        ("fn", f"arn:aws:lambda:{UNKNOWN_REGION}:111111111111:function:fn", [("fn is the function fn", "true")]),
        (
            "222222222222:fn",
            f"arn:aws:lambda:eu-west-1:{UNKNOWN_ACCOUNT}:function:fn",
            [("222222222222:fn is the function fn", "true")],
        ),
    ],
)
def test_permission_is_about_the_function_of_its_own_region_and_account(
    named: str, arn: str, expected: Sequence[tuple[str, str]] | None
) -> None:
    assert names_function(named, arn, HERE) == expected


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
        ([], TRUST, "aws:PrincipalTag/team = red"),  # its stack may bring it
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


def functions(matrix: AccessMatrix, stack: str) -> dict[str, Section]:
    found = [section for section in sections(matrix, stack) if section.what.kind is ResourceKind.FUNCTION]
    return {section.what.id.removeprefix(f"{stack}/"): section for section in found}


def test_roles_that_may_do_no_more_than_anyone_are_not_repeated(matrix: Callable[[str], AccessMatrix]) -> None:
    section = functions(matrix("examples/public_key"), "PublicKey")["Export/Serve/Function"]
    assert [block.who.kind for block in section.blocks] == list(SYNTHETIC_KINDS)
    outsider = next(block for block in section.blocks if block.who.kind is PrincipalKind.OUTSIDER)
    assert outsider.alarming
    assert [row.actions for row in outsider.rows] == [["InvokeFunction"], ["InvokeFunctionUrl"]]
    line = "  ! anyone outside the account, and every role without a line of its own"
    assert line in as_text(matrix("examples/public_key")).splitlines()


def test_function_that_is_not_public_still_names_its_caller(matrix: Callable[[str], AccessMatrix]) -> None:
    section = functions(matrix("examples/public_key"), "PublicKey")["Cipher/Decrypt/Function"]
    assert section.blocks[0].who.id == "PublicKey/Reader"
    assert not any(block.for_all for block in section.blocks)


@pytest.mark.parametrize(
    "provider", ["oidc-provider/token.actions.githubusercontent.com", "saml-provider/x", "oidc-provider/${Name}"]
)
@pytest.mark.parametrize(
    ("account", "expected"),
    [("111111111111", "<account> is 111111111111"), ("${P}", "<P> is <account>"), ("${AWS::AccountId}", "always")],
)
def test_provider_whose_account_may_be_that_of_the_stack_may_assume(
    provider: str, account: str, expected: str, build: Build
) -> None:
    action = "sts:AssumeRoleWith" + ("SAML" if "saml" in provider else "WebIdentity")
    named = {"Fn::Sub": f"arn:aws:iam::{account}:{provider}"}
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Federated": named}, "Action": action}]}
    matrix = build({"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}})
    (found,) = (in_words(item.condition) for item in matrix.entries if item.action == action)
    assert found.split(" or ")[0] == expected


@pytest.mark.parametrize(
    "read",
    [
        {"Fn::GetAtt": ["X", "/k"]},
        {"Fn::ImportValue": "k"},
        {"Fn::GetStackOutput": {"StackName": "D", "OutputName": "O"}},
    ],
)
def test_stages_of_one_app_in_two_accounts_meet_their_own(read: Any, tmp_path: Path, running: Simulator) -> None:
    arn = {"Fn::GetAtt": ["K", "Arn"]}
    policies = [{"PolicyName": "p", "PolicyDocument": {"Statement": [DECRYPT | {"Resource": read}]}}]
    writer = {"Type": "Custom::CrossRegionExportWriter", "Properties": {"WriterProps": {"exports": {"/k": arn}}}}
    data = {"K": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": [OWNER]}}}, "W": writer}
    user = {"Type": "AWS::IAM::Role", "Properties": {"Policies": policies}}
    app = {"Resources": {"X": {"Type": "Custom::CrossRegionExportReader"}, "R": user}}
    exporting = {"Resources": data, "Outputs": {"O": {"Value": arn, "Export": {"Name": "k"}}}}

    def write(folder: str, artifacts: Mapping[str, Any], **templates: Any) -> None:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, found in {**templates, "manifest": {"artifacts": artifacts}}.items():
            (tmp_path / folder / f"{name}.json").write_text(json.dumps(found))

    def stack(stage: str, name: str, account: str) -> dict[str, Any]:
        kind = {"type": "aws:cloudformation:stack", "environment": f"aws://{account}/eu-west-1"}
        return kind | {
            "displayName": f"{stage}/{name}",
            "properties": {"templateFile": f"{name}.json", "stackName": name},
        }

    stages = {"One": "111111111111", "Two": "222222222222"}
    for stage, account in stages.items():
        write(stage, {name: stack(stage, name, account) for name in "DA"}, D=exporting, A=app)
    write(".", {name: {"type": "cdk:cloud-assembly", "properties": {"directoryName": name}} for name in stages})
    entries = build_with(read_model(tmp_path), running).entries
    cells = {(it.principal, it.resource) for it in entries if it.action == "kms:Decrypt"}
    assert {(f"{name}/A/R", f"{name}/D/K") for name in stages} <= cells
