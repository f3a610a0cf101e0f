"""What each key spec of KMS is good for, and with which algorithms.

https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from kms_patterns.policy import conditions

ENCRYPTION_ALGORITHM: Final = "kms:EncryptionAlgorithm"
SIGNING_ALGORITHM: Final = "kms:SigningAlgorithm"
MESSAGE_TYPE: Final = "kms:MessageType"
MAC_ALGORITHM: Final = "kms:MacAlgorithm"
KEY_AGREEMENT_ALGORITHM: Final = "kms:KeyAgreementAlgorithm"
ENCAPSULATION_ALGORITHM: Final = "kms:EncapsulationAlgorithm"
DATA_KEY_PAIR_SPEC: Final = "kms:DataKeyPairSpec"

CHINA_ONLY: Final = frozenset({"SM2"})
"""Specs that only the Regions of the partition aws-cn have."""

OUTSIDE_CHINA: Final = frozenset({"ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"})
"""Specs that those Regions do not have."""


class MlKemSpec(Enum):
    """Key specs for which ``aws_kms.KeySpec`` of aws-cdk-lib 2.275 has no constant."""

    ML_KEM_512 = "ML_KEM_512"
    ML_KEM_768 = "ML_KEM_768"
    ML_KEM_1024 = "ML_KEM_1024"


class MlKemUsage(Enum):
    """The key usage for which ``aws_kms.KeyUsage`` has no constant."""

    ENCAPSULATE_DECAPSULATE = "ENCAPSULATE_DECAPSULATE"


_OAEP: Final = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
_RSA_SIGNATURES: Final = tuple(
    f"RSASSA_{padding}_SHA_{bits}" for padding in ("PSS", "PKCS1_V1_5") for bits in (256, 384, 512)
)
_RSA: Final = ("RSA_2048", "RSA_3072", "RSA_4096")

ALGORITHMS: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "ENCRYPT_DECRYPT": {
        "SYMMETRIC_DEFAULT": ("SYMMETRIC_DEFAULT",),
        **dict.fromkeys(_RSA, _OAEP),
        "SM2": ("SM2PKE",),
    },
    "SIGN_VERIFY": {
        **dict.fromkeys(_RSA, _RSA_SIGNATURES),
        "ECC_NIST_P256": ("ECDSA_SHA_256",),
        "ECC_NIST_P384": ("ECDSA_SHA_384",),
        "ECC_NIST_P521": ("ECDSA_SHA_512",),
        "ECC_SECG_P256K1": ("ECDSA_SHA_256",),
        "ECC_NIST_EDWARDS25519": ("ED25519_SHA_512", "ED25519_PH_SHA_512"),
        **dict.fromkeys(("ML_DSA_44", "ML_DSA_65", "ML_DSA_87"), ("ML_DSA_SHAKE_256",)),
        "SM2": ("SM2DSA",),
    },
    "GENERATE_VERIFY_MAC": {f"HMAC_{bits}": (f"HMAC_SHA_{bits}",) for bits in (224, 256, 384, 512)},
    "KEY_AGREEMENT": dict.fromkeys(("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "SM2"), ("ECDH",)),
    "ENCAPSULATE_DECAPSULATE": dict.fromkeys((spec.value for spec in MlKemSpec), ("ML_KEM",)),
}
"""Key usage -> key spec -> algorithms."""

RSA_ENCRYPTION_ALGORITHMS: Final[Mapping[str, int]] = {"RSAES_OAEP_SHA_256": 66, "RSAES_OAEP_SHA_1": 42}
"""Algorithm -> by how many bytes a plaintext must be shorter than the modulus."""

SIGNED_BY_DIGEST: Final = tuple(
    name
    for name in dict.fromkeys(name for names in ALGORITHMS["SIGN_VERIFY"].values() for name in names)
    if name not in {"ED25519_SHA_512", "SM2DSA"}
)
"""The algorithms that sign messages of any size by a digest (ML-DSA: mu) that can be made without KMS."""

_MESSAGE_TYPES: Final[Mapping[str, Sequence[str]]] = {
    "ED25519_SHA_512": ("RAW",),
    "ED25519_PH_SHA_512": ("DIGEST",),
    "ML_DSA_SHAKE_256": ("RAW", "EXTERNAL_MU"),
}
DATA_KEY_PAIR_SPECS: Final = (
    *_RSA,
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "ECC_NIST_EDWARDS25519",
    "SM2",
)


def message_types(algorithms: Sequence[str]) -> Sequence[str]:
    """Return the values of MessageType that KMS takes with at least one of the signing ``algorithms``."""
    taken = (name for algorithm in algorithms for name in _MESSAGE_TYPES.get(algorithm, ("RAW", "DIGEST")))
    return tuple(dict.fromkeys(taken))


def pinned(condition_key: str, values: Sequence[str] | None) -> conditions.Conditions:
    """Return the condition that the request names one of ``values``; no condition for None."""
    if values is None:
        return {}
    return {"StringEquals": {condition_key: values[0] if len(values) == 1 else list(values)}}
