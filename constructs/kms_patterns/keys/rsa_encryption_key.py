"""The RSA key whose public half encrypts anywhere and whose private half never leaves KMS."""

from typing import Any, ClassVar, Unpack

from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.grants.algorithm_grants import RsaEncryptionGrants
from kms_patterns.keys.imported.imported_types import ImportedRsaEncryptionKey, LookUps
from kms_patterns.keys.key_options import PrimaryKeyOptions
from kms_patterns.policy.actions import RSA_ENCRYPTION_OPERATIONS


class RsaEncryptionKey(LookUps[ImportedRsaEncryptionKey], RsaEncryptionGrants, CustomerManagedKey):
    """An RSA key pair for encryption: anyone with the public key encrypts, KMS alone decrypts.

    It never rotates, takes no encryption context, and no AWS service encrypts at rest under it. Limits of a plaintext
    with RSAES_OAEP_SHA_256: 190 bytes with RSA_2048, 318 with RSA_3072, 446 with RSA_4096.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        key_spec: RSA_2048, RSA_3072 or RSA_4096, or SM2 in the China Regions. Defaults to RSA_3072 (128-bit security).
        options: See :class:`~kms_patterns.keys.key_options.PrimaryKeyOptions`.

    Raises:
        KeyConfigurationError: KMS would refuse the spec, an alias or the waiting period.

    See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html#key-spec-rsa-encryption
    """

    imported_as: ClassVar[type[Any]] = ImportedRsaEncryptionKey
    operations = RSA_ENCRYPTION_OPERATIONS

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key_spec: kms.KeySpec = kms.KeySpec.RSA_3072,
        **options: Unpack[PrimaryKeyOptions],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            key_spec=key_spec,
            key_usage=kms.KeyUsage.ENCRYPT_DECRYPT,
            **options,
        )
