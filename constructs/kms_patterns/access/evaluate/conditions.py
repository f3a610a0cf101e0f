"""Conditions of access: read from policies, from the simulator and from JSON, and written to JSON."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kms_patterns.access.evaluate.discovery import ABSENT
from kms_patterns.access.evaluate.expressions import (
    ALWAYS,
    ALWAYS_PRESENT,
    NEVER,
    AllOf,
    Condition,
    Leaf,
    all_of,
    any_of,
)
from kms_patterns.access.unknowns.symbols import UNKNOWN

_FLIPPED_WITHOUT_KEY = ("bool", "numericless", "numericgreater", "dateless", "dategreater")


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Yield every leaf of ``condition``."""
    if isinstance(condition, Leaf):
        yield condition
    else:
        for item in condition.items:
            yield from leaves(item)


def holds(condition: Condition, leaf: Callable[[Leaf], bool]) -> bool:
    """Return whether ``condition`` holds if its leaves hold as ``leaf`` says."""
    if isinstance(condition, Leaf):
        return leaf(condition)
    results = (holds(item, leaf) for item in condition.items)
    return all(results) if isinstance(condition, AllOf) else any(results)


def renamed(condition: Condition, rename: Callable[[str], str]) -> Condition:
    """Return ``condition`` with ``rename`` applied to every value."""
    if isinstance(condition, Leaf):
        return Leaf(condition.op, condition.key, tuple(rename(value) for value in condition.values))
    return type(condition)(tuple(renamed(item, rename) for item in condition.items))


def from_block(block: Mapping[str, Mapping[str, Any]] | None) -> Condition:
    """Return the condition that a policy statement's ``Condition`` block states."""
    return all_of(Leaf(op, key, _values(values)) for op, keys in (block or {}).items() for key, values in keys.items())


def _values(values: object) -> tuple[str, ...]:
    items = values if isinstance(values, list | tuple) else [values]
    return tuple(sorted(str(item).lower() if isinstance(item, bool) else str(item) for item in items))


def from_simulator(expression: Mapping[str, Any] | None, rename: Callable[[str], str] = str) -> Condition:
    """Return the simulator's condition expression in our form.

    Args:
        expression: As the simulator gives it; None means always.
        rename: Applied to every value, to replace made-up names by readable ones.
    """
    if expression is None or expression["conditionType"] == "always":
        return ALWAYS
    if expression["conditionType"] == "never":
        return NEVER
    if expression["conditionType"] == "sessionName":
        return Leaf("StringEquals", "sts:RoleSessionName", tuple(sorted(expression["sessionName"])))
    if expression["conditionType"] == "group":
        join = all_of if expression["operator"] == "and" else any_of
        return join(from_simulator(item, rename) for item in expression["conditions"])
    return _leaf(expression, rename)


def _leaf(expression: Mapping[str, Any], rename: Callable[[str], str]) -> Condition:
    """Complete a turned-round deny: where the denied key is absent the deny does not match, so access is reachable."""
    op, key = expression["op"], expression["key"]
    if key.startswith(UNKNOWN):
        key = f"{UNKNOWN}{rename(key.removeprefix(UNKNOWN))}"
    if expression["values"] == [ABSENT]:
        return Leaf("Null", key, ("true",))
    values = tuple(sorted({rename(str(value)) for value in expression["values"]}))
    ordered = op.lower().startswith(_FLIPPED_WITHOUT_KEY)
    if not expression.get("inverted") or not ordered or op.endswith("IfExists"):
        return Leaf(op, key, values)
    absent_too = op if key.lower() in ALWAYS_PRESENT else f"{op}IfExists"
    return all_of(Leaf(absent_too, key, (value,)) for value in values)


def to_json(condition: Condition) -> Any:
    """Return ``condition`` as JSON: a leaf's three members, ``allOf`` or ``anyOf``."""
    if isinstance(condition, Leaf):
        return {"operator": condition.op, "key": condition.key, "values": list(condition.values)}
    name = "allOf" if isinstance(condition, AllOf) else "anyOf"
    return {name: [to_json(item) for item in condition.items]}


def from_json(value: Mapping[str, Any]) -> Condition:
    """Return what ``to_json`` wrote."""
    if "operator" in value:
        return Leaf(value["operator"], value["key"], tuple(value["values"]))
    if "allOf" in value:
        return all_of(from_json(item) for item in value["allOf"])
    return any_of(from_json(item) for item in value["anyOf"])
