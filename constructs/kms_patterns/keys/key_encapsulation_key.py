"""The key under which others encapsulate secrets that a quantum computer does not find: ML-KEM."""

from typing import Any, ClassVar, Unpack

from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.grants.algorithm_grants import KeyEncapsulationGrants
from kms_patterns.keys.imported.imported_types import ImportedKeyEncapsulationKey, LookUps
from kms_patterns.keys.key_options import PrimaryKeyOptions
from kms_patterns.policy.actions import KEY_ENCAPSULATION_OPERATIONS
from kms_patterns.policy.key_specs import MlKemSpec, MlKemUsage


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
    operations = KEY_ENCAPSULATION_OPERATIONS

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
            key_usage=MlKemUsage.ENCAPSULATE_DECAPSULATE,
            **options,
        )
