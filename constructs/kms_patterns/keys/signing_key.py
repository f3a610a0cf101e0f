"""The key that signs: RSA, elliptic curves, Ed25519, ML-DSA."""

from typing import Any, ClassVar, Unpack

from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.grants.algorithm_grants import SigningGrants
from kms_patterns.keys.imported.imported_types import ImportedSigningKey, LookUps
from kms_patterns.keys.key_options import PrimaryKeyOptions
from kms_patterns.policy.actions import SIGNING_OPERATIONS


class SigningKey(LookUps[ImportedSigningKey], SigningGrants, CustomerManagedKey):
    """A key pair for signatures, whose private half never leaves KMS.

    It never rotates: a new signing key is a new key, and who verifies must learn of its public key.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        key_spec: RSA_2048 to RSA_4096, ECC_NIST_P256 to P521, ECC_SECG_P256K1, ECC_NIST_EDWARDS25519, ML_DSA_44 to
            ML_DSA_87, or SM2 in the China Regions. Defaults to ECC_NIST_P256.
        options: See :class:`~kms_patterns.keys.key_options.PrimaryKeyOptions`.

    Raises:
        KeyConfigurationError: KMS would refuse the spec, an alias or the waiting period.

    See https://docs.aws.amazon.com/kms/latest/developerguide/symmetric-asymmetric.html
    """

    imported_as: ClassVar[type[Any]] = ImportedSigningKey
    operations = SIGNING_OPERATIONS

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
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            **options,
        )
