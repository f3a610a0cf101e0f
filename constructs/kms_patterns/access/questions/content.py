"""Who can read the objects of a bucket: S3 and KMS joined."""

from dataclasses import dataclass

from kms_patterns.access.evaluate.entries import What, Who
from kms_patterns.access.evaluate.expressions import NEVER, Condition, all_of
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import ResourceKind


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
        KeyError: There is no such bucket.
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
                found.append(Reader(_named(matrix, entry.principal), entry.scope, condition, under is not None))
    return what, sorted(found, key=lambda item: (item.who.id, item.scope or ""))


def _named(matrix: Matrix, principal: str) -> Who:
    return next(who for who in matrix.principals if who.id == principal)
