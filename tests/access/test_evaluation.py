"""The matrix is what the simulator says of every single request, however the asking was made faster."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.evaluate import evaluation as evaluation_module
from kms_patterns.access.evaluate.conditions import holds, leaves
from kms_patterns.access.evaluate.evaluation import Evaluation, Finding, Names, evaluate
from kms_patterns.access.evaluate.expressions import ALWAYS
from kms_patterns.access.evaluate.requests import batch
from kms_patterns.access.evaluate.simulator import SimulationFailed, Simulator
from kms_patterns.access.evaluate.widening import Judge
from kms_patterns.access.evaluate.witnesses import Value, witness_values
from kms_patterns.access.model import Model, Policy, Resource, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.reader import read_model
from tests.access.random_templates import Case
from tests.access.unknown_policies import random_model

MOST_CONTEXTS = 40
MOST_RESOURCES = 30
UNLISTED = {
    "kms:Decapsulate",
    "kms:Encapsulate",
    "kms:SynchronizeMultiRegionKey",
    "s3:AllowVendedLogDeliveryForResource",
}
"""Not in the simulator's action data, or without a context key there that we give."""


def decisions(found: Evaluation) -> set[tuple[str, str, str | None, str, str]]:
    return {
        (
            finding.request.principal.id,
            finding.request.resource.id,
            finding.request.scope,
            finding.action.name,
            repr(finding.condition),
        )
        for finding in found.findings
    }


def some_of(model: Model) -> Model:
    """Return a model of the size that is asked about one by one in seconds: stacks of a large app by turns."""
    if len(model.resources) <= MOST_RESOURCES:
        return model
    stacks = set(model.stacks[:: len(model.resources) // MOST_RESOURCES + 1])
    return replace(
        model,
        principals=[who for who in model.principals if who.stack is None or who.stack in stacks],
        resources=[what for what in model.resources if what.stack in stacks],
    )


def test_actions_decided_together_are_decided_as_alone(
    whole_app: str, assembly: Callable[[str], Path], running: Simulator
) -> None:
    model = some_of(read_model(assembly(whole_app)))
    together = evaluate(model, running)
    assert decisions(together) == decisions(evaluate(model, running, each="alone"))
    assert together.count > 300


def test_pairs_that_are_not_asked_about_are_denied(
    foreign_app: str, assembly: Callable[[str], Path], running: Simulator
) -> None:
    model = some_of(read_model(assembly(foreign_app)))
    some, every = evaluate(model, running), evaluate(model, running, every_pair=True)
    assert decisions(some) == decisions(every)
    assert len(some.requests) < len(every.requests)


@pytest.mark.parametrize("seed", range(200, 212))
def test_pairs_with_unknown_values_that_are_not_asked_about_are_denied(
    seed: int, running: Simulator, tmp_path: Path
) -> None:
    model = random_model(Case(seed), tmp_path)
    assert decisions(evaluate(model, running)) == decisions(evaluate(model, running, every_pair=True))


def test_simulators_front_door_decides_alike(
    foreign_app: str, assembly: Callable[[str], Path], running: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_what_it_does_not_know(request: Any, table: Any, each: str = "validated") -> dict[str, Any]:
        asked = batch(request, table, "validated")
        return {**asked, "actions": [name for name in asked["actions"] if name not in UNLISTED]}

    model = read_model(assembly(foreign_app))
    fast = {item for item in decisions(evaluate(model, running)) if item[3] not in UNLISTED}
    monkeypatch.setattr(evaluation_module, "batch", without_what_it_does_not_know)
    assert decisions(evaluate(model, running)) == fast


def test_condition_holds_exactly_where_the_request_is_allowed(
    whole_app: str, assembly: Callable[[str], Path], running: Simulator
) -> None:
    """Every condition of the matrix, tried in the contexts that it tells apart, against strict evaluation."""
    model = replace(some_of(read_model(assembly(whole_app))), names={})
    found = evaluate(model, running)
    places = {id(policy): place for place, policy in enumerate(found.policies)}
    conditional = [item for item in found.findings if item.condition != ALWAYS and known(item, places)]
    distinct = {(item.request, repr(item.condition)): item for item in conditional}
    judge = Judge(running, [(item.condition, item.condition) for item in distinct.values()])
    tried = 0
    for item in distinct.values():
        for context in contexts(item):
            expected = holds(item.condition, lambda leaf, at=context: judge._truth[leaf, at[leaf.key.lower()]])
            assert strictly(item, context, places, running) is expected, (item.request.principal.id, context)
            tried += 1
    assert tried > 5


def known(item: Finding, places: dict[int, int]) -> bool:
    policies = [*item.request.principal.identity, *(item.request.principal.boundaries or ())]
    resource = [item.request.resource.policy] if item.request.resource.policy else []
    return all(id(policy) in places for policy in [*policies, *resource])


def contexts(item: Finding) -> list[dict[str, Value]]:
    by_key: dict[str, list[Any]] = {}
    for leaf in leaves(item.condition):
        by_key.setdefault(leaf.key.lower(), []).append(leaf)
    values = [witness_values(sorted(set(about), key=repr)) for about in by_key.values()]
    return [dict(zip(by_key, combination, strict=True)) for combination in islice(product(*values), MOST_CONTEXTS)]


def strictly(item: Finding, context: dict[str, Value], places: dict[int, int], running: Simulator) -> bool:
    asked = batch(item.request, places, "alone")
    said = {
        key: value.replace("<account>", UNKNOWN_ACCOUNT).replace("<region>", UNKNOWN_REGION)
        for key, value in context.items()
        if isinstance(value, str)
    }
    asked |= {"mode": "Strict", "known": [], "actions": [item.action.name], "context": {**asked["context"], **said}}
    return bool(running.ask(asked)["allowed"])


@pytest.mark.parametrize(
    "answer", [{"errors": {}, "ignored": ["kms:Decrypt: key"]}, {"errors": {"a": {}}, "ignored": []}]
)
def test_answer_to_another_question_is_an_error(
    answer: dict[str, Any], assembly: Callable[[str], Path], running: Simulator
) -> None:
    request = evaluate(read_model(assembly("convenient_grants")), running).requests[0]
    with pytest.raises(SimulationFailed, match="ignored"):
        list(evaluation_module._read(request, {"allowed": {}, **answer}, Names({})))


def test_policy_that_aws_refuses_is_listed_and_gives_nothing(
    assembly: Callable[[str], Path], running: Simulator
) -> None:
    model = read_model(assembly("convenient_grants"))
    broken = Policy("broken key policy", "resource", {"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]})
    resources: list[Resource] = [
        replace(item, policy=broken) if item.kind is ResourceKind.KEY else item for item in model.resources
    ]
    found = evaluate(replace(model, resources=resources), running)
    assert [item.where for item in found.refused] == ["broken key policy"]
    assert [item for item in found.findings if item.request.resource.kind is ResourceKind.KEY] == []
