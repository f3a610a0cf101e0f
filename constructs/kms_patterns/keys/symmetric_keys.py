"""The symmetric keys: for data keys and for values of up to 4096 bytes, and for authentication tags (HMAC)."""

from typing import Any, ClassVar, Unpack

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey, KeyOfOneUsage
from kms_patterns.keys.grants.algorithm_grants import MacGrants
from kms_patterns.keys.grants.encryption_grants import EncryptionGrants
from kms_patterns.keys.imported.imported_types import ImportedEncryptionKey, ImportedMacKey, LookUps
from kms_patterns.keys.key_options import PrimaryKeyOptions


class EncryptionKey(LookUps[ImportedEncryptionKey], EncryptionGrants, CustomerManagedKey):
    """A symmetric customer managed key whose policy names each user and each operation.

    The key policy lets IAM of the account *administer* the key. Every use needs two statements: one in the key policy
    that names the role, one in the role's own policy that names the key. Each ``grant_…`` method writes both, with the
    same exact actions and conditions. An administrator with ``*:*`` cannot use the key.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        rotation_period: Time between automatic rotations, 90 to 2560 days. Defaults to 365 days.
        on_demand_rotation: Whether administrators may also rotate at once (kms:RotateKeyOnDemand). Defaults to False.
        options: See :class:`~kms_patterns.keys.key_options.PrimaryKeyOptions`.

    Raises:
        KeyConfigurationError: KMS would refuse the alias, the rotation period or the waiting period.

    See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
    """

    imported_as: ClassVar[type[Any]] = ImportedEncryptionKey

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        rotation_period: Duration | None = None,
        on_demand_rotation: bool = False,
        **options: Unpack[PrimaryKeyOptions],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            key_spec=kms.KeySpec.SYMMETRIC_DEFAULT,
            key_usage=self.key_usage,
            rotates=not options.get("imported_material"),
            on_demand_rotation=on_demand_rotation,
            rotation_period=rotation_period,
            **options,
        )


class MacKey(LookUps[ImportedMacKey], MacGrants, KeyOfOneUsage):
    """An HMAC key: tags that only KMS makes and only KMS verifies.

    It never rotates. Tags of one key verify under no other.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        key_spec: HMAC_224, HMAC_256, HMAC_384 or HMAC_512. Defaults to HMAC_256.
        options: See :class:`~kms_patterns.keys.key_options.PrimaryKeyOptions`.

    Raises:
        KeyConfigurationError: KMS would refuse the spec, an alias or the waiting period.

    See https://docs.aws.amazon.com/kms/latest/developerguide/hmac.html
    """

    imported_as: ClassVar[type[Any]] = ImportedMacKey
    _default_spec = kms.KeySpec.HMAC_256
