"""The key that agrees with a peer on a shared secret."""

from typing import Any, ClassVar, Unpack

from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.grants.algorithm_grants import KeyAgreementGrants
from kms_patterns.keys.imported.imported_types import ImportedKeyAgreementKey, LookUps
from kms_patterns.keys.key_options import PrimaryKeyOptions
from kms_patterns.policy.actions import KEY_AGREEMENT_OPERATIONS


class KeyAgreementKey(LookUps[ImportedKeyAgreementKey], KeyAgreementGrants, CustomerManagedKey):
    """A key pair for ECDH, whose private half never leaves KMS.

    It never rotates. Peers need its public key: see ``grant_public_key``.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        key_spec: ECC_NIST_P256, ECC_NIST_P384 or ECC_NIST_P521, or SM2 in the China Regions. Defaults to ECC_NIST_P256.
        options: See :class:`~kms_patterns.keys.key_options.PrimaryKeyOptions`.

    Raises:
        KeyConfigurationError: KMS would refuse the spec, an alias or the waiting period.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_DeriveSharedSecret.html
    """

    imported_as: ClassVar[type[Any]] = ImportedKeyAgreementKey
    operations = KEY_AGREEMENT_OPERATIONS

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key_spec: kms.KeySpec = kms.KeySpec.ECC_NIST_P256,
        **options: Unpack[PrimaryKeyOptions],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            key_spec=key_spec,
            key_usage=kms.KeyUsage.KEY_AGREEMENT,
            **options,
        )
