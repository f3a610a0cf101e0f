"""One statement and one request: wildcards, variables, operators, and what cannot be read."""

from dataclasses import replace
from typing import Any

import pytest

from kms_patterns.local.server.authorization.evaluation import Limit, Policies, decide
from kms_patterns.local.server.authorization.patterns import arn_matches, matches
from kms_patterns.local.server.authorization.principals import Named, Principal, named, spared
from kms_patterns.local.server.authorization.statements import Request, parse

ROLE, SESSION = "arn:aws:iam::123456789012:role/app/blue", "arn:aws:sts::123456789012:assumed-role/blue/i-1"
ROOT = "arn:aws:iam::123456789012:root"
CALLER = Principal(SESSION, ROLE, "123456789012")
KEY = "arn:aws:kms:eu-west-1:123456789012:key/one"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def allowed(*statements: dict[str, Any], version: str = "2012-10-17", resource: str = KEY, **values: Any) -> bool:
    found = {key.replace("_", ":").lower(): value for key, value in values.items()}
    request = Request("kms:Decrypt", resource, CALLER, lambda key: found.get(key.lower()))
    document = {"Version": version, "Statement": list(statements)}
    return decide(request, Policies(parse(document, "test")), resource_required=False).allowed


@pytest.mark.parametrize(("value", "pattern", "expected"), [
    ("abc", "a*", True), ("abc", "a?c", True), ("abc", "A*", False), ("abc", "ab", False), ("a.c", "a.c", True),
    ("abc", "a.c", False), ("a\nb", "a*", True), ("", "*", True), ("", "?", False),
])  # fmt: skip
def test_wildcards(value: str, pattern: str, expected: bool) -> None:
    assert matches(value, pattern) is expected


@pytest.mark.parametrize(("pattern", "expected"), [
    (KEY, True), ("arn:aws:kms:*:*:key/*", True), ("arn:*:kms:*:*:*", True), ("*", False),
    ("arn:aws:kms:*", False), ("arn:aws:*:key/one", False), ("arn:aws:kms:eu-west-1:123456789012:key", False),
])  # fmt: skip
def test_no_wildcard_of_arn_like_reaches_over_a_colon(pattern: str, expected: bool) -> None:
    assert arn_matches(KEY, pattern) is expected


def test_a_resource_with_missing_parts_stands_for_any() -> None:
    assert arn_matches(KEY, "arn:aws:kms:*", complete=True)
    assert not arn_matches(KEY, "arn:aws:s3", complete=True)


@pytest.mark.parametrize(("pattern", "tag", "expected"), [
    ("arn:aws:kms:*:*:key/${aws:PrincipalTag/key}", "one", True),
    ("arn:aws:kms:*:*:key/${aws:PrincipalTag/key}", "two", False),
    ("arn:aws:kms:*:*:key/${aws:PrincipalTag/key}", None, False),
    ("arn:aws:kms:*:*:key/${aws:PrincipalTag/key}", "*", False),
    ("arn:aws:kms:*:*:key/${aws:PrincipalTag/key, 'one'}", None, True),
    ("arn:aws:kms:*:*:key/${*}", None, False),
])  # fmt: skip
def test_policy_variables_are_values_and_never_wildcards(pattern: str, tag: str | None, expected: bool) -> None:
    statement = EVERYTHING | {"Resource": pattern}
    values: dict[str, Any] = {"aws_PrincipalTag/key": tag}
    assert allowed(statement, **values) is expected


def test_an_old_policy_version_has_no_variables() -> None:
    line = {"Condition": {"StringEquals": {"kms:ViaService": "${aws:PrincipalArn}"}}}
    values: dict[str, Any] = {"kms_ViaService": ROLE, "aws_PrincipalArn": ROLE}
    assert allowed(EVERYTHING | line, **values)
    assert not allowed(EVERYTHING | line, version="2008-10-17", **values)


@pytest.mark.parametrize("broken", [
    {"Condition": {"StringEqual": {"kms:ViaService": "x"}}}, {"Condition": {"ArnNotLike": {"aws:PrincipalArn": "x"}}},
    {"Condition": "x"}, {"Condition": {"Bool": "x"}}, {"Action": {"kms": "x"}}, {"NotAction": "s3:*"},
    {"Condition": {"StringNotEquals": {"a": {"b": "c"}}}}, {"NotResource": "*"}, {"Resource": None},
])  # fmt: skip
def test_what_cannot_be_read_neither_allows_nor_fails_to_deny(broken: dict[str, Any]) -> None:
    assert not allowed(EVERYTHING | broken)
    assert not allowed(EVERYTHING, EVERYTHING | broken | {"Effect": "Deny"})


