"""What a row of the table of services says: how an AWS service uses a customer managed key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SOURCE: Final = ("aws:SourceAccount", "aws:SourceArn")
"""Conditions on the resource for which a service acts: without one, any account can make it act."""
ENCRYPTION: Final = "ENCRYPT_DECRYPT"


@dataclass(frozen=True)
class ServiceUse:
    """One service's use of a key.

    Attributes:
        host: First label of its ``kms:ViaService`` value.
        principal: Its service principal, ``{region}`` for the Region, where it acts for itself; else None.
        principal_actions: What it does then.
        sources: Conditions on its source that it supports.
        context: Name in the encryption context that holds the ARN of its resource, where that binds it instead.
        source: Resource part of this ARN or of that of ``aws:SourceArn``, where rows differ.
        serves_itself: Whether it acts for itself as soon as a resource is under the key.
        usage: Key usage that it needs.
        key_spec: The one key spec that it takes; None for every one of the usage.
        only_in: The one Region whose keys it takes; None for every one.
        through: What users of its resources must be allowed through it.
        creation: What the creator of its resources must be allowed through it in addition.
        creates_grants: Whether the creator of its resources makes a KMS grant for it.
        grant_operations: Operations that this grant may hold.
        resources: CloudFormation type -> properties that name the key, as dotted paths.
    """

    host: str
    principal: str | None = None
    principal_actions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    context: str | None = None
    source: str | None = None
    serves_itself: bool = False
    usage: str = ENCRYPTION
    key_spec: str | None = None
    only_in: str | None = None
    through: tuple[str, ...] = ()
    creation: tuple[str, ...] = ()
    creates_grants: bool = False
    grant_operations: tuple[str, ...] = ()
    resources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
