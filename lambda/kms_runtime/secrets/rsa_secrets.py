"""Small secrets under an RSA KMS key: encrypted by AWS KMS or with the public key, decrypted by AWS KMS.

RSA keys have no encryption context. AWS CloudTrail does not record what an outsider encrypts.
See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html#key-spec-rsa-encryption
"""

import re
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kms_runtime.aws_errors import InvalidKeyUsageException
from kms_runtime.errors import InvalidRequest, PlaintextEmpty, PlaintextTooLarge
from kms_runtime.key_arn import call_kms
from kms_runtime.public_keys.jwk import OAEP_OVERHEAD, PADDINGS, rsa_plaintext_limit
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.secrets.symmetric import SecretCiphertext, SecretPlaintext

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_SPEC = re.compile(r"RSA_(2048|3072|4096)")


def encrypt_rsa_secret(
    plaintext: bytes, *, key_arn: str, key_spec: str, algorithm: str, kms_client: "KMSClient"
) -> SecretCiphertext:
    """Have AWS KMS encrypt ``plaintext`` under an RSA key.

    Args:
        plaintext: With RSA_2048, RSA_3072 and RSA_4096 at most 190, 318 and 446 bytes; 24 more with SHA-1.
        key_arn: ARN of the key.
        key_spec: ``RSA_2048``, ``RSA_3072`` or ``RSA_4096``.
        algorithm: ``RSAES_OAEP_SHA_256`` or ``RSAES_OAEP_SHA_1``.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        PlaintextEmpty, PlaintextTooLarge: The plaintext has no bytes, or too many; AWS KMS is not called.
        InvalidKeyUsageException: Another key spec or algorithm; AWS KMS is not called.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    check_plaintext(plaintext, key_spec, algorithm)
    given = {"Plaintext": plaintext, "EncryptionAlgorithm": algorithm}
    response = call_kms(kms_client.encrypt, "Encrypt", key_arn, **given)
    return SecretCiphertext(response["CiphertextBlob"], response["KeyId"], response["EncryptionAlgorithm"])


def decrypt_rsa_secret(
    ciphertext: bytes, *, key_arn: str, key_spec: str, algorithm: str, kms_client: "KMSClient"
) -> SecretPlaintext:
    """Have AWS KMS decrypt what was encrypted under an RSA key, in AWS or outside of it.

    Args:
        ciphertext: As long as the key's modulus: 256, 384 or 512 bytes.
        key_arn: ARN of the key. The ciphertext does not say which it is for.
        key_spec: ``RSA_2048``, ``RSA_3072`` or ``RSA_4096``.
        algorithm: The one that it was encrypted with. The ciphertext does not say which.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        InvalidRequest: The ciphertext has another length; AWS KMS is not called.
        InvalidCiphertextException: The ciphertext was altered, or belongs to another key or algorithm.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    length = modulus_bits(key_spec) // 8
    _check_algorithm(algorithm)
    if len(ciphertext) != length:
        raise InvalidRequest(f"the ciphertext has {len(ciphertext)} bytes; a ciphertext of {key_spec} has {length}")
    given = {"CiphertextBlob": ciphertext, "EncryptionAlgorithm": algorithm}
    response = call_kms(kms_client.decrypt, "Decrypt", key_arn, **given)
    return SecretPlaintext(response["Plaintext"], response["KeyId"], response["EncryptionAlgorithm"])


def encrypt_with_public_key(plaintext: bytes, *, public_key: PublicKey, algorithm: str = "RSAES_OAEP_SHA_256") -> bytes:
    """Encrypt ``plaintext`` locally: no call to AWS, no credentials.

    Args:
        plaintext: With RSA_2048, RSA_3072 and RSA_4096 at most 190, 318 and 446 bytes; 24 more with SHA-1.
        public_key: Of an RSA key with usage ENCRYPT_DECRYPT.
        algorithm: One of those that the key's owner decrypts with: see ``public_key.algorithms``.

    Raises:
        PlaintextEmpty, PlaintextTooLarge: The plaintext has no bytes, or too many.
        InvalidKeyUsageException: The key does not encrypt with ``algorithm``.
    """
    limit = public_key.plaintext_limit(algorithm)
    _check_size(plaintext, limit, public_key.key_spec, algorithm)
    if not isinstance(public_key.key, RSAPublicKey):
        raise InvalidKeyUsageException(f"{public_key.key_arn} is a {public_key.key_spec} key, which does not encrypt")
    return public_key.key.encrypt(plaintext, PADDINGS[algorithm])


def check_plaintext(plaintext: bytes, key_spec: str, algorithm: str) -> None:
    """Refuse a plaintext that AWS KMS would refuse for its size.

    Raises:
        PlaintextEmpty, PlaintextTooLarge: The plaintext has no bytes, or too many.
        InvalidKeyUsageException: The key spec or the algorithm does not serve RSA encryption.
    """
    _check_algorithm(algorithm)
    _check_size(plaintext, rsa_plaintext_limit(modulus_bits(key_spec), algorithm), key_spec, algorithm)


def modulus_bits(key_spec: str) -> int:
    """Return the size of the key's modulus.

    Raises:
        InvalidKeyUsageException: ``key_spec`` is not an RSA spec.
    """
    found = _SPEC.fullmatch(key_spec)
    if not found:
        raise InvalidKeyUsageException(f"the key spec is {key_spec}; RSA encryption takes RSA_2048, RSA_3072, RSA_4096")
    return int(found[1])


def _check_algorithm(algorithm: str) -> None:
    if algorithm not in OAEP_OVERHEAD:
        raise InvalidKeyUsageException(f"{algorithm} is not an RSA encryption algorithm: {', '.join(OAEP_OVERHEAD)}")


def _check_size(plaintext: bytes, limit: int, key_spec: str, algorithm: str) -> None:
    if not plaintext:
        raise PlaintextEmpty(f"the plaintext is empty; {algorithm} with {key_spec} takes 1 to {limit} bytes")
    if len(plaintext) > limit:
        raise PlaintextTooLarge(
            f"the plaintext has {len(plaintext)} bytes and {algorithm} with {key_spec} takes at most {limit}; "
            "for larger data use envelope encryption (KmsRsaKeyring, or the RsaEnvelopeCipher construct)"
        )
