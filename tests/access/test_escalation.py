"""Who can come to use a key by becoming one of its users, and what a comparison says of what no cell shows."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.escalation.escalation_methods import ON_FUNCTIONS, ON_KEYS, ON_PRINCIPALS, TO_ADMINISTRATOR
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.comparison import Difference, compare
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.report.difference_text import difference_as_text
from kms_patterns.access.report.wording import escalation_text
from tests.access.test_unknown_values import OWNER, key, role

READER = {"AWS": {"Fn::GetAtt": ["Reader", "Arn"]}}
USE = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Principal": READER}
ONLY_READER = {"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": "*", "Principal": OWNER["Principal"]}
KEY = key(ONLY_READER, USE)
ACCOUNT = "arn:aws:iam::${AWS::AccountId}:"

Build = Callable[[Mapping[str, Any]], Matrix]


def trusting(service: str, *statements: Any) -> dict[str, Any]:
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": f"{service}.amazonaws.com"}}
    return role(*statements, AssumeRolePolicyDocument={"Statement": [allow]})


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


@pytest.fixture
def build(running: Simulator, tmp_path: Path) -> Build:
    def matrix(resources: Mapping[str, Any]) -> Matrix:
        (tmp_path / "S.json").write_text(json.dumps({"Parameters": {"X": {"Type": "String"}}, "Resources": resources}))
        return build_with(read_model(tmp_path / "S.json"), running)

    return matrix


@pytest.fixture
def paths(build: Build) -> Callable[..., list[str]]:
    def of(*statements: Any, reader: Any = None, **more: Any) -> list[str]:
        resources = {"K": KEY, "Reader": reader or trusting("lambda"), "Dev": role(*statements), **more}
        return [escalation_text(item) for item in build(resources).escalations if item.principal == "S/Dev"]

    return of


@pytest.mark.parametrize(
    ("actions", "method"),
    [
        (("iam:PassRole", "lambda:CreateFunction"), "iam:PassRole and lambda:CreateFunction"),
        (("iam:*", "lambda:*"), "iam:PassRole and lambda:CreateFunction"),
        (("iam:UpdateAssumeRolePolicy",), "iam:UpdateAssumeRolePolicy"),
        (("iam:Update*",), "iam:UpdateAssumeRolePolicy"),
    ],
)
def test_role_that_can_become_the_reader_is_listed(actions: Any, method: str, paths: Callable[..., list[str]]) -> None:
    found = [text for text in paths(allow(*actions)) if "become S/Reader" in text]
    assert found
    assert method in found[0]


@pytest.mark.parametrize("service", ["ec2", "glue", "ecs-tasks", "cloudformation", "codebuild", "states"])
def test_role_is_passed_to_the_service_that_it_trusts_only(service: str, paths: Callable[..., list[str]]) -> None:
    methods = [item for item in ON_PRINCIPALS if item.service == f"{service}.amazonaws.com" and item.on_target]
    statement = allow("iam:PassRole", *methods[0].besides)
    assert paths(statement, reader=trusting(service)) != []
    assert paths(statement, reader=trusting("logs")) == []
    other = {"StringEquals": {"iam:PassedToService": "logs.amazonaws.com"}}
    limited = allow("iam:PassRole", Condition=other)
    assert paths(limited, allow(*methods[0].besides), reader=trusting(service)) == []


def test_code_of_a_function_that_acts_as_the_reader(paths: Callable[..., list[str]]) -> None:
    function = {"Type": "AWS::Lambda::Function", "Properties": {"Role": READER["AWS"]}}
    assert paths(allow("lambda:UpdateFunctionCode"), F=function) == [
        "can become S/Reader by lambda:UpdateFunctionCode of S/F"
    ]
    assert paths(allow("lambda:GetFunction"), F=function) == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (allow("ssm:SendCommand"), "can become S/Deploy by ssm:SendCommand; then can become S/Reader by iam:PassRole"),
        (allow("sts:AssumeRole"), "can become S/Deploy by sts:AssumeRole; then can become S/Reader by iam:PassRole"),
    ],
)
def test_path_of_several_steps(statement: Any, expected: str, paths: Callable[..., list[str]]) -> None:
    trust = [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
        for principal in ({"Service": "ec2.amazonaws.com"}, OWNER["Principal"])
    ]
    deploy = role(allow("iam:PassRole", "lambda:CreateFunction"), AssumeRolePolicyDocument={"Statement": trust})
    assert [text for text in paths(statement, Deploy=deploy) if text.startswith(expected)] != []


@pytest.mark.parametrize("actions", [("cloudformation:*",), ("iam:PutRolePolicy",), ("iam:CreatePolicyVersion",)])
def test_administrator_by_any_way_becomes_the_reader_of_a_key_that_names_it(
    actions: Any, paths: Callable[..., list[str]]
) -> None:
    found = paths(allow(*actions))
    assert any("account administrator" in text and "can become S/Reader" in text for text in found)


@pytest.mark.parametrize("action", ["kms:PutKeyPolicy", "kms:CreateGrant"])
def test_who_may_change_the_key_can_use_it(action: str, build: Build) -> None:
    delegating = key({**ONLY_READER, "Action": ["kms:DescribeKey", action]}, USE)
    resources = {"K": delegating, "Reader": trusting("lambda"), "Dev": role(allow(action)), "Ops": role()}
    found = {item.principal: escalation_text(item) for item in build(resources).escalations}
    assert found == {"S/Dev": f"can change what S/K allows, by {action}"}


def test_denied_or_bounded_method_is_no_path(paths: Callable[..., list[str]]) -> None:
    assert paths(allow("iam:*"), {**allow("iam:*"), "Effect": "Deny"}) == []
    assert paths(allow("iam:Update*"), allow("iam:Update*", Effect="Deny")) == []


def test_every_method_has_a_source_and_is_complete() -> None:
    for method in (*ON_PRINCIPALS, *ON_FUNCTIONS, *TO_ADMINISTRATOR, *ON_KEYS):
        assert method.source.startswith("https://")
        assert [*method.on_target, *method.besides]
        assert all(":" in name for name in (*method.on_target, *method.besides))


@pytest.fixture
def difference(build: Build) -> Callable[..., Difference]:
    return lambda old, new: compare(build(old), build(new))


def test_statement_of_an_unknown_account_that_says_more_is_a_gain(difference: Callable[..., Difference]) -> None:
    def account(action: str) -> dict[str, Any]:
        principal = {"AWS": {"Fn::Sub": "arn:aws:iam::${X}:root"}}
        return {"K": key(OWNER, {**USE, "Action": action, "Principal": principal})}

    found = difference(account("kms:Decrypt"), account("kms:*"))
    assert found.widens
    assert {step.entry.principal for step in found.steps} == {"account <X>"}


@pytest.mark.parametrize("name", ["role/ci", "user/ann", "role/team/ci"])
def test_what_the_keys_policy_gives_is_compared_apart_from_iam(
    name: str, difference: Callable[..., Difference]
) -> None:
    def named(*actions: str) -> dict[str, Any]:
        statement = {**USE, "Action": list(actions), "Principal": {"AWS": {"Fn::Sub": f"{ACCOUNT}{name}"}}}
        return {"K": key(OWNER, *([statement] if actions else []))}

    first = difference(named(), named("kms:Decrypt"))
    assert [step.entry.action for step in first.steps] == ["kms:Decrypt"]
    more = difference(named("kms:Decrypt"), named("kms:Decrypt", "kms:CreateGrant", "kms:PutKeyPolicy"))
    assert sorted(step.entry.action for step in more.steps) == ["kms:CreateGrant", "kms:PutKeyPolicy"]
    assert not difference(named("kms:Decrypt"), named()).widens


def test_new_path_fails_a_review(difference: Callable[..., Difference]) -> None:
    old = {"K": KEY, "Reader": trusting("lambda"), "Dev": role()}
    new = {**old, "Dev": role(allow("iam:UpdateAssumeRolePolicy"))}
    found = difference(old, new)
    assert found.widens
    assert "S/Dev on key S/K: can become S/Reader by iam:UpdateAssumeRolePolicy" in difference_as_text(found)
    assert not difference(new, old).widens
    assert "paths that are gone" in difference_as_text(difference(new, old))


def test_statement_that_changes_no_cell_is_said(difference: Callable[..., Difference]) -> None:
    old = {"K": key(OWNER), "R": role(allow("kms:*"))}
    direct = {**USE, "Principal": {"AWS": {"Fn::GetAtt": ["R", "Arn"]}}, "Action": "kms:Decrypt"}
    found = difference(old, {**old, "K": key(OWNER, direct)})
    assert [step.entry.principal for step in found.steps] == []
    assert found.widens
    assert "statements changed, access shown here did not" in difference_as_text(found)
    renamed = {**old, "K": key({**OWNER, "Sid": "Owner"})}
    assert difference_as_text(difference(old, renamed)) == "no access changed\n"
