"""A solver that shares no code with the simulator finds the same access."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import cfn_policy_validator
import pytest
import z3
from cfn_policy_validator import client
from iamprover.engine.context import Context
from iamprover.engine.encoder import allowed, encode_conditions, statement_matches
from iamprover.model import Principal as Plain
from iamprover.model import Statement
from iamprover.parsers.iam import parse_conditions, parse_policy_document

from kms_patterns.access.evaluate.access_conditions import from_block
from kms_patterns.access.evaluate.action_catalogue import USE_OF_KEY
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.evaluate.widening import Change, Judge
from kms_patterns.access.findings import allowing, as_list
from kms_patterns.access.model import Model, Policy, Principal, PrincipalKind, Resource, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.reader import read_model

MILLISECONDS = 100_000


def can_use(who: Principal, key: Resource, action: str) -> bool:
    """Return whether some request of ``who`` for ``action`` on ``key`` is allowed, by the rules of KMS."""
    context, request, arn = _request(who, key, action)
    account = arn.split(":")[4]
    in_key = _statements([key.policy] if key.policy else [])
    named = [item for item in in_key if {"*", arn} & set(item.principals)]
    delegating = [item for item in in_key if {f"arn:aws:iam::{account}:root", account} & set(item.principals)]
    own = _statements(who.identity)
    limits = _statements(who.boundaries or ())

    def some(effect: str, statements: Iterable[Statement]) -> Any:
        matching = [statement_matches(item, *request, context) for item in statements if item.effect == effect]
        return z3.Or(*matching, z3.BoolVal(val=False))

    within = z3.BoolVal(val=True) if who.boundaries is None else some("Allow", limits)
    by_iam = z3.And(some("Allow", own), within)
    by_key = some("Allow", [*named, *delegating])
    direct = some("Allow", named) if account == key.account else z3.BoolVal(val=False)
    denied = some("Deny", [*own, *limits, *named, *delegating])
    return _satisfiable(*_known(context, arn), z3.Or(z3.And(by_iam, by_key), direct), z3.Not(denied))


def can_use_as_it_is(who: Principal, key: Resource, action: str) -> bool:
    """Return what ``iamprover`` says without our rule for KMS."""
    context, request, arn = _request(who, key, action)
    plain = Plain(arn, [parse_policy_document(item.where, dict(item.document)) for item in who.identity])
    policies = [parse_policy_document("key", dict(key.policy.document))] if key.policy else []
    return _satisfiable(*_known(context, arn), allowed(plain, *request, context, policies))


def allows_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Return whether some request meets condition block ``new`` and does not meet ``old``."""
    context = Context()
    met = [encode_conditions(parse_conditions(dict(block)), context, unknown_default=True) for block in (new, old)]
    return _satisfiable(met[0], z3.Not(met[1]))


def _request(who: Principal, key: Resource, action: str) -> tuple[Context, tuple[Any, Any], str]:
    arn = who.arn_at(key)
    return Context(), (z3.StringVal(action.lower()), z3.StringVal(key.arn)), arn


def _known(context: Context, arn: str) -> list[Any]:
    account = arn.split(":")[4]
    facts = {"aws:PrincipalArn": arn, "kms:CallerAccount": account, "aws:PrincipalAccount": account}
    return [context.constrain(key, value) for key, value in {**facts, "aws:PrincipalIsAWSService": "false"}.items()]


def _statements(policies: Iterable[Policy]) -> list[Statement]:
    return [
        statement
        for policy in policies
        for statement in parse_policy_document(policy.where, dict(policy.document)).statements
    ]


def _satisfiable(*formulas: Any) -> bool:
    # The facts first, then each alternative by itself: as one formula of regular expressions, some take minutes.
    alternatives = z3.Repeat(z3.OrElse("split-clause", "skip"))
    solver = z3.Then("simplify", "propagate-values", "solve-eqs", "simplify", alternatives, "smt").solver()
    solver.set("timeout", MILLISECONDS)
    solver.add(*formulas)
    result = solver.check()
    assert result != z3.unknown, "the solver gave up"
    return bool(result == z3.sat)


NOT_ASKED = {PrincipalKind.SERVICE, PrincipalKind.PROVIDER}


def uses(key: Resource) -> list[str]:
    """Return the uses that the key's policy speaks of, and one that it need not."""
    named = {name for statement in allowing(key.policy) for name in as_list(statement.get("Action"))}
    return sorted(USE_OF_KEY & {*named, "kms:Decrypt"})


def questions(principals: list[Principal], keys: list[Resource]) -> list[tuple[Principal, Resource, str]]:
    return [
        (who, key, action)
        for key in keys
        for who in principals
        if who.stack in {None, key.stack} and who.kind not in NOT_ASKED
        for action in uses(key)
    ]


def test_solver_finds_the_same_uses_of_keys(whole_app: str, evaluated: Callable[[str], Any]) -> None:
    model, evaluation = evaluated(whole_app)
    keys = [item for item in model.resources if item.kind is ResourceKind.KEY]
    reached = {
        (finding.request.principal.id, finding.request.resource.id, finding.action.name)
        for finding in evaluation.findings
    }
    asked = questions(list(model.principals), keys)
    different = [
        (who.id, key.id, action)
        for who, key, action in asked
        if can_use(who, key, action) is not ((who.id, key.id, action) in reached)
    ]
    assert different == []
    assert len(asked) >= 3


