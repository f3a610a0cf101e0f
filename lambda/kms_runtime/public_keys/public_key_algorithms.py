"""The algorithms of public keys: the names of AWS KMS and of JOSE, paddings, and how many bytes RSA encrypts.

See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
"""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

PADDINGS: Final[Mapping[str, padding.OAEP]] = {
    "RSAES_OAEP_SHA_256": padding.OAEP(padding.MGF1(SHA256()), SHA256(), None),
    "RSAES_OAEP_SHA_1": padding.OAEP(padding.MGF1(SHA1()), SHA1(), None),  # noqa: S303 - AWS's name; safe in OAEP
}
"""The padding of each encryption algorithm."""


OAEP_OVERHEAD: Final[Mapping[str, int]] = {name: 2 * oaep.algorithm.digest_size + 2 for name, oaep in PADDINGS.items()}
"""How many bytes shorter than the modulus a plaintext must be, by encryption algorithm."""

_JOSE: Final[Mapping[str, str]] = {
    "RSAES_OAEP_SHA_256": "RSA-OAEP-256",
    "RSAES_OAEP_SHA_1": "RSA-OAEP",
    "RSASSA_PKCS1_V1_5_SHA_256": "RS256",
    "RSASSA_PKCS1_V1_5_SHA_384": "RS384",
    "RSASSA_PKCS1_V1_5_SHA_512": "RS512",
    "RSASSA_PSS_SHA_256": "PS256",
    "RSASSA_PSS_SHA_384": "PS384",
    "RSASSA_PSS_SHA_512": "PS512",
    "ECDSA_SHA_256": "ES256",
    "ECDSA_SHA_384": "ES384",
    "ECDSA_SHA_512": "ES512",
    "ED25519_SHA_512": "EdDSA",
}
_BY_SPEC: Final[Mapping[str, str]] = {
    "ECC_SECG_P256K1": "ES256K",
    "ML_DSA_44": "ML-DSA-44",
    "ML_DSA_65": "ML-DSA-65",
    "ML_DSA_87": "ML-DSA-87",
    "ML_KEM_768": "ML-KEM-768",
    "ML_KEM_1024": "ML-KEM-1024",
}


def jose_name(key_spec: str, algorithm: str) -> str | None:
    """Return JOSE's name of AWS KMS's ``algorithm`` with a key of ``key_spec``; None if it has none.

    See https://www.iana.org/assignments/jose/jose.xhtml#web-signature-encryption-algorithms
    """
    return _BY_SPEC.get(key_spec) or _JOSE.get(algorithm)


def rsa_plaintext_limit(modulus_bits: int, algorithm: str) -> int:
    """Return how many bytes RSAES_OAEP encrypts at most: 190, 318 or 446 with SHA-256, 214, 342 or 470 with SHA-1.

    Raises:
        KeyError: ``algorithm`` is neither ``RSAES_OAEP_SHA_256`` nor ``RSAES_OAEP_SHA_1``.
    """
    return modulus_bits // 8 - OAEP_OVERHEAD[algorithm]
