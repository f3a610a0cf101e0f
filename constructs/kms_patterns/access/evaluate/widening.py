"""Decides whether a condition allows more than another, by evaluating both in contexts that could tell them apart.

For each condition key these have values that meet or miss what the conditions say.
"""

import ipaddress
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import product
from math import prod
from typing import Any

from kms_patterns.access.evaluate.access_conditions import ALWAYS_PRESENT, Condition, Leaf, holds, leaves
from kms_patterns.access.evaluate.simulator import Simulator

_MOST_CONTEXTS = 200_000


Value = str | tuple[str, ...] | None
"""A value of a condition key: text, several (a set-valued key), or absent."""

_TYPED = ("bool", "numeric", "date", "ipaddress", "notipaddress")
_OTHER = "another-value"
_VARIABLE = re.compile(r"\$\{[^}]*\}")


def witness_values(leaves: Iterable[Leaf]) -> list[Value]:
    """Return values of one condition key that tell apart everything that ``leaves`` about that key distinguish.

    Args:
        leaves: Conditions, all on the same key.
    """
    about = list(leaves)
    typed = any(_base(leaf).startswith(_TYPED) for leaf in about)
    texts = dict.fromkeys([] if typed else [_OTHER, *examples(_patterns(about))])
    for leaf in about:
        texts |= dict.fromkeys(text for value in leaf.values for text in _around(_base(leaf), value))
    present = about[0].key.lower() in ALWAYS_PRESENT
    found: dict[Value, None] = dict.fromkeys([*([] if present else [None]), *texts])
    if any(":" in leaf.op for leaf in about):
        found |= dict.fromkeys([(), *((text,) for text in texts), *_pairs(list(texts)), tuple(texts)])
    return list(found)


def _base(leaf: Leaf) -> str:
    return leaf.op.rpartition(":")[2].removesuffix("IfExists").lower()


def _patterns(leaves: Iterable[Leaf]) -> list[str]:
    """Values of text operators, as patterns; without ``like`` a star is a star, which any other text stands for."""
    of_text = [leaf for leaf in leaves if _base(leaf).startswith(("string", "arn"))]
    return sorted({_VARIABLE.sub("a-variable", value) for leaf in of_text for value in leaf.values})


def _pairs(texts: list[str]) -> Iterator[tuple[str, str]]:
    for place, one in enumerate(texts):
        for other in texts[place + 1 :]:
            yield one, other


def _around(base: str, value: str) -> list[str]:
    """Values at and next to ``value``, in the order that the operator knows."""
    if base == "bool":
        return ["true", "false"]
    if base.startswith("numeric"):
        return [str(float(value) + step) for step in (-1, 0, 1)]
    if base.startswith("date"):
        return _dates(value)
    if base.endswith("ipaddress"):
        return _addresses(value)
    return _texts(base, value)


def _texts(base: str, value: str) -> list[str]:
    if base == "null":
        return []
    plain = _VARIABLE.sub("a-variable", value)
    filled = [plain.replace("*", many).replace("?", "x") for many in ("", "any", "an/y:thing")]
    return [value, *filled, value.upper(), value.lower(), f"{value}x"]


def _dates(value: str) -> list[str]:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return [value]
    return [(at + timedelta(seconds=step)).isoformat().replace("+00:00", "Z") for step in (-1, 0, 1)]


def _addresses(value: str) -> list[str]:
    network = ipaddress.ip_network(value, strict=False)
    first, last = int(network.network_address), int(network.broadcast_address)
    kind = type(network.network_address)
    limit = (1 << network.max_prefixlen) - 1
    return [str(kind(number)) for number in sorted({first, last, max(first - 1, 0), min(last + 1, limit)})]


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


_MOST_STATES = 20_000
_UNMENTIONED = "~"

State = tuple[frozenset[int], ...]


def examples(patterns: Sequence[str]) -> list[str]:
    """Return strings that between them match every combination of ``patterns`` that any string can match.

    The patterns' automata are run side by side, breadth first, so the strings are as short as can be.

    Args:
        patterns: Texts, possibly with ``*`` (any characters) and ``?`` (one character).
    """
    alphabet = sorted({char for pattern in patterns for char in pattern} - {"*", "?"} | {_UNMENTIONED})
    start: State = tuple(_closure(pattern, {0}) for pattern in patterns)
    found = {_accepted(patterns, start): ""}
    seen, queue = {start}, deque([(start, "")])
    while queue and len(seen) < _MOST_STATES:
        state, text = queue.popleft()
        for char in alphabet:
            following = tuple(_step(pattern, places, char) for pattern, places in zip(patterns, state, strict=True))
            if following not in seen:
                seen.add(following)
                found.setdefault(_accepted(patterns, following), text + char)
                queue.append((following, text + char))
    return sorted(found.values())


def _closure(pattern: str, places: set[int]) -> frozenset[int]:
    """Add the places behind stars: a star may match nothing."""
    pending = list(places)
    while pending:
        place = pending.pop()
        if place < len(pattern) and pattern[place] == "*" and place + 1 not in places:
            places.add(place + 1)
            pending.append(place + 1)
    return frozenset(places)


def _step(pattern: str, places: frozenset[int], char: str) -> frozenset[int]:
    following = set()
    for place in places:
        if place < len(pattern):
            if pattern[place] == "*":
                following.add(place)
            elif pattern[place] in {"?", char}:
                following.add(place + 1)
    return _closure(pattern, following)


def _accepted(patterns: Sequence[str], state: State) -> tuple[bool, ...]:
    return tuple(len(pattern) in places for pattern, places in zip(patterns, state, strict=True))