@pytest.mark.parametrize("line", [
    {"NumericNotEquals": {"kms:Days": "seven"}}, {"DateNotEquals": {"aws:CurrentTime": "soon"}},
    {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/99"}}, {"Null": {"kms:Days": "no"}}, {"Bool": {"kms:Flag": "yes"}},
    {"BinaryEquals": {"kms:Flag": "?"}}, {"DateGreaterThanIfExists": {"kms:Absent": "2026-13-01"}},
    {"ForAllValues:NumericLessThan": {"kms:Absent": ["1", "two"]}},
], ids=str)  # fmt: skip
def test_a_value_that_its_operator_cannot_read_neither_allows_nor_fails_to_deny(line: dict[str, Any]) -> None:
    values: dict[str, Any] = {
        "kms_Days": "7", "aws_CurrentTime": "2026-11-21T12:00:00Z", "aws_SourceIp": "10.1.2.3", "kms_Flag": "true",
    }  # fmt: skip
    statement = EVERYTHING | {"Condition": line}
    assert not allowed(statement, **values)
    assert not allowed(EVERYTHING, statement | {"Effect": "Deny"}, **values)


@pytest.mark.parametrize("document", [
    "{", "[]", '"x"', '{"Statement": "x"}', '{"Statement": ["x"]}',
    '{"Statement": {"Effect": "allow", "Action": "*", "Resource": "*"}}',
])  # fmt: skip
def test_a_policy_that_cannot_be_read_denies(document: str) -> None:
    statements = [*parse(document, "broken"), *parse({"Statement": EVERYTHING}, "good")]
    request = Request("kms:Decrypt", KEY, CALLER, lambda _key: None)
    assert decide(request, Policies(statements), resource_required=False).allowed is False


@pytest.mark.parametrize(("principal", "expected"), [
    ("*", Named.ITSELF), ({"AWS": "*"}, Named.ITSELF), ({"AWS": [SESSION]}, Named.ITSELF),
    ({"AWS": ROLE}, Named.BY_ROLE),
    ({"AWS": "123456789012"}, Named.BY_ACCOUNT), ({"AWS": ROOT}, Named.BY_ACCOUNT), ({"Service": "*"}, Named.NOT),
    ({"AWS": "arn:aws:iam::123456789012:role/*"}, Named.NOT),
    ({"AWS": "arn:aws:iam::123456789012:role/blue"}, Named.NOT),
    ({"AWS": "arn:aws:iam::210987654321:root"}, Named.NOT), (None, Named.NOT), ("123456789012", Named.NOT),
])  # fmt: skip
def test_how_closely_a_principal_is_named(principal: object, expected: Named) -> None:
    assert named(principal, CALLER) is expected


@pytest.mark.parametrize(("listed", "expected"), [
    ([SESSION, ROLE, ROOT], True), ([SESSION, ROLE, "123456789012"], True), ([ROLE], False), ([SESSION, ROLE], False),
    (["*"], False), ([], False),
])  # fmt: skip
def test_not_principal_spares_whose_whole_chain_it_lists(listed: list[str], expected: bool) -> None:
    assert spared({"AWS": listed}, CALLER) is expected


def test_not_principal_spares_nobody_who_has_a_boundary() -> None:
    assert not spared({"AWS": [SESSION, ROLE, ROOT]}, replace(CALLER, bounded=True))


@pytest.mark.parametrize(("principal", "expected"), [("*", True), ({"AWS": SESSION}, True), ({"AWS": ROLE}, False)])
def test_a_limit_narrows_what_the_role_is_granted_but_not_what_everyone_is(principal: object, expected: bool) -> None:
    policy = parse({"Statement": EVERYTHING | {"Principal": principal}}, "key policy")
    limit = Limit("session policy", parse({"Statement": EVERYTHING | {"Action": "s3:*"}}, "session policy"))
    request = Request("kms:Decrypt", KEY, CALLER, lambda _key: None)
    assert decide(request, Policies([], [limit], policy), resource_required=True).allowed is expected


@pytest.mark.parametrize("kind", ["permissions boundary", "session policy"])
def test_a_denial_names_the_kind_of_policy_as_aws_does(kind: str) -> None:
    policy = parse({"Statement": EVERYTHING | {"Principal": {"AWS": ROLE}}}, "key policy")
    request, everything = Request("kms:Decrypt", KEY, CALLER, lambda _key: None), parse({"Statement": EVERYTHING}, "p")
    for action, effect, reason in (
        ("s3:*", "Allow", f"because no {kind} allows the kms:Decrypt action"),
        ("*", "Deny", f"with an explicit deny in a {kind}"),
    ):
        limit = Limit(kind, parse({"Statement": EVERYTHING | {"Action": action, "Effect": effect}}, "limit"))
        assert decide(request, Policies(everything, [limit], policy), resource_required=True).reason == reason


@pytest.mark.parametrize(("listed", "expected"), [([SESSION, ROLE, ROOT], True), (["arn:aws:iam::1:root"], False)])
def test_a_deny_with_not_principal_applies_to_everyone_else(listed: list[str], expected: bool) -> None:
    deny = {"Effect": "Deny", "NotPrincipal": {"AWS": listed}, "Action": "*", "Resource": "*"}
    policy = parse({"Statement": [EVERYTHING | {"Principal": {"AWS": ROLE}}, deny]}, "key policy")
    request = Request("kms:Decrypt", KEY, CALLER, lambda _key: None)
    decision = decide(request, Policies([], resource=policy), resource_required=True)
    assert decision.allowed is expected
    assert decision.statement is policy[0 if expected else 1]


def test_an_allow_with_not_principal_allows_nobody() -> None:
    policy = parse({"Statement": EVERYTHING | {"NotPrincipal": {"AWS": "arn:aws:iam::1:root"}}}, "key policy")
    request = Request("kms:Decrypt", KEY, CALLER, lambda _key: None)
    assert not decide(request, Policies([], resource=policy), resource_required=True).allowed
