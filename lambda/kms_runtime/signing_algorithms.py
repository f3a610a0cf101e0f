"""The signing algorithms of AWS KMS: what each hashes with, and in which forms it takes a message.

See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kms_runtime.errors import InvalidRequest

RAW_LIMIT: Final = 4096
"""Bytes that AWS KMS Sign and Verify take as a message of type RAW."""

RAW: Final = "RAW"
DIGEST: Final = "DIGEST"
EXTERNAL_MU: Final = "EXTERNAL_MU"
MU_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class SigningAlgorithm:
    """One value of the parameter SigningAlgorithm.

    Args:
        name: AWS KMS's name of it.
        scheme: ``RSASSA_PSS``, ``RSASSA_PKCS1_V1_5``, ``ECDSA``, ``ED25519``, ``ED25519_PH`` or ``ML_DSA``.
        digest: ``hashlib``'s name of the digest; None if the algorithm takes no digest of the message.
        message_types: Values of the parameter MessageType that AWS KMS takes with it.
    """

    name: str
    scheme: str
    digest: str | None
    message_types: tuple[str, ...]

    @property
    def digest_bytes(self) -> int:
        """Length of what is signed in place of a long message: the digest, or mu of ML-DSA."""
        return _DIGEST_BYTES[self.digest] if self.digest else MU_BYTES


_DIGEST_BYTES: Final = {"sha256": 32, "sha384": 48, "sha512": 64}


def _hashed(scheme: str) -> list[SigningAlgorithm]:
    return [SigningAlgorithm(f"{scheme}_SHA_{bits}", scheme, f"sha{bits}", (RAW, DIGEST)) for bits in (256, 384, 512)]


ALGORITHMS: Final[Mapping[str, SigningAlgorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        *_hashed("RSASSA_PSS"),
        *_hashed("RSASSA_PKCS1_V1_5"),
        *_hashed("ECDSA"),
        SigningAlgorithm("ED25519_SHA_512", "ED25519", None, (RAW,)),
        SigningAlgorithm("ED25519_PH_SHA_512", "ED25519_PH", "sha512", (DIGEST,)),
        SigningAlgorithm("ML_DSA_SHAKE_256", "ML_DSA", None, (RAW, EXTERNAL_MU)),
    )
}
"""Every signing algorithm of AWS KMS outside the China Regions, by name."""


_RSA: Final = tuple(name for name in ALGORITHMS if name.startswith("RSASSA"))

ALGORITHMS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("RSA_2048", "RSA_3072", "RSA_4096"), _RSA),
    "ECC_NIST_P256": ("ECDSA_SHA_256",),
    "ECC_NIST_P384": ("ECDSA_SHA_384",),
    "ECC_NIST_P521": ("ECDSA_SHA_512",),
    "ECC_SECG_P256K1": ("ECDSA_SHA_256",),
    "ECC_NIST_EDWARDS25519": ("ED25519_SHA_512", "ED25519_PH_SHA_512"),
    **dict.fromkeys(("ML_DSA_44", "ML_DSA_65", "ML_DSA_87"), ("ML_DSA_SHAKE_256",)),
}
"""What keys of each key spec sign with."""


def signing_algorithm(name: str) -> SigningAlgorithm:
    """Return the algorithm called ``name``.

    Raises:
        InvalidRequest: AWS KMS has no such algorithm (or only in the China Regions: SM2DSA).
    """
    found = ALGORITHMS.get(name)
    if found is None:
        raise InvalidRequest(f"{name!r} is not a signing algorithm; AWS KMS has {', '.join(ALGORITHMS)}")
    return found
