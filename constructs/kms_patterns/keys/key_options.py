"""What an app chooses for a key: who has access, what happens with its stack, and the options of every type."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypedDict

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam

from kms_patterns.policy import actions


class KeyAccess(Enum):
    """What decides about the use of a key: the key policy and IAM together, or IAM alone.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """

    NAMED = "named"
    """Two-key control. The key policy names each role and its exact actions, and IAM must allow them too. An
    administrator with ``*:*`` may manage the key and cannot use it."""

    DELEGATED = "delegated"
    """The default policy of the AWS CDK: a principal with the IAM permission may use the key, and the grants write
    IAM policies only."""


class KeyLifecycle(Enum):
    """What happens to a key when its stack is deleted. Its aliases are deleted with the stack in either case.

    https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
    """

    RETAIN = "retain"
    """The key stays, with everything that was encrypted under it. A customer managed key costs about $1 a month. Only a
    first deployment that fails deletes what it created, so that it can be repeated. The next deployment of the stack
    creates another key under the same aliases; ``cdk import`` brings the retained one back, see docs/deployment.md."""

    EPHEMERAL = "ephemeral"
    """For development stacks: the key is deleted after the shortest waiting period, 7 days. **Data that is still
    encrypted under it is then lost for good.**"""


def removal_policy(lifecycle: KeyLifecycle) -> RemovalPolicy:
    """Return what CloudFormation is to do with a key and buckets under it."""
    if lifecycle is KeyLifecycle.EPHEMERAL:
        return RemovalPolicy.DESTROY
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE


def management(on_demand_rotation: bool, multi_region: bool, imported_material: bool) -> Sequence[str]:  # noqa: FBT001
    """Return the actions of the administrators of a key with these properties."""
    return (
        *actions.ADMINISTRATION,
        *(actions.ROTATE_ON_DEMAND if on_demand_rotation else ()),
        *(actions.MULTI_REGION_ADMINISTRATION if multi_region else ()),
        *(actions.IMPORT_ADMINISTRATION if imported_material else ()),
    )


class KeyOptions(TypedDict, total=False):
    """What a key of any type, and a replica, can be given.

    Attributes:
        alias: Such as ``orders/data``, for ``alias/<stack>/orders/data``; see ``add_alias``. Defaults to none.
        aliases: Further aliases. Defaults to none.
        description: Shown in the console; at most 8192 characters.
        administrators: Roles or users that may manage the key, by their own policies also, but not use it.
            Defaults to those that IAM of the account allows it.
        pending_window: Waiting period before deletion, 7 to 30 days. Defaults to 30 days; 7 for an ephemeral key. A
            primary key is deleted only after its last replica.
        enabled: False makes every use end in DisabledException. Defaults to True.
        tags: Tags of the key; at most 50.
        protect_while_in_use: Days after its last use during which the key can be neither disabled nor scheduled for
            deletion, whatever other statements allow; whole days, at least 1. AWS KMS records a use up to an hour
            late, and services such as Amazon EBS use a key rarely. Defaults to no such statement; a replica does not
            inherit it.
        perimeter: Id of an organization (``o-a1b2c3d4e5``) or of an account (12 digits): principals outside of it are
            denied everything, whatever other statements allow. Defaults to no such statement; a replica does not
            inherit it.
        bind_role_ids: Whether the key policy also demands the unique id of each role that it names (``aws:userid``), so
            that a role made again under the name of a deleted one gets nothing. Every grant must then be to a role that
            is made in the stack of the key, and ``access`` must be ``KeyAccess.NAMED``. Roles that deploy (also as
            exceptions of the guardrails) and service-linked roles are named by their ARN only. Defaults to False.
        lifecycle: What happens to the key and its aliases when its stack is deleted. Defaults to
            ``KeyLifecycle.RETAIN``.
        access: Whether the key policy names the users of the key. Defaults to ``KeyAccess.NAMED``.
    """

    alias: str | None
    aliases: Sequence[str]
    description: str | None
    administrators: Sequence[iam.IGrantable]
    pending_window: Duration | None
    enabled: bool
    tags: Mapping[str, str] | None
    protect_while_in_use: Duration | None
    perimeter: str | None
    bind_role_ids: bool
    lifecycle: KeyLifecycle
    access: KeyAccess


class PrimaryKeyOptions(KeyOptions, total=False):
    """What a key of any type can be given that is not a replica; both are fixed at creation.

    Attributes:
        multi_region: Whether ``ReplicaKey`` can replicate it into other Regions. Defaults to False.
        imported_material: True makes a key without key material (origin EXTERNAL), to be imported; it does not rotate
            by itself. Defaults to False.
    """

    multi_region: bool
    imported_material: bool
