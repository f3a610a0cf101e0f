"""Wrapping of key material under the public key that AWS KMS returns for one import.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-get-public-key-and-token.html#select-wrapping-algorithm
"""

import secrets
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_runtime.cli.key_material.material import RAW_BYTES, RSA_BITS, KeyMaterialInvalid, wiped

_DIRECT: Final = ("RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1")
_BY_AES: Final = ("RSA_AES_KEY_WRAP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1")
ALGORITHMS: Final = (*_DIRECT, *_BY_AES)
"""Every wrapping algorithm of KMS outside of China; RSAES_PKCS1_V1_5 is no longer accepted."""

WRAPPING_KEY_SPEC: Final = "RSA_4096"
"""The longest one, as AWS recommends; every material fits it."""

_AES_BYTES: Final = 32


def algorithms_for(key_spec: str) -> tuple[str, ...]:
    """Return the wrapping algorithms for material of a spec, the one to prefer first."""
    if key_spec in RSA_BITS:
        return _BY_AES
    return _DIRECT if key_spec in RAW_BYTES else (*_DIRECT, *_BY_AES)


def choose(key_spec: str, algorithm: str | None) -> str:
    """Return ``algorithm``, or the one to prefer for material of ``key_spec``.

    Raises:
        KeyMaterialInvalid: KMS does not take material of this spec wrapped by it.
    """
    allowed = algorithms_for(key_spec)
    if algorithm is not None and algorithm not in allowed:
        raise KeyMaterialInvalid(f"algorithm {algorithm}: {key_spec} material is wrapped by {' or '.join(allowed)}")
    return algorithm or allowed[0]


def wrap(material: bytearray, wrapping_key: bytes, algorithm: str) -> bytes:
    """Return ``material`` wrapped, as ImportKeyMaterial takes it.

    Args:
        material: Raw bytes, or a private key as PKCS #8 in DER.
        wrapping_key: ``PublicKey`` of GetParametersForImport.
        algorithm: The wrapping algorithm that was asked for there.
    """
    public: Any = load_der_public_key(wrapping_key)
    digest = hashes.SHA1() if algorithm.endswith("SHA_1") else hashes.SHA256()  # noqa: S303 -- OAEP of KMS, no signature
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    if algorithm in _DIRECT:
        wrapped: bytes = public.encrypt(bytes(material), oaep)
        return wrapped
    with wiped(bytearray(secrets.token_bytes(_AES_BYTES))) as key:
        return bytes(public.encrypt(bytes(key), oaep)) + keywrap.aes_key_wrap_with_padding(key, material)
