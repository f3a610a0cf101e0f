"""Parts of a matrix that a question is about: by principal, resource and action; who reads a bucket's objects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from kms_patterns.access.evaluate.access_conditions import NEVER, Condition, all_of
from kms_patterns.access.evaluate.entries import What, Who
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import ResourceKind
from kms_patterns.access.read.identifiers import matches

_Matrix = TypeVar("_Matrix", bound=Matrix)


def filtered(
    matrix: _Matrix,
    *,
    stack: str | None = None,
    principals: Sequence[str] = (),
    resources: Sequence[str] = (),
    actions: Sequence[str] = (),
) -> _Matrix:
    """Return the entries of the principals, resources and actions that match; an empty filter lets everything through.

    Of resources that no pattern names, those remain that a chosen principal reaches by a chosen action, or can come to
    use.

    Args:
        matrix: A matrix.
        stack: A stack whose resources remain; None for all.
        principals: Patterns (``*``, ``?``) of an id, a label or the end of an id after a slash; a letter's case counts.
        resources: Likewise.
        actions: Patterns of action names; case does not count, as in IAM.

    Raises:
        KeyError: A pattern matches nothing.
    """
    words = {"stack": [] if stack is None else [stack], "principal": principals, "resource": resources}
    only = " ".join(f"--{name} {word}" for name, given in (words | {"action": actions}).items() for word in given)
    matrix = matrix if stack is None else matrix.of_stack(stack)
    who = [item for item in matrix.principals if _matches(principals, item.id, item.label)]
    what = [item for item in matrix.resources if _matches(resources, item.id, item.label)]
    known = {
        kind: [item for item in items if not actions or _named(actions, item.name)]
        for kind, items in matrix.actions.items()
    }
    void = [f"--principal {word}" for word in principals if not any(_matches([word], it.id, it.label) for it in who)]
    void += [f"--resource {word}" for word in resources if not any(_matches([word], it.id, it.label) for it in what)]
    every = [action.name for items in known.values() for action in items]
    void += [f"--action {word}" for word in actions if not any(_named([word], name) for name in every)]
    if void:
        raise KeyError(f"{', '.join(void)} matches nothing in {', '.join(matrix.stacks)}")
    ids = {item.id for item in who}, {item.id for item in what}
    entries = [
        entry
        for entry in matrix.entries
        if entry.principal in ids[0] and entry.resource in ids[1] and (not actions or _named(actions, entry.action))
    ]
    uses = any(action.group == "use" for items in known.values() for action in items)
    paths = [path for path in matrix.escalations if uses and path.principal in ids[0] and path.resource in ids[1]]
    reached = {*(entry.resource for entry in entries), *(path.resource for path in paths)}
    kept = [item for item in what if resources or item.id in reached] if principals or actions else what
    homes = {item.stack for item in kept}
    stacks = [stack for stack in matrix.stacks if stack in homes]
    found = replace(matrix, stacks=stacks, principals=who, resources=kept, actions=known, entries=entries)
    # Statements that no entry refers to are there to be compared, and a part is not.
    return replace(
        found, escalations=paths, policies=() if only else matrix.policies, only=f"{matrix.only} {only}".strip()
    )


def _matches(patterns: Sequence[str], identifier: str, label: str) -> bool:
    return not patterns or any(
        matches(form, name)
        for pattern in patterns
        for name in (identifier, label)
        for form in (pattern, f"*/{pattern}")
    )


def _named(patterns: Sequence[str], action: str) -> bool:
    return any(matches(pattern.lower(), action.lower()) for pattern in patterns)


@dataclass(frozen=True)
class Reader:
    """A principal that gets an object, and its key.

    Attributes:
        who: The principal.
        action: ``s3:GetObject``, or ``s3:GetObjectVersion``, which is enough for any version that it names.
        scope: The pattern of object keys, None for every object that no other line is about.
        condition: What S3 and KMS demand together.
        key: Whether KMS was asked: the bucket's default key is in the assembly.
    """

    who: Who
    action: str
    scope: str | None
    condition: Condition
    key: bool


def readers(matrix: Matrix, bucket: str) -> tuple[What, list[Reader]]:
    """Return who can read objects that are encrypted as the bucket encrypts by default.

    A read is ``s3:GetObject`` or ``s3:GetObjectVersion`` on the object and, if a key of the assembly is the default,
    ``kms:Decrypt`` on that key. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html

    Args:
        matrix: A matrix.
        bucket: Id, label or unique end of an id.

    Raises:
        KeyError: No bucket has that name, or principals were left out of the matrix.
    """
    if matrix.only:
        raise KeyError(f"the report holds only {matrix.only}: this needs the whole")
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
    people = {who.id: who for who in matrix.principals}
    found: dict[tuple[str, str, Condition], Reader] = {}
    for entry in sorted(matrix.of(resource=what.id), key=lambda entry: entry.action):
        if entry.action in _READING and (under is None or entry.principal in decrypting):
            condition = all_of([entry.condition, *([decrypting[entry.principal]] if under else [])])
            if condition != NEVER:
                reader = Reader(people[entry.principal], entry.action, entry.scope, condition, under is not None)
                found.setdefault((entry.principal, entry.scope or "", condition), reader)
    return what, sorted(found.values(), key=lambda item: (item.who.id, item.scope or "", item.action))


_READING = ("s3:GetObject", "s3:GetObjectVersion")
