"""Policies are evaluated as IAM does: statements, AWS's simulator side by side, and the emulator's own evaluation."""

import json
import random
from contextvars import Context
from dataclasses import replace
from typing import Any

import pytest
from botocore.config import Config
from ministack.core import iam_evaluator
from urllib3 import PoolManager

from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.unknowns.symbols import matches as any_matches
from kms_patterns.local import AwsSession
from kms_patterns.local.server.authorization import emulator_policies
from kms_patterns.local.server.authorization.decision import Limit, Policies, decide
from kms_patterns.local.server.authorization.patterns import arn_matches, matches
from kms_patterns.local.server.authorization.policy_statements import Named, Principal, Request, named, parse, spared
from kms_patterns.local.server.requests.request_members import tags_of
from kms_patterns.local.server.s3.s3_operations import S3Request, refused_for

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


def test_no_pattern_takes_for_ever() -> None:
    for pattern in ("*a" * 40 + "*b", "${aws:username}" + "*a" * 40 + "*b"):
        assert not matches("a" * 4000, pattern, lambda _: "a")
        assert matches("a" * 4000 + "b", pattern, lambda _: "a")
    assert not any_matches("*a" * 40 + "*b", "a" * 4000)


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


ACCOUNT = "123456789012"
SIM_ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
OTHER = f"arn:aws:iam::{ACCOUNT}:role/other"
SIM_SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/i-1"
USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
SIM_ROOT = f"arn:aws:iam::{ACCOUNT}:root"
SIM_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
OBJECT = "arn:aws:s3:::docs/team/blue.txt"
ACTIONS = {
    "kms": [
        "kms:Encrypt",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "kms:DescribeKey",
        "kms:CreateGrant",
        "kms:Decapsulate",
        "kms:DisableKey",
    ],
    "s3": ["s3:GetObject", "s3:PutObject", "s3:GetObjectVersion", "s3:DeleteObject"],
}
PATTERNS = {
    "kms": ["kms:*", "kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "KMS:decrypt", "kms:De*", "*"],
    "s3": ["s3:*", "s3:GetObject", "s3:GetObject*", "s3:Put?bject", "s3:PutObject", "*"],
}
RESOURCES = {
    "kms": ["*", SIM_KEY, SIM_KEY[:-1] + "?", f"arn:aws:kms:*:{ACCOUNT}:key/*", "arn:aws:kms:us-east-1:*",
            SIM_KEY + "x",
            "arn:aws:kms:eu-west-1:*:*", "arn:aws:kms:*:key/*"],
    "s3": ["*", OBJECT, "arn:aws:s3:::docs/*", "arn:aws:s3:::docs/team/?lue.txt", "arn:aws:s3:::docs",
           "arn:aws:s3:::docs/${aws:PrincipalTag/team}/*", "arn:aws:s3:::*/${aws:username, 'team'}/*"],
}  # fmt: skip
LINES: list[tuple[str, list[str], list[str]]] = [
    ("kms:EncryptionContext:tenant", ["a", "b", "A", "a*"],
     ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
      "StringEqualsIfExists", "StringNotEqualsIfExists", "Null"]),
    ("kms:EncryptionContextKeys", ["tenant", "purpose", "x"],
     ["ForAllValues:StringEquals", "ForAnyValue:StringEquals", "ForAnyValue:StringLike",
      "ForAllValues:StringNotEquals", "ForAnyValue:StringNotEquals", "Null"]),
    ("kms:ViaService", ["s3.us-east-1.amazonaws.com", "s3.*.amazonaws.com", "sqs.us-east-1.amazonaws.com"],
     ["StringEquals", "StringLike", "StringNotEquals", "StringEqualsIfExists", "Null"]),
    ("aws:PrincipalArn", [SIM_ROLE, OTHER, f"arn:aws:iam::{ACCOUNT}:role/*", "arn:aws:iam::*:role/app"],
     ["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "StringEquals", "StringLike"]),
    ("aws:PrincipalArn", ["arn:*:app", SIM_ROLE], ["StringLike", "StringNotLike"]),
    ("aws:PrincipalTag/team", ["team", "red", "t*"], ["StringEquals", "StringLike", "StringNotEquals"]),
    ("aws:SecureTransport", ["true", "false"], ["Bool", "BoolIfExists", "Null"]),
    ("aws:SourceIp", ["10.0.0.0/8", "192.0.2.1"], ["IpAddress", "NotIpAddress"]),
    ("aws:CurrentTime", ["2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"],
     ["DateLessThan", "DateGreaterThan", "DateNotEquals"]),
    ("kms:ScheduleKeyDeletionPendingWindowInDays", ["7", "30"],
     ["NumericEquals", "NumericLessThan", "NumericGreaterThanEquals", "NumericNotEquals"]),
    # Tags of the resource, of the request and of the session; keys with several values; every IfExists.
    ("aws:ResourceTag/stage", ["test", "prod", "p*"],
     ["StringEquals", "StringLike", "StringNotLike", "StringEqualsIfExists", "StringNotLikeIfExists", "Null"]),
    ("aws:RequestTag/stage", ["test", "prod"], ["StringEquals", "StringNotEquals", "StringEqualsIfExists"]),
    ("aws:TagKeys", ["stage", "owner"],
     ["ForAllValues:StringEquals", "ForAnyValue:StringEquals", "ForAnyValue:StringLike", "Null"]),
    ("aws:PrincipalTag/team", ["team", "red"], ["StringEqualsIfExists", "StringNotEqualsIfExists", "Null"]),
    ("kms:ResourceAliases", ["alias/a", "alias/b", "alias/*"],
     ["ForAnyValue:StringEquals", "ForAllValues:StringLike", "ForAllValues:StringNotLike"]),
    ("kms:GrantOperations", ["Decrypt", "Encrypt", "CreateGrant"],
     ["ForAllValues:StringEquals", "ForAnyValue:StringNotEquals"]),
    ("kms:ScheduleKeyDeletionPendingWindowInDays", ["7", "30"], ["NumericLessThanIfExists", "NumericEqualsIfExists"]),
    ("aws:PrincipalArn", [SIM_ROLE, OTHER], ["ArnLikeIfExists", "ArnNotEqualsIfExists"]),
    ("aws:SourceIp", ["10.0.0.0/8"], ["IpAddressIfExists", "NotIpAddressIfExists"]),
    # Keys of 2026.
    ("kms:EncapsulationAlgorithm", ["ML_KEM", "ML_*", "RSA"],
     ["StringEquals", "StringLike", "StringNotEquals", "StringEqualsIfExists", "Null"]),
    ("kms:TrailingDaysWithoutKeyUsage", ["30", "90"], ["NumericLessThanEquals", "NumericGreaterThanIfExists", "Null"]),
    ("kms:GranteeServicePrincipal", ["dynamodb.amazonaws.com", "*.amazonaws.com"],
     ["StringEquals", "StringLike", "StringNotEqualsIfExists"]),
    ("kms:RetiringServicePrincipal", ["dynamodb.amazonaws.com", "*.amazonaws.com"],
     ["StringNotLike", "StringEqualsIfExists", "StringNotEquals", "Null"]),
    ("kms:GrantConstraintSourceArn", ["arn:aws:dynamodb:*:123456789012:table/*", "arn:aws:sqs:*:*:*"],
     ["ArnLike", "ArnNotLike", "ArnLikeIfExists"]),
]  # fmt: skip


def _some(rng: random.Random, values: list[str]) -> str | list[str]:
    chosen = rng.sample(values, rng.randint(1, min(2, len(values))))
    return chosen if len(chosen) > 1 or rng.random() < 0.3 else chosen[0]


def _condition(rng: random.Random) -> dict[str, Any]:
    condition: dict[str, Any] = {}
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        key, values, operators = rng.choice(LINES)
        operator = rng.choice(operators)
        wanted = rng.choice(["true", "false"]) if operator == "Null" else _some(rng, values)
        condition.setdefault(operator, {})[key] = wanted
    return condition


def _statement(rng: random.Random, service: str, *, principal: bool) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Deny" if rng.random() < 0.2 else "Allow"}
    if principal:
        named = rng.choice(
            [
                SIM_ROOT,
                SIM_ROOT,
                SIM_ROOT,
                SIM_ROLE,
                OTHER,
                ACCOUNT,
                SIM_SESSION,
                USER,
                "*",
            ]
        )
        statement["Principal"] = named if named == "*" and rng.random() < 0.5 else {"AWS": named}
    negated = rng.random() < 0.1
    statement["NotAction" if negated else "Action"] = _some(rng, PATTERNS[service])
    negated = rng.random() < 0.1
    own = ["*"] if principal and service == "kms" else RESOURCES[service]
    negated = negated and not principal
    # What NotResource excludes by an ARN with missing parts, or by a variable without a value, AWS does not define.
    own = [pattern for pattern in own if "${" not in pattern and pattern.count(":") > 4] or ["*"] if negated else own
    statement["NotResource" if negated else "Resource"] = _some(rng, own)
    condition = _condition(rng)
    return statement | ({"Condition": condition} if condition else {})


def _policy(rng: random.Random, service: str, *, principal: bool) -> dict[str, Any]:
    statements = [_statement(rng, service, principal=principal) for _ in range(rng.randint(1, 3))]
    return {"Version": "2012-10-17", "Statement": statements}


def _context(rng: random.Random, principal: str) -> dict[str, Any]:
    context: dict[str, Any] = {
        "aws:PrincipalArn": SIM_ROLE if principal == SIM_SESSION else principal,
        "aws:SecureTransport": rng.choice(["true", "false"]),
        "aws:CurrentTime": "2026-11-21T12:00:00Z",
        "aws:SourceIp": rng.choice(["10.1.2.3", "192.0.2.1"]),
    }
    optional = {
        "kms:EncryptionContext:tenant": rng.choice(["a", "b", "A"]),
        "kms:EncryptionContextKeys": rng.sample(["tenant", "purpose", "more"], rng.randint(1, 3)),
        "kms:ViaService": "s3.us-east-1.amazonaws.com",
        "aws:PrincipalTag/team": rng.choice(["team", "red"]),
        "kms:ScheduleKeyDeletionPendingWindowInDays": rng.choice(["7", "15", "30"]),
        "aws:ResourceTag/stage": rng.choice(["test", "prod"]),
        "aws:RequestTag/stage": rng.choice(["test", "prod"]),
        "aws:TagKeys": rng.sample(["stage", "owner", "more"], rng.randint(1, 3)),
        "kms:ResourceAliases": rng.sample(["alias/a", "alias/b", "alias/c"], rng.randint(1, 2)),
        "kms:GrantOperations": rng.sample(["Decrypt", "Encrypt", "DescribeKey"], rng.randint(1, 3)),
        "kms:EncapsulationAlgorithm": "ML_KEM",
        "kms:TrailingDaysWithoutKeyUsage": rng.choice(["10", "30", "400"]),
        "kms:GranteeServicePrincipal": rng.choice(["dynamodb.amazonaws.com", "sqs.amazonaws.com"]),
        "kms:RetiringServicePrincipal": rng.choice(["dynamodb.amazonaws.com", "sqs.amazonaws.com"]),
        "kms:GrantConstraintSourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
    }
    if principal == USER:
        optional["aws:username"] = "ann"
    return context | {key: value for key, value in optional.items() if rng.random() < 0.6}


def case(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    service = rng.choice(["kms", "kms", "s3"])
    principal = rng.choice([SIM_ROLE, SIM_SESSION, USER])
    made: dict[str, Any] = {
        "service": service, "principal": principal,
        "action": rng.choice(ACTIONS[service]), "resource": SIM_KEY if service == "kms" else OBJECT,
        "context": _context(rng, principal),
        "identity": [_policy(rng, service, principal=False) for _ in range(rng.randint(0, 2))],
        "resource_policy": _policy(rng, service, principal=True) if service == "kms" or rng.random() < 0.6 else None,
        "boundary": _policy(rng, service, principal=False) if rng.random() < 0.3 else None,
        "session": _policy(rng, service, principal=False)
        if principal == SIM_SESSION and rng.random() < 0.4 else None,
    }  # fmt: skip
    for statement in (made["resource_policy"] or {"Statement": []})["Statement"]:
        if statement["Effect"] == "Deny" and rng.random() < 0.4:
            del statement["Principal"]
            statement["NotPrincipal"] = {"AWS": _not_principal(rng, principal)}
        elif made["session"] and statement["Principal"] in ("*", {"AWS": "*"}, {"AWS": SIM_SESSION}):
            # AWS: a session policy does not narrow what is granted to "*" or to the session; the simulator narrows it.
            statement["Principal"] = {"AWS": SIM_ROLE}
    return made


def _not_principal(rng: random.Random, principal: str) -> list[str]:
    """List the principal with its role and account, or with none of them: in between, AWS only advises against it."""
    chain = {
        SIM_ROLE: [SIM_ROLE, SIM_ROOT],
        SIM_SESSION: [SIM_SESSION, SIM_ROLE, SIM_ROOT],
        USER: [USER, SIM_ROOT],
    }[principal]
    others = [other for other in (SIM_ROLE, SIM_SESSION, USER, OTHER) if other not in chain]
    return rng.sample(others, rng.randint(1, 2)) + (chain if rng.random() < 0.7 else [])


def ours(case: dict[str, Any]) -> bool:
    values = {key.lower(): value for key, value in case["context"].items()}
    source = SIM_ROLE if case["principal"] == SIM_SESSION else case["principal"]
    principal = Principal(case["principal"], source, ACCOUNT, bounded=bool(case["boundary"]))
    request = Request(case["action"], case["resource"], principal, lambda key: values.get(key.lower()))
    identity = [statement for document in case["identity"] for statement in parse(document, "identity")]
    limits = [Limit(name, parse(case[name], name)) for name in ("boundary", "session") if case[name]]
    policies = Policies(identity, limits, parse(case["resource_policy"], "resource"))
    return decide(request, policies, resource_required=case["service"] == "kms").allowed


def _asked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with simulator() as running:
        return list(running.answers(messages))


def theirs(cases: list[dict[str, Any]]) -> list[bool]:
    messages: list[dict[str, Any]] = []
    start = 0
    for one in cases:
        identity = [{"kind": "identity", "document": document} for document in one["identity"]]
        boundary = [{"kind": "identity", "document": one["boundary"]}] if one["boundary"] else []
        resource = [{"kind": "resource", "document": one["resource_policy"]}] if one["resource_policy"] else []
        session = [{"kind": "identity", "document": one["session"]}] if one["session"] else []
        messages.append({"policies": (table := [*identity, *boundary, *resource, *session]), "from": start})
        first = start + len(identity)
        messages.append({
            "each": "direct", "mode": "Strict", "known": [], "blockPublicAccess": False,
            "principal": one["principal"], "account": ACCOUNT, "resource": one["resource"],
            "context": one["context"], "actions": [one["action"]],
            "identity": list(range(start, first)), "boundaries": [first] if boundary else None,
            "resourcePolicy": first + len(boundary) if resource else None,
            "sessionPolicy": first + len(boundary) + len(resource) if session else None,
        })  # fmt: skip
        start += len(table)
    # In a process of its own: a shared Simulator numbers the policies that it loaded itself.
    answers = Context().run(_asked, messages)
    assert [answer for answer in answers[::2] if answer["invalid"]] == []
    return [bool(answer["allowed"]) for answer in answers[1::2]]


def test_random_cases_are_decided_as_the_independent_simulator_does(pytestconfig: pytest.Config) -> None:
    cases = [case(seed) for seed in range(pytestconfig.getoption("differential_cases"))]
    differences = {
        seed: {"ours": ours(one), "theirs": other} | one
        for seed, (one, other) in enumerate(zip(cases, theirs(cases), strict=True))
        if ours(one) != other
    }
    shown = json.dumps(dict(list(differences.items())[:3]), indent=1)
    assert not differences, f"{len(differences)} of {len(cases)} differ, seeds {list(differences)[:20]}: {shown}"


def test_the_cases_are_about_evenly_allowed_and_denied() -> None:
    allowed = sum(ours(case(seed)) for seed in range(1000))
    assert 150 < allowed < 850, allowed


CASES = 800


@pytest.fixture
def evaluated_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put our evaluation where the seam puts it, for this test alone."""
    for name, make in (
        ("parse_policy_document", emulator_policies.parse_document),
        ("_first_match", emulator_policies.first_match),
        ("evaluate_resource_policy", emulator_policies.resource_policy),
    ):
        monkeypatch.setattr(iam_evaluator, name, make(getattr(iam_evaluator, name)))
    monkeypatch.setattr(iam_evaluator, "_resolve_condition_key", lambda key, ctx: ctx.service_context.get(key.lower()))
    monkeypatch.setattr(emulator_policies, "principal_of", lambda arn, *_: _principal(arn))


def _principal(arn: str) -> Principal:
    return Principal(arn, ROLE if arn == SESSION else arn, ACCOUNT)


def _both(one: dict[str, Any]) -> tuple[bool, bool]:
    values = {key.lower(): value for key, value in one["context"].items()}
    request = Request(one["action"], one["resource"], _principal(one["principal"]), lambda key: values.get(key.lower()))
    identity = [statement for document in one["identity"] for statement in parse(document, "identity")]
    limits = [Limit(name, parse(one[name], name)) for name in ("boundary", "session") if one[name]]
    ours = decide(request, Policies(identity, limits, parse(one["resource_policy"], "r")), resource_required=False)
    alone = decide(request, Policies(identity, limits), resource_required=False)
    denied = not alone.allowed and "explicit" in alone.reason
    decision = "Deny" if denied else "Allow" if alone.allowed else "ImplicitDeny"
    context = iam_evaluator.EvalContext(
        one["principal"], "User", ACCOUNT, one["action"], one["resource"], "us-east-1", service_context=values
    )
    theirs = iam_evaluator.combine_resource_policy(
        iam_evaluator.EvalResult(decision, one["principal"], "", ""),
        context,
        one["resource_policy"],
        ACCOUNT,
        limits=tuple([limit.statements] for limit in limits),
    )
    return ours.allowed, theirs.decision == "Allow"


@pytest.mark.usefixtures("evaluated_by_us")
def test_the_emulator_combines_as_we_do() -> None:
    cases = {seed: case(seed) for seed in range(CASES)}
    about_s3 = {seed: one for seed, one in cases.items() if one["service"] == "s3" and one["resource_policy"]}
    decided = {seed: _both(one) for seed, one in about_s3.items()}
    assert {seed: pair for seed, pair in decided.items() if pair[0] != pair[1]} == {}
    assert 0.1 < sum(ours for ours, _ in decided.values()) / len(decided) < 0.9


EVERYTHING_OF_S3 = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
LONG = {"Mode": "GOVERNANCE", "RetainUntilDate": "2999-01-01T00:00:00Z"}
TOO_LONG = {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}
CLASS = {"TagSet": [{"Key": "class", "Value": "secret"}]}
REQUESTED = {"StringEquals": {"s3:RequestObjectTag/class": "secret"}}
PRIVATE = {"StringEquals": {"s3:x-amz-acl": "private"}}
GRANTING = {"StringLike": {"s3:x-amz-grant-read": "*"}}
SECRET = {"StringEquals": {"s3:ExistingObjectTag/class": "secret"}}


@pytest.mark.parametrize(("action", "call", "condition"), [
    ("PutObjectTagging", lambda s3, at: s3.put_object_tagging(**at, Tagging=CLASS), REQUESTED),
    ("PutObjectAcl", lambda s3, at: s3.put_object_acl(**at, ACL="private"), PRIVATE),
    ("PutObjectAcl", lambda s3, at: s3.put_object_acl(**at, GrantRead="id=x"), GRANTING),
    ("GetObjectAttributes", lambda s3, at: s3.get_object_attributes(**at, ObjectAttributes=["ETag"]), SECRET),
    ("GetObject", lambda s3, at: s3.copy_object(Bucket=at["Bucket"], Key="copy", CopySource=at), SECRET),
    ("UpdateObjectEncryption", lambda s3, at: s3.update_object_encryption(
        **at, ObjectEncryption={"SSEKMS": {"KMSKeyArn": f"arn:aws:kms:us-east-1:{'0' * 12}:key/x"}}), SECRET),
    ("PutObjectRetention", lambda s3, at: s3.put_object_retention(**at, Retention=LONG), TOO_LONG),
    ("PutObject", lambda s3, at: s3.put_object(**at, Tagging="other=x"), {
        "ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": "other"}}),
])  # fmt: skip
def test_deny_on_tags_and_headers_holds_for_each_action_that_has_them(
    root_s3: Any, session_of: Any, make_bucket: Any, code_of: Any, action: str, call: Any, condition: Any
) -> None:
    at = {"Bucket": make_bucket(), "Key": "k"}
    root_s3.put_object(**at, Body=b"x", Tagging="class=secret")
    denying = {"Effect": "Deny", "Action": f"s3:{action}", "Resource": "*", "Condition": condition}
    s3 = session_of(EVERYTHING_OF_S3, denying).client("s3")
    assert code_of(lambda: call(s3, at)) == "AccessDenied"


PARTS = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}


def test_denies_of_s3_spare_requests_that_they_are_not_about(
    root_s3: Any, session_of: Any, make_bucket: Any, code_of: Any
) -> None:
    """AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html, among others."""
    at = {"Bucket": make_bucket(), "Key": "k"}
    root_s3.put_object(**at, Body=b"x", Tagging="class=open")
    conditions = [
        TOO_LONG, SECRET, REQUESTED, PARTS, {"NumericGreaterThan": {"s3:signatureAge": "600000"}},
        {"StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}},
        {"StringNotEquals": {"s3:authType": ["REST-HEADER", "POST"]}}, {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]  # fmt: skip
    denying = [{**EVERYTHING_OF_S3, "Effect": "Deny", "Condition": condition} for condition in conditions]
    session = session_of(EVERYTHING_OF_S3, *denying)
    s3 = session.client("s3", config=Config(signature_version="s3v4"))
    s3.get_object(**at)
    s3.get_object_tagging(**at)
    s3.put_object_tagging(**at, Tagging={"TagSet": [{"Key": "class", "Value": "open"}]})
    upload = {**at, "Key": "copy", "UploadId": s3.create_multipart_upload(Bucket=at["Bucket"], Key="copy")["UploadId"]}
    s3.upload_part_copy(**upload, PartNumber=1, CopySource=at)
    s3.put_object(Bucket=at["Bucket"], Key="new", Body=b"x", Tagging="class=open", IfNoneMatch="*")
    assert code_of(s3.put_object, **at) == "AccessDenied"


def _upload_form(session: AwsSession, bucket: str, **fields: str) -> int:
    s3 = session.client("s3", config=Config(signature_version="s3v4"))
    form = s3.generate_presigned_post(bucket, "f", Fields=fields, Conditions=[{it: fields[it]} for it in fields])
    pool = PoolManager(ca_certs=str(session.ca_bundle))
    return int(pool.request("POST", form["url"], fields={**form["fields"], "file": ("f", "content")}).status)


def test_form_of_a_browser_is_judged_by_its_fields_and_signature(
    root_s3: Any, session_of: Any, make_bucket: Any, allow: Any
) -> None:
    """AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html."""
    tags = "<Tagging><TagSet><Tag><Key>class</Key><Value>secret</Value></Tag></TagSet></Tagging>"
    by_form = {"StringNotEquals": {"s3:authType": "POST", "s3:signatureversion": "AWS4-HMAC-SHA256"}}
    denying = [{**EVERYTHING_OF_S3, "Effect": "Deny", "Condition": it} for it in (by_form, REQUESTED, TOO_LONG)]
    bucket, session = make_bucket(), session_of(EVERYTHING_OF_S3)
    assert _upload_form(session_of(EVERYTHING_OF_S3, *denying), bucket) == 204
    assert _upload_form(session_of(EVERYTHING_OF_S3, *denying), bucket, tagging=tags) == 403
    assert _upload_form(session_of(allow("s3:PutObject")), bucket, tagging=tags) == 403
    assert _upload_form(session, bucket, tagging=tags) == 204
    assert root_s3.get_object_tagging(Bucket=bucket, Key="f")["TagSet"] == CLASS["TagSet"]


def test_deletion_of_several_objects_asks_for_each_and_for_its_version(
    root_s3: Any, session_of: Any, make_bucket: Any, allow: Any
) -> None:
    """AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html (Permissions)."""
    bucket = make_bucket()
    root_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = root_s3.put_object(Bucket=bucket, Key="a/1", Body=b"x")["VersionId"]
    s3 = session_of(allow("s3:DeleteObject", f"arn:aws:s3:::{bucket}/a/*")).client("s3")
    named = [{"Key": "b/1"}, {"Key": "a/2"}, {"Key": "a/1", "VersionId": version}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": named})
    assert [it["Key"] for it in answer["Deleted"]] == ["a/2"]
    assert [(it["Key"], it["Code"]) for it in answer["Errors"]] == [("b/1", "AccessDenied"), ("a/1", "AccessDenied")]
    assert root_s3.head_object(Bucket=bucket, Key="a/1")["VersionId"] == version


@pytest.mark.parametrize(("query", "body", "refused"), [
    ("delete", "<Delete><Object><Key>secret</Key><Key>a</Key></Object></Delete>", True),
    ("legal-hold", "<LegalHold><Status>OFF</Status><Status>ON</Status></LegalHold>", True), ("tagging", "\0<", True),
    ("delete", "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>", False),
])  # fmt: skip
def test_member_that_a_document_names_twice_is_refused(query: str, body: str, *, refused: bool) -> None:
    request = S3Request("PUT", "bucket", "", {"authorization": "x"}, {query: [""]})
    assert ((refused_for(request, body.encode()) or [""])[0] == "MalformedXML") is refused


def test_tag_is_read_whatever_the_order_of_its_members() -> None:
    assert tags_of("<T><Tag><Value>secret</Value><Key>class</Key></Tag></T>") == {"class": "secret"}


@pytest.mark.parametrize("key", ["a//b", "folder/", "/a", "/"])
def test_policy_is_about_the_whole_key_of_an_object(
    root_s3: Any, session_of: Any, make_bucket: Any, allow: Any, code_of: Any, key: str
) -> None:
    at = {"Bucket": make_bucket(), "Key": key}
    root_s3.put_object(**at, Body=b"x")
    arn, flat = f"arn:aws:s3:::{at['Bucket']}/{key}", f"arn:aws:s3:::{at['Bucket']}/{key.strip('/').replace('//', '/')}"
    assert session_of(allow("s3:GetObject", arn)).client("s3").get_object(**at)["Body"].read() == b"x"
    other = session_of(allow("s3:*", [flat, f"arn:aws:s3:::{at['Bucket']}"])).client("s3")
    assert code_of(other.get_object, **at) == "AccessDenied"
    copied = {"Bucket": at["Bucket"], "Key": flat.rpartition("/")[2] or "x"}
    assert code_of(other.copy_object, **copied, CopySource=at) == "AccessDenied"
