"""Decides whether a condition allows more than another, by evaluating both in contexts that could tell them apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from math import prod
from typing import Any

from kms_patterns.access.evaluate.access_conditions import Condition, Leaf, holds, leaves
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.evaluate.witnesses import Value, witness_values

_MOST_CONTEXTS = 200_000


class Change(StrEnum):
    """What a new condition allows, compared with the old one."""

    SAME = "same"
    NARROWED = "narrowed"
    WIDENED = "widened"
    CHANGED = "changed"
    """Some requests that were allowed are denied now, and the other way round; also when it cannot be decided."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a comparison, with a request context that shows it.

    Attributes:
        change: What changed.
        newly_allowed: A context that only the new condition allows, if there is one.
        newly_denied: A context that only the old condition allows, if there is one.
    """

    change: Change
    newly_allowed: Mapping[str, Value] | None = None
    newly_denied: Mapping[str, Value] | None = None


class Judge:
    """Compares conditions; asks the simulator once for all of them what every leaf says of every witness value."""

    def __init__(self, simulator: Simulator, pairs: Iterable[tuple[Condition, Condition]]) -> None:
        self._truth: dict[tuple[Leaf, Value], bool] = {}
        questions = {
            (leaf, value)
            for old, new in pairs
            for key, about in _by_key([old, new]).items()
            for value in witness_values(about)
            for leaf in about
            if key
        }
        ordered = sorted(questions, key=repr)
        if ordered:
            answers = simulator.ask({"leaves": [_question(leaf, value) for leaf, value in ordered]})["matches"]
            self._truth = dict(zip(ordered, answers, strict=True))

    def compare(self, old: Condition, new: Condition) -> Verdict:
        """Return what ``new`` allows that ``old`` does not, and the reverse."""
        if old == new:
            return Verdict(Change.SAME)
        by_key = _by_key([old, new])
        spelled = {key: about[0].key for key, about in by_key.items()}
        values = [witness_values(about) for about in by_key.values()]
        if prod(len(items) for items in values) > _MOST_CONTEXTS:
            return Verdict(Change.CHANGED)
        allowed: dict[str, Value] | None = None
        denied: dict[str, Value] | None = None
        for context in (dict(zip(by_key, combination, strict=True)) for combination in product(*values)):
            before, after = self._holds(old, context), self._holds(new, context)
            allowed = context if allowed is None and after and not before else allowed
            denied = context if denied is None and before and not after else denied
        return Verdict(
            _change(gained=allowed is not None, lost=denied is not None),
            allowed and {spelled[key]: value for key, value in allowed.items()},
            denied and {spelled[key]: value for key, value in denied.items()},
        )

    def _holds(self, condition: Condition, context: Mapping[str, Value]) -> bool:
        return holds(condition, lambda leaf: self._truth[leaf, context[leaf.key.lower()]])


def _by_key(conditions: Sequence[Condition]) -> dict[str, list[Leaf]]:
    found: dict[str, dict[Leaf, None]] = {}
    for condition in conditions:
        for leaf in leaves(condition):
            found.setdefault(leaf.key.lower(), {})[leaf] = None
    return {key: sorted(found[key], key=repr) for key in sorted(found)}


def _question(leaf: Leaf, value: Value) -> dict[str, Any]:
    context = {} if value is None else {leaf.key: list(value) if isinstance(value, tuple) else value}
    return {"op": leaf.op, "key": leaf.key, "values": list(leaf.values), "context": context}


def _change(*, gained: bool, lost: bool) -> Change:
    if gained and lost:
        return Change.CHANGED
    if gained:
        return Change.WIDENED
    return Change.NARROWED if lost else Change.SAME
