"""Unknown values as symbols: text that only a deployment knows, between two marks, printed as ``<name>``."""

import re
from collections.abc import Iterable

_OPEN, _CLOSE = "\ue000", "\ue001"
_SYMBOL = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")

UNKNOWN = "unknown:"
"""What the condition key of a proposition starts with that only a deployment decides: ``unknown:condition Strict``."""

GUARD = f"{_OPEN}guard"
"""Member of a statement that holds the propositions under which the statement is part of its policy."""

TRUE = "true"

Proposition = tuple[str, str]
"""A proposition and the value that it must have: ``("condition Strict", "true")``."""


def symbol(name: str) -> str:
    """Return the text that stands for an unknown value; equal names are equal values."""
    plain = _SYMBOL.sub(r"\1", name)
    return f"{_OPEN}{re.sub(r'[^A-Za-z0-9._ -]+', '-', plain).strip('- ')}{_CLOSE}"


def is_symbolic(value: object) -> bool:
    """Return whether ``value`` is, or holds, an unknown value."""
    return _OPEN in str(value)


def is_symbol(value: object) -> bool:
    """Return whether ``value`` is one unknown value and nothing else."""
    return isinstance(value, str) and _SYMBOL.fullmatch(value) is not None


def shown(text: str) -> str:
    """Return ``text`` as reports print it."""
    return _SYMBOL.sub(r"<\1>", text)


def globbed(text: str) -> str:
    """Return a pattern that matches whatever ``text`` may turn out to be."""
    return re.sub(r"\*+", "*", _SYMBOL.sub("*", text))


class MadeUpAccounts:
    """Account ids for what has none in the input: none of them occurs in the input.

    Attributes:
        taken: Account ids that the input holds.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)
        self._given: dict[str, str] = {}
        self._next = 700_000_000_001

    def of(self, name: str) -> str:
        """Return the account id that stands for ``name``, the same whenever it is asked for."""
        if name not in self._given:
            while str(self._next) in self.taken:
                self._next += 1
            self._given[name] = str(self._next)
            self._next += 1
        return self._given[name]

    def of_unknown(self, account: str) -> list[tuple[str, str]]:
        """Return the other unknown accounts and principals, with the account ids that stand for them."""
        return [(name, number) for name, number in self._given.items() if is_symbolic(name) and name != account]

    @property
    def names(self) -> dict[str, str]:
        """What each made-up account id stands for, as printed."""
        return {number: shown(name) for name, number in self._given.items()}


def may_be_equal(one: str, other: str) -> bool:
    """Return whether some string matches both patterns, which may hold ``*`` and ``?``."""
    places, ends = {(0, 0)}, (len(one), len(other))
    seen = set(places)
    while places:
        left, right = places.pop()
        if (left, right) == ends:
            return True
        for step in _steps(one, left, other, right):
            if step not in seen:
                seen.add(step)
                places.add(step)
    return False


def _steps(one: str, left: int, other: str, right: int) -> Iterable[tuple[int, int]]:
    starred = left < len(one) and one[left] == "*", right < len(other) and other[right] == "*"
    if starred[0]:
        yield left + 1, right
        if right < len(other):
            yield left, right + 1
    if starred[1]:
        yield left, right + 1
        if left < len(one):
            yield left + 1, right
    both = left < len(one) and right < len(other) and not any(starred)
    if both and (one[left] == other[right] or "?" in {one[left], other[right]}):
        yield left + 1, right + 1
