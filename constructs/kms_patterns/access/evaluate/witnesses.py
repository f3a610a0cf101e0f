"""Request contexts that tell conditions apart: for each condition key, values that meet or miss what conditions say."""

import ipaddress
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from kms_patterns.access.evaluate.access_conditions import ALWAYS_PRESENT, Leaf

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
