"""Boolean expressions over IAM conditions, brought into one form so that equal ones look equal."""

from collections.abc import Iterable
from dataclasses import dataclass

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
        _unwrapped(AllOf(tuple(part for part in alternative.items if part not in others)))
        if isinstance(alternative, AllOf)
        else alternative
        for alternative in map(_unwrapped, item.items)
    )


def _unwrapped(condition: Condition) -> Condition:
    return condition.items[0] if isinstance(condition, AllOf) and len(condition.items) == 1 else condition


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
