"""A replica of a multi-Region key in another Region: the same key material, an own policy."""

import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from aws_cdk import Duration, Stack, Token
from aws_cdk import aws_iam as iam
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.imported.imported_types import ImportedKey
from kms_patterns.keys.imported.look_ups import LookUps
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.keys.key_lifecycle import KeyLifecycle

_OF_THE_PRIMARY = ("EnableKeyRotation", "KeySpec", "KeyUsage", "MultiRegion", "Origin", "RotationPeriodInDays")


class ReplicaKey(LookUps[ImportedKey], CustomerManagedKey):
    """A replica key, which is used like its primary and is an instance of its primary's class, too.

    Ciphertexts, signatures and tags of one are those of the other. Policy, grants and aliases are its own: whoever may
    use the primary may not use the replica unless granted here. Spec, usage, origin and rotation are the primary's.

    Args:
        scope: Parent construct, in a stack of another Region and of the same account.
        construct_id: Id within the parent.
        primary_key: A key of this package with ``multi_region=True``. If its stack is of the same app, both stacks need
            ``cross_region_references=True``.
        alias: Such as ``orders/data``, for ``alias/<stack>/orders/data``; see ``add_alias``. Left out, none.
        aliases: Further aliases.
        description: Shown in the console; at most 8192 characters.
        administrators: Roles or users who may manage the replica, by their own policies too, but not use it.
        pending_window: Waiting period before deletion, 7 to 30 days. Left out, 30 days; 7 for an ephemeral key. A
            primary is deleted only after its last replica.
        enabled: False makes every use end in DisabledException, in this Region.
        tags: Tags of the replica.
        perimeter: As of the primary; not inherited.
        lifecycle: What becomes of the replica with its stack. Left out, it stays.
        access: Whether the key policy names the users. Left out, it does.

    Raises:
        KeyConfigurationError: The primary is no multi-Region key, or in the same Region, or in another account.

    See https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
    """

    imported_as = ImportedKey

    def __new__(cls, *_: Any, primary_key: CustomerManagedKey, **__: Any) -> "ReplicaKey":
        """Make an instance of a class that is the primary's, too."""
        replica: ReplicaKey = object.__new__(_class_for(type(primary_key)))
        return replica

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        primary_key: CustomerManagedKey,
        alias: str | None = None,
        aliases: Sequence[str] = (),
        description: str | None = None,
        administrators: Sequence[iam.IGrantable] = (),
        pending_window: Duration | None = None,
        enabled: bool = True,
        tags: Mapping[str, str] | None = None,
        perimeter: str | None = None,
        lifecycle: KeyLifecycle = KeyLifecycle.RETAIN,
        access: KeyAccess = KeyAccess.NAMED,
    ) -> None:
        _check_primary(primary_key, Stack.of(scope))
        CustomerManagedKey.__init__(
            self,
            scope,
            construct_id,
            key_spec=primary_key.key_spec,
            key_usage=primary_key.key_usage,
            alias=alias,
            aliases=aliases,
            description=description,
            administrators=administrators,
            pending_window=pending_window,
            enabled=enabled,
            multi_region=True,
            imported_material=primary_key.imported_material,
            tags=tags,
            perimeter=perimeter,
            lifecycle=lifecycle,
            access=access,
        )
        # The AWS CDK has no L2 for replicas; theirs is the same resource but for its type and these properties.
        self.resource.add_override("Type", "AWS::KMS::ReplicaKey")
        for name in _OF_THE_PRIMARY:
            self.resource.add_property_deletion_override(name)
        self.resource.add_property_override("PrimaryKeyArn", primary_key.key_arn)


@cache
def _class_for(primary: type[CustomerManagedKey]) -> type[ReplicaKey]:
    kind = next(base for base in primary.__mro__ if not issubclass(base, ReplicaKey))
    return types.new_class(f"Replica{kind.__name__}", (ReplicaKey, kind))


def _check_primary(primary: CustomerManagedKey, stack: Stack) -> None:
    path = primary.node.path
    if isinstance(primary, ReplicaKey) or not primary.multi_region:
        raise KeyConfigurationError(
            f"{path} is no multi-Region primary key (UnsupportedOperationException): make it with multi_region=True; "
            "that cannot be changed later"
        )
    here, there = (stack.account, stack.region), (primary.stack.account, primary.stack.region)
    if not any(Token.is_unresolved(value) for value in (here[1], there[1])) and here[1] == there[1]:
        raise KeyConfigurationError(
            f"the replica of {path} is in {here[1]}, as its primary (InvalidArnException): make it in a stack of "
            "another Region"
        )
    if Token.is_unresolved(here[1]) and Token.is_unresolved(there[1]):
        # References between stacks without a Region stay within one.
        raise KeyConfigurationError(
            f"the replica of {path} is in the Region of its primary, whichever that is (InvalidArnException): make "
            "both in stacks with their Regions (env=Environment(account=…, region=…)), of which there are two"
        )
    if not any(Token.is_unresolved(value) for value in (here[0], there[0])) and here[0] != there[0]:
        raise KeyConfigurationError(
            f"the replica of {path} is in account {here[0]}, its primary in {there[0]}: KMS replicates within one "
            "account"
        )
