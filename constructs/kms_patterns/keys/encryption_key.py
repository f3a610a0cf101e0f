"""The symmetric encryption key, for data keys and for values of up to 4096 bytes."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.grants.encryption_grants import EncryptionGrants
from kms_patterns.keys.imported.imported_types import ImportedEncryptionKey
from kms_patterns.keys.imported.look_ups import LookUps
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.keys.key_lifecycle import KeyLifecycle
from kms_patterns.policy.actions import SYMMETRIC_OPERATIONS


class EncryptionKey(LookUps[ImportedEncryptionKey], EncryptionGrants, CustomerManagedKey):
    """A symmetric customer managed key whose policy names each user and each operation.

    The key policy lets IAM of the account *administer* the key. Every use needs two statements: one in the key policy
    that names the role, one in the role's own policy that names the key. Each ``grant_…`` method writes both, with the
    same exact actions and conditions. An administrator with ``*:*`` cannot use the key.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        alias: Such as ``orders/data``, for ``alias/<stack>/orders/data``; see :meth:`add_alias`. Left out, none.
        aliases: Further aliases.
        description: Shown in the console; at most 8192 characters.
        administrators: Roles or users who may manage the key, by their own policies too, but not use it.
            Left out, those whom IAM of the account allows it.
        rotation_period: Time between automatic rotations, 90 to 2560 days. Left out, 365 days.
        pending_window: Waiting period before deletion, 7 to 30 days. Left out, 30 days; 7 for an ephemeral key.
        on_demand_rotation: Whether administrators may rotate at once, too (kms:RotateKeyOnDemand).
        enabled: False makes every use end in DisabledException.
        multi_region: Whether :class:`ReplicaKey` can replicate it into other Regions; fixed at creation.
        imported_material: True makes a key without key material (origin EXTERNAL), to be imported; it does not rotate
            by itself.
        tags: Tags of the key.
        perimeter: Id of an organization (``o-a1b2c3d4e5``) or of an account (12 digits): whoever is outside of it is
            denied everything, whatever else says. Left out, no such statement.
        lifecycle: What becomes of the key and its aliases with its stack. Left out, they stay.
        access: Whether the key policy names the users. Left out, it does.

    Raises:
        KeyConfigurationError: KMS would refuse the alias, the rotation period or the waiting period.

    See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
    """

    imported_as = ImportedEncryptionKey
    operations = SYMMETRIC_OPERATIONS

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        alias: str | None = None,
        aliases: Sequence[str] = (),
        description: str | None = None,
        administrators: Sequence[iam.IGrantable] = (),
        rotation_period: Duration | None = None,
        pending_window: Duration | None = None,
        on_demand_rotation: bool = False,
        enabled: bool = True,
        multi_region: bool = False,
        imported_material: bool = False,
        tags: Mapping[str, str] | None = None,
        perimeter: str | None = None,
        lifecycle: KeyLifecycle = KeyLifecycle.RETAIN,
        access: KeyAccess = KeyAccess.NAMED,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            key_spec=kms.KeySpec.SYMMETRIC_DEFAULT,
            key_usage=kms.KeyUsage.ENCRYPT_DECRYPT,
            rotates=not imported_material,
            on_demand_rotation=on_demand_rotation,
            alias=alias,
            aliases=aliases,
            description=description,
            administrators=administrators,
            rotation_period=rotation_period,
            pending_window=pending_window,
            enabled=enabled,
            multi_region=multi_region,
            imported_material=imported_material,
            tags=tags,
            perimeter=perimeter,
            lifecycle=lifecycle,
            access=access,
        )
