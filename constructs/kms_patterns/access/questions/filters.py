"""The part of a matrix that is about certain principals, resources or actions."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TypeVar

from kms_patterns.access.matrix import Matrix

_Matrix = TypeVar("_Matrix", bound=Matrix)


def filtered(
    matrix: _Matrix, *, principals: Sequence[str] = (), resources: Sequence[str] = (), actions: Sequence[str] = ()
) -> _Matrix:
    """Return the entries of the principals, resources and actions that match; an empty filter lets everything through.

    Of resources that no pattern names, those remain that a chosen principal reaches by a chosen action.

    Args:
        matrix: A matrix.
        principals: Patterns (``*``, ``?``) of an id, a label or the end of an id after a slash; a letter's case counts.
        resources: Likewise.
        actions: Patterns of action names; case does not count, as in IAM.

    Raises:
        KeyError: A pattern matches nothing.
    """
    who = [item for item in matrix.principals if _matches(principals, item.id, item.label)]
    what = [item for item in matrix.resources if _matches(resources, item.id, item.label)]
    known = {
        kind: [item for item in items if not actions or _named(actions, item.name)]
        for kind, items in matrix.actions.items()
    }
    for option, patterns, found in (
        ("--principal", principals, who),
        ("--resource", resources, what),
        ("--action", actions, [item for items in known.values() for item in items]),
    ):
        if patterns and not found:
            raise KeyError(f"{option} {' '.join(patterns)} matches nothing in {', '.join(matrix.stacks)}")
    ids = {item.id for item in who}, {item.id for item in what}
    entries = [
        entry
        for entry in matrix.entries
        if entry.principal in ids[0] and entry.resource in ids[1] and (not actions or _named(actions, entry.action))
    ]
    reached = {entry.resource for entry in entries}
    kept = [item for item in what if resources or item.id in reached] if principals or actions else what
    homes = {item.stack for item in kept}
    stacks = [stack for stack in matrix.stacks if stack in homes]
    return replace(matrix, stacks=stacks, principals=who, resources=kept, actions=known, entries=entries)


def _matches(patterns: Sequence[str], identifier: str, label: str) -> bool:
    return not patterns or any(
        fnmatchcase(name, form)
        for pattern in patterns
        for name in (identifier, label)
        for form in (pattern, f"*/{pattern}")
    )


def _named(patterns: Sequence[str], action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)
