"""The HMAC key, which makes and verifies authentication tags."""

from typing import Any, ClassVar, Unpack

from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.grants.algorithm_grants import MacGrants
from kms_patterns.keys.imported.imported_types import ImportedMacKey, LookUps
from kms_patterns.keys.key_options import PrimaryKeyOptions
from kms_patterns.policy.actions import MAC_OPERATIONS


class MacKey(LookUps[ImportedMacKey], MacGrants, CustomerManagedKey):
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
    operations = MAC_OPERATIONS

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key_spec: kms.KeySpec = kms.KeySpec.HMAC_256,
        **options: Unpack[PrimaryKeyOptions],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            key_spec=key_spec,
            key_usage=kms.KeyUsage.GENERATE_VERIFY_MAC,
            **options,
        )
