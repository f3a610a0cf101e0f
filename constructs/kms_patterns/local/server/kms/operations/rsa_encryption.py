"""Encrypt and Decrypt under RSA keys.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
"""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP

from kms_patterns.local.server.kms.kms_errors import KmsError, invalid, invalid_ciphertext

_DIGESTS: Mapping[str, type[hashes.HashAlgorithm]] = {
    "RSAES_OAEP_SHA_1": hashes.SHA1,
    "RSAES_OAEP_SHA_256": hashes.SHA256,
}


def rsa_encrypt(record: Mapping[str, Any], plaintext: bytes, algorithm: str, context: Mapping[str, str]) -> bytes:
    """Encrypt under the public key.

    Raises:
        KmsError: The algorithm is for other keys, the plaintext is too long for it, or there is a context.
    """
    padding = _padding(record, algorithm, context)
    most = record["_private_key"].key_size // 8 - 2 * _DIGESTS[algorithm]().digest_size - 2
    if len(plaintext) > most:
        raise invalid(
            f"Algorithm {algorithm} and key spec {record['KeySpec']} cannot encrypt data larger than {most} bytes."
        )
    encrypted: bytes = record["_private_key"].public_key().encrypt(plaintext, padding)
    return encrypted


def rsa_decrypt(record: Mapping[str, Any], blob: bytes, algorithm: str, context: Mapping[str, str]) -> bytes:
    """Decrypt with the private key.

    Raises:
        KmsError: InvalidCiphertextException, for another algorithm as well; ValidationException: a context.
    """
    if algorithm not in _DIGESTS:
        raise invalid_ciphertext()
    try:
        decrypted: bytes = record["_private_key"].decrypt(blob, _padding(record, algorithm, context))
    except ValueError as refused:
        raise invalid_ciphertext() from refused
    return decrypted


def _padding(record: Mapping[str, Any], algorithm: str, context: Mapping[str, str]) -> OAEP:
    if context:
        raise invalid("EncryptionContext is not supported with asymmetric keys.")
    if algorithm not in _DIGESTS:
        message = f"Algorithm {algorithm} is incompatible with key spec {record['KeySpec']}."
        raise KmsError("InvalidKeyUsageException", message)
    digest = _DIGESTS[algorithm]
    return OAEP(mgf=MGF1(digest()), algorithm=digest(), label=None)
