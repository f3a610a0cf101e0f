"""What an assembly says about access, resolved: principals, the resources that are protected, and their policies."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]

ADMINISTRATOR, OUTSIDE = "account administrator", "anyone outside"
WITHOUT_POLICY = "role without any policy"
ALONE = "by this policy alone"
KEPT, PLACE = "DeletionPolicy", " account and Region"
"""Ids of principals that always exist, and how the id ends of one that is asked about without policies of its own;
the member of the item that says of a resource that it stays on AWS when it leaves its stack, and how the place of the
item ends that says where a stack is deployed."""


@dataclass(frozen=True, order=True)
class Unresolved:
    """A value that synthesized output cannot tell.

    Attributes:
        where: Stack and construct path that use it.
        what: The expression, in short.
        why: The reason.
    """

    where: str
    what: str
    why: str


class PrincipalKind(StrEnum):
    """What a principal is."""

    ROLE = "role"
    USER = "user"
    SERVICE = "service"
    PROVIDER = "provider"
    """An identity provider, whose users may assume roles."""
    NAMED = "named"
    """Named by a policy, but not defined in the assembly: evaluated with every permission of its own."""
    HOLDER = "holder"
    """Any principal that has a managed policy, or is in a group, which the assembly gives to none of its own."""
    BARE = "bare"
    """A role of the account without any policy of its own: what it can do, the resource's policy alone gives."""
    ADMINISTRATOR = "administrator"
    ANY_ROLE = "any-role"
    OUTSIDER = "outsider"


_NAMED_BY_PATTERN = re.compile(r"(?!.*/aws-reserved/)(.*:)?[^(:]*[*?][^(:]* of (this )?account ")


def is_administrator(kind: PrincipalKind, label: str) -> bool:
    """Return whether a principal stands for administrators: a role that a policy names by a pattern may be any of them.

    Roles of Identity Center, in the path ``aws-reserved``, are made by AWS alone.
    """
    always = kind in {PrincipalKind.ADMINISTRATOR, PrincipalKind.ANY_ROLE}
    return always or (kind is PrincipalKind.NAMED and _NAMED_BY_PATTERN.match(label) is not None)


class ResourceKind(StrEnum):
    """What a protected resource is."""

    KEY = "key"
    BUCKET = "bucket"
    FUNCTION = "function"
    ROLE = "role"


@dataclass(frozen=True)
class Policy:
    """One resolved policy document.

    Attributes:
        where: Readable place: stack and construct path, with the policy's name.
        kind: ``identity`` or ``resource``.
        document: The document, without intrinsic functions.
        origin: Stack id and logical id of the resource that holds it; None if no template does.
        sources: For each statement of ``document`` its number in the template and what stands there: a statement with
            unknown values is several here. Empty if the document is as it is in the template.
    """

    where: str
    kind: str
    document: Document
    origin: tuple[str, str] | None = None
    sources: Sequence[tuple[int, Document]] = ()


@dataclass(frozen=True, eq=False)
class Principal:
    """A principal that makes requests.

    Attributes:
        id: Readable and stable: the construct path, the service's name, or what the policy names.
        kind: What it is.
        label: How it is printed.
        arn: Its ARN, or a service's name; ``{account}`` and ``{partition}`` stand for those of the resource.
        stack: The stack that defines it, None for those that are not defined in the assembly.
        identity: Its own policies.
        boundaries: Its permissions boundary, None if it has none.
        attributes: Request context that is known of it, by condition key.
        tags: The tags that it has by its template, to which its stack may add; None if they are not known.
        only: Ids of the resources that it is asked about, as a Deny of theirs excepts it; None for all.
    """

    id: str
    kind: PrincipalKind
    label: str
    arn: str
    stack: str | None = None
    identity: Sequence[Policy] = ()
    boundaries: Sequence[Policy] | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None
    only: frozenset[str] | None = None

    def arn_at(self, resource: "Resource") -> str:
        """Return its ARN as it asks for ``resource``."""
        partition = resource.arn.split(":")[1]
        return self.arn.replace("{partition}", partition).replace("{account}", resource.account)


@dataclass(frozen=True, eq=False)
class Resource:
    """A key, a bucket, a function, or a role that can be assumed.

    Attributes:
        id: Construct path with the stack.
        kind: What it is.
        stack: The stack that defines it.
        label: How it is printed, the alias of a key included.
        arn: Its ARN.
        account: The account that owns it.
        policy: Its key policy, bucket policy, function policy or trust policy; None if it has none.
        block_public_access: Of a bucket: whether RestrictPublicBuckets is on.
        encrypted_by: Of a bucket: the ARN or id of the KMS key that encrypts its objects by default, and None where no
            KMS key does; several if a condition decides.
        acts_as: Of a function: the ARN of its role; several if a condition decides.
        portable: Of a key: whether who imports its material can use that elsewhere: it is not symmetric encryption's.
    """

    id: str
    kind: ResourceKind
    stack: str
    label: str
    arn: str
    account: str
    policy: Policy | None
    block_public_access: bool = False
    encrypted_by: Sequence[str | None] = (None,)
    acts_as: Sequence[str] = ()
    portable: bool = False


@dataclass(frozen=True)
class Model:
    """Everything that the evaluation needs.

    Attributes:
        stacks: Ids of all stacks.
        files: Template files by stack id.
        principals: Those of the assembly, those named by policies, and the three that always exist.
        resources: Keys, buckets, functions and roles.
        unresolved: What could not be resolved, with its place.
        names: Readable names of ARNs and made-up names, for printing conditions.
    """

    stacks: Sequence[str]
    files: Mapping[str, Path]
    principals: Sequence[Principal]
    resources: Sequence[Resource]
    unresolved: Sequence[Unresolved]
    names: Mapping[str, str]
