"""Values that only a deployment knows: who may get what by them is listed, with what it rests on."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.report.wording import in_words
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


@pytest.mark.parametrize("seed", range(1, 51))
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
