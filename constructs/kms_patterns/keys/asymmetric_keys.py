"""The asymmetric keys: their private half never leaves KMS, and they never rotate."""

from typing import Any, ClassVar, Unpack

from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey, KeyOfOneUsage
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.grants.algorithm_grants import (
    KeyAgreementGrants,
    KeyEncapsulationGrants,
    RsaEncryptionGrants,
    SigningGrants,
)
from kms_patterns.keys.imported.imported_types import (
    ImportedKeyAgreementKey,
    ImportedKeyEncapsulationKey,
    ImportedRsaEncryptionKey,
    ImportedSigningKey,
    LookUps,
)
from kms_patterns.keys.key_options import PrimaryKeyOptions
from kms_patterns.policy.key_specs import MlKemSpec


class SigningKey(LookUps[ImportedSigningKey], SigningGrants, KeyOfOneUsage):
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
    _default_spec = kms.KeySpec.ECC_NIST_P256


class RsaEncryptionKey(LookUps[ImportedRsaEncryptionKey], RsaEncryptionGrants, KeyOfOneUsage):
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
    _default_spec = kms.KeySpec.RSA_3072


class KeyAgreementKey(LookUps[ImportedKeyAgreementKey], KeyAgreementGrants, KeyOfOneUsage):
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
    _default_spec = kms.KeySpec.ECC_NIST_P256


class KeyEncapsulationKey(LookUps[ImportedKeyEncapsulationKey], KeyEncapsulationGrants, CustomerManagedKey):
    """A key pair for ML-KEM (FIPS 203): holders of the public key make a secret that only KMS recovers.

    **AWS CloudFormation does not make such a key yet**: AWS's schema of ``AWS::KMS::Key`` had no ML-KEM key spec on 26
    November 2026. On AWS, make the key by CreateKey and take it into a stack by ``from_key_arn``.

    It never rotates, and the China Regions do not have it. Decapsulate does not tell a foreign ciphertext from its own:
    it returns 32 other bytes (implicit rejection), so the secret must be confirmed, as HPKE does by its AEAD.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        key_spec: Security category 1, 3 or 5 of NIST. Defaults to ML_KEM_768 (category 3).
        options: See :class:`~kms_patterns.keys.key_options.PrimaryKeyOptions`, without ``imported_material``.

    Raises:
        KeyConfigurationError: KMS would refuse the spec in this Region, imported material, an alias or the waiting
            period.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_Decapsulate.html and
    https://csrc.nist.gov/pubs/fips/203/final
    """

    imported_as: ClassVar[type[Any]] = ImportedKeyEncapsulationKey

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key_spec: MlKemSpec = MlKemSpec.ML_KEM_768,
        **options: Unpack[PrimaryKeyOptions],
    ) -> None:
        if options.get("imported_material"):
            raise KeyConfigurationError(
                f"imported_material with {key_spec.value}: no page of AWS KMS says that it takes imported ML-KEM key "
                "material (UnsupportedOperationException); omit imported_material"
            )
        super().__init__(
            scope,
            construct_id,
            key_spec=key_spec,
            key_usage=self.key_usage,
            **options,
        )
