"""Parts of a matrix that a question is about: by principal, resource and action; who reads a bucket's objects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeVar

from kms_patterns.access.evaluate.access_conditions import NEVER, Condition, all_of
from kms_patterns.access.evaluate.entries import What, Who
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import ResourceKind

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


@dataclass(frozen=True)
class Reader:
    """A principal that gets an object, and its key.

    Attributes:
        who: The principal.
        scope: The pattern of object keys, None for every object that no other line is about.
        condition: What S3 and KMS demand together.
        key: Whether KMS was asked: the bucket's default key is in the assembly.
    """

    who: Who
    scope: str | None
    condition: Condition
    key: bool


def readers(matrix: Matrix, bucket: str) -> tuple[What, list[Reader]]:
    """Return who can read objects that are encrypted as the bucket encrypts by default.

    A read is ``s3:GetObject`` on the object and, if a key of the assembly is the default, ``kms:Decrypt`` on that key.

    Args:
        matrix: A matrix.
        bucket: Id, label or unique end of an id.

    Raises:
        KeyError: No bucket has that name.
    """
    what = matrix.resource(bucket)
    if what.kind is not ResourceKind.BUCKET:
        raise KeyError(f"{what.id} is a {what.kind}, not a bucket")
    known = {item.id for item in matrix.resources if item.kind is ResourceKind.KEY}
    under = what.encrypted_by if what.encrypted_by in known else None
    decrypting = {
        entry.principal: entry.condition
        for entry in matrix.of(resource=under)
        if under and entry.action == "kms:Decrypt"
    }
    found = []
    for entry in matrix.of(resource=what.id):
        if entry.action == "s3:GetObject" and (under is None or entry.principal in decrypting):
            condition = all_of([entry.condition, *([decrypting[entry.principal]] if under else [])])
            if condition != NEVER:
                found.append(Reader(_reader(matrix, entry.principal), entry.scope, condition, under is not None))
    return what, sorted(found, key=lambda item: (item.who.id, item.scope or ""))


def _reader(matrix: Matrix, principal: str) -> Who:
    return next(who for who in matrix.principals if who.id == principal)