def test_solver_by_itself_does_not_know_that_a_keys_policy_must_allow(assembly: Callable[[str], Path]) -> None:
    """Why it is not asked by the validation plugin: docs/decisions."""
    model = read_model(assembly("examples/secret_cipher"))
    key = next(item for item in model.resources if item.kind is ResourceKind.KEY)
    administrator = next(who for who in model.principals if who.kind is PrincipalKind.ADMINISTRATOR)
    assert can_use_as_it_is(administrator, key, "kms:Decrypt")
    assert not can_use(administrator, key, "kms:Decrypt")


# Not among them: patterns with several stars on one key, where the solver gives up; and "*", which it takes for true
# where the key is absent, too.
BLOCKS: list[dict[str, dict[str, Any]]] = [
    {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
    {"StringEquals": {"kms:ViaService": ["s3.eu-west-1.amazonaws.com", "sqs.eu-west-1.amazonaws.com"]}},
    {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}},
    {"StringLike": {"kms:ViaService": "s3.*"}, "Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:111122223333:*"}},
    {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:eu-west-1:111122223333:topic"}},
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"IpAddress": {"aws:SourceIp": ["10.1.0.0/16", "10.2.3.4/32"]}},
]
VERDICTS = {
    (True, True): Change.CHANGED,
    (True, False): Change.WIDENED,
    (False, True): Change.NARROWED,
    (False, False): Change.SAME,
}


def test_solver_finds_the_same_conditions_wider(running: Simulator) -> None:
    pairs = list(permutations(BLOCKS, 2))
    conditions = [(from_block(old), from_block(new)) for old, new in pairs]
    judge = Judge(running, conditions)
    wrong = [
        (old, new)
        for (old, new), pair in zip(pairs, conditions, strict=True)
        if judge.compare(*pair).change is not VERDICTS[allows_more(new, old), allows_more(old, new)]
    ]
    assert wrong == []


def test_solver_sees_a_use_that_a_policy_hides(assembly: Callable[[str], Path]) -> None:
    model = read_model(assembly("convenient_grants"))
    key = next(item for item in model.resources if item.kind is ResourceKind.KEY)
    everybody = {who.kind for who in model.principals if who.kind not in NOT_ASKED and can_use(who, key, "kms:Decrypt")}
    assert {PrincipalKind.ADMINISTRATOR, PrincipalKind.ANY_ROLE} <= everybody
    assert PrincipalKind.OUTSIDER not in everybody


@pytest.mark.parametrize(("new", "old"), [(BLOCKS[2], BLOCKS[0]), (BLOCKS[4], BLOCKS[3]), (BLOCKS[1], BLOCKS[0])])
def test_wider_condition_is_found_by_the_solver(new: dict[str, Any], old: dict[str, Any]) -> None:
    assert allows_more(new, old)
    assert not allows_more(old, new)


STACKS = ["KmsPatterns-S3", "KmsPatterns-Secrets", "KmsPatterns-Envelope"]


@pytest.fixture(autouse=True)
def one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """It builds a client for every ARN, which takes most of its time, and asks AWS nothing here."""
    known: dict[object, Any] = {}
    build = client.build
    monkeypatch.setattr(client, "build", lambda *words: known.setdefault(words, build(*words)))


def texts(documents: Iterable[Any], stack: str = "") -> list[str]:
    """Statements as text; it makes up names from logical ids alone, we put the stack's name before them.

    Without those about tables and logs: it gives ``AWS::DynamoDB::GlobalTable`` an ARN without region, and leaves out
    the ``:*`` of a log group's ARN.
    """
    found = [json.dumps(as_text(item), sort_keys=True) for document in documents for item in document["Statement"]]
    lower = [text.lower() for text in found if "dynamodb:" not in text and "logs:" not in text]
    return sorted(re.sub(rf"{stack.lower()}[.-]", "", text) if stack else text for text in lower)


def as_text(value: Any) -> Any:
    """Numbers as text, a list of one as its item: IAM takes ``1.2`` and ``"1.2"``, ``"a"`` and ``["a"]`` alike."""
    if isinstance(value, dict):
        return {name: as_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return as_text(value[0]) if len(value) == 1 else [as_text(item) for item in value]
    return str(value)


def ours(model: Model, kind: ResourceKind) -> list[Any]:
    return [item.policy.document for item in model.resources if item.kind is kind and item.policy]


@pytest.mark.parametrize("stack", STACKS)
def test_same_policies_are_read(stack: str, assembly: Callable[[str], Path]) -> None:
    path = assembly("app") / f"{stack}.template.json"
    theirs = cfn_policy_validator.parse(path.read_text(), UNKNOWN_REGION, UNKNOWN_ACCOUNT, "aws")
    model = read_model(path)
    roles = [who for who in model.principals if who.kind is PrincipalKind.ROLE]
    assert texts((policy.document for who in roles for policy in who.identity), stack) == texts(
        policy["Policy"] for role in theirs["Roles"] for policy in role["Policies"]
    )
    assert texts(ours(model, ResourceKind.ROLE), stack) == texts(role["TrustPolicy"] for role in theirs["Roles"])
    for kind, name in ((ResourceKind.KEY, "AWS::KMS::Key"), (ResourceKind.BUCKET, "AWS::S3::Bucket")):
        found = [item["Policy"]["Policy"] for item in theirs["Resources"] if item["ResourceType"] == name]
        assert texts(ours(model, kind), stack) == texts(found)
    assert len(roles) >= 3
    assert ours(model, ResourceKind.KEY)
