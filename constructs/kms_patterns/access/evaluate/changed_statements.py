"""Statements that differ between two matrices, however they are written: order and statement ids do not count."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kms_patterns.access.matrix import Matrix


@dataclass(frozen=True, order=True)
class ChangedStatement:
    """A statement that only one of two matrices has.

    Attributes:
        policy: Where it stands.
        added: Whether it is new; else it was removed.
        text: The statement as JSON text.
    """

    policy: str
    added: bool
    text: str

    @property
    def widens(self) -> bool:
        """Whether it may give access: a new statement that does not deny, or one removed that does not allow."""
        effect = str(_parsed(self.text).get("Effect"))
        return effect != "Deny" if self.added else effect != "Allow"


def changed_statements(old: Matrix, new: Matrix) -> list[ChangedStatement]:
    """Return the statements that only one of two matrices has, sorted; nothing of matrices saved without statements."""
    if not (old.policies and new.policies):
        return []
    before, after = _counted(old), _counted(new)
    return sorted([*_beyond(after, before, added=True), *_beyond(before, after, added=False)])


def _counted(matrix: Matrix) -> Counter[tuple[str, str]]:
    return Counter((item.policy, _normal(item.text)) for item in matrix.policies)


def _beyond(
    one: Counter[tuple[str, str]], other: Counter[tuple[str, str]], *, added: bool
) -> Iterator[ChangedStatement]:
    for policy, text in one - other:
        yield ChangedStatement(policy, added, text)


def _normal(text: str) -> str:
    found = _parsed(text)
    return json.dumps(_sorted(found, top=True), sort_keys=True, ensure_ascii=False) if found else text


def _parsed(text: str) -> dict[str, Any]:
    """Return a statement's members; none of a text that was made visible for a report, which is compared as it is."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _sorted(value: Any, *, top: bool = False) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(item) for name, item in value.items() if not (top and name == "Sid")}
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=repr) if len(value) != 1 else _sorted(value[0])
    return value
