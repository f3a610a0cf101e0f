"""Conditions of access as boolean expressions in one form, read from policies, the simulator and JSON."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kms_patterns.access.unknowns.symbols import UNKNOWN


@dataclass(frozen=True)
class Leaf:
    """One condition: an IAM operator, a condition key and its values, any of which may match."""

    op: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class AllOf:
    """Every one of ``items`` must hold; without items: always."""

    items: "tuple[Condition, ...]"


@dataclass(frozen=True)
class AnyOf:
    """One of ``items`` must hold; without items: never."""

    items: "tuple[Condition, ...]"


Condition = Leaf | AllOf | AnyOf

ALWAYS = AllOf(())
NEVER = AnyOf(())

ABSENT = "-absent-"
"""A value that no request has: "equal to it, if the key exists" means that the key is absent."""

ALWAYS_PRESENT = frozenset({"aws:securetransport", "kms:calleraccount", "aws:principalarn"})
"""Condition keys, in lower case, that AWS puts into every request that they apply to."""

_BOTH = {"true", "false"}
_POSITIVE = frozenset({"StringEquals", "StringLike", "StringEqualsIgnoreCase", "ArnEquals", "ArnLike", "IpAddress"})
_NEGATIVE = frozenset({"StringNotEquals", "StringNotLike", "StringNotEqualsIgnoreCase", "ArnNotEquals", "ArnNotLike"})


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Return the conjunction in its simplest form known here, in a stable order."""
    items = _flat(AllOf, conditions)
    if NEVER in items:
        return NEVER
    items = _flat(AllOf, (_given(item, items - {item}) for item in items))
    if NEVER in items:
        return NEVER
    items = _without_implied(items)
    return _closed(AllOf, AnyOf, _merged(items, _NEGATIVE))


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Return the disjunction in its simplest form known here, in a stable order."""
    items = _flat(AnyOf, conditions)
    if ALWAYS in items:
        return ALWAYS
    merged = _merged(items, _POSITIVE)
    return ALWAYS if ALWAYS in merged else _closed(AnyOf, AllOf, _or_absent(merged))


def _without_implied(items: set[Condition]) -> set[Condition]:
    """Drop that a proposition has not one value where another item says that it has another."""
    known = {
        item.key: item.values
        for item in items
        if isinstance(item, Leaf) and item.op == "StringEquals" and item.key.startswith(UNKNOWN)
    }
    return {
        item
        for item in items
        if not (
            isinstance(item, Leaf)
            and item.op == "StringNotEquals"
            and not {*item.values} & {*known.get(item.key, item.values)}
        )
    }


def _flat(same: type[AllOf | AnyOf], conditions: Iterable[Condition]) -> set[Condition]:
    items: set[Condition] = set()
    for condition in conditions:
        items |= set(condition.items) if isinstance(condition, same) else {condition}
    return items


def _given(item: Condition, others: set[Condition]) -> Condition:
    """Drop from the alternatives of ``item`` what the other conjuncts say already: a and (a and b or c)."""
    if not isinstance(item, AnyOf) or not item.items:
        return item
    return any_of(
        _single(AllOf(tuple(part for part in alternative.items if part not in others)))
        if isinstance(alternative, AllOf)
        else alternative
        for alternative in map(_single, item.items)
    )


def _merged(items: set[Condition], operators: frozenset[str]) -> set[Condition]:
    """Join conditions on one key: k = a or k = b is k = a or b; k != a and k != b is k != a nor b."""
    values: dict[tuple[str, str], set[str]] = {}
    for item in items:
        if isinstance(item, Leaf) and item.op in operators:
            values.setdefault((item.op, item.key), set()).update(item.values)
    rest = {item for item in items if not (isinstance(item, Leaf) and item.op in operators)}
    if operators is _POSITIVE and any(key.startswith(UNKNOWN) and found >= _BOTH for (_, key), found in values.items()):
        return {ALWAYS}
    return rest | {Leaf(op, key, tuple(sorted(found))) for (op, key), found in values.items()}


def _or_absent(items: set[Condition]) -> set[Condition]:
    """Write ``k = a or k is absent`` as IAM does: ``StringEqualsIfExists``."""
    for absent in [item for item in items if isinstance(item, Leaf) and item.op == "Null" and item.values == ("true",)]:
        present = [item for item in items if isinstance(item, Leaf) and item.key == absent.key and item.op in _POSITIVE]
        if present:
            optional = {Leaf(f"{item.op}IfExists", item.key, item.values) for item in present}
            items = (items - {absent} - set(present)) | optional
    return items


def _closed(same: type[AllOf | AnyOf], other: type[AllOf | AnyOf], items: set[Condition]) -> Condition:
    kept = [item for item in map(_single, items) if not any(_absorbs(other, smaller, item) for smaller in items)]
    return kept[0] if len(kept) == 1 else same(tuple(sorted(kept, key=repr)))


def _single(condition: Condition) -> Condition:
    return condition if isinstance(condition, Leaf) or len(condition.items) != 1 else condition.items[0]


def _absorbs(other: type[AllOf | AnyOf], smaller: Condition, item: Condition) -> bool:
    """Absorption: ``a and (a or b)`` is ``a``; ``a or (a and b)`` is ``a``."""
    if smaller == item or not isinstance(item, other):
        return False
    parts = smaller.items if isinstance(smaller, other) else (smaller,)
    return set(parts) < set(item.items)


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
