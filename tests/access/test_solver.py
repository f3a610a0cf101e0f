"""The simulator's decisions about keys, and ours about wider conditions, against a solver's."""

import sys
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.evaluate.actions import USE_OF_KEY
from kms_patterns.access.evaluate.conditions import from_block
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.evaluate.widening import Change, Judge
from kms_patterns.access.findings import allowing, as_list
from kms_patterns.access.model import Principal, PrincipalKind, Resource, ResourceKind
from kms_patterns.access.read.reader import read_model

sys.path.insert(0, str(Path(__file__).parent))

from solver import allows_more, can_use, can_use_as_it_is

sys.path.pop(0)

MOST_KEYS = 4
"""Of a large app every so many keys: the solver takes a hundred times as long as the simulator."""
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
    keys = keys[:: len(keys) // MOST_KEYS + 1]
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
