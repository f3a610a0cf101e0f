"""One example string for every way in which texts can match a set of patterns with ``*`` and ``?``."""

from collections import deque
from collections.abc import Sequence

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
