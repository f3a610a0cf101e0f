"""Small secrets, encrypted directly by AWS KMS: 1 to 4096 bytes, no data key, no message format.

See https://docs.aws.amazon.com/kms/latest/developerguide/symmetric-asymmetric.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kms_runtime.aws_errors import typed_errors
from kms_runtime.errors import InvalidRequest, PlaintextEmpty, PlaintextTooLarge
from kms_runtime.key_arn import check_key_arn, check_response_key
from kms_runtime.message.context import check_context

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

PLAINTEXT_LIMIT = 4096
CIPHERTEXT_LIMIT = 6144


@dataclass(frozen=True, slots=True)
class SecretCiphertext:
    """The response of AWS KMS Encrypt."""

    ciphertext: bytes
    key_arn: str
    encryption_algorithm: str


@dataclass(frozen=True, slots=True)
class SecretPlaintext:
    """The response of AWS KMS Decrypt. The plaintext is kept out of ``repr``."""

    plaintext: bytes = field(repr=False)
    key_arn: str
    encryption_algorithm: str


def encrypt_secret(
    plaintext: bytes, *, key_arn: str, encryption_context: Mapping[str, str], kms_client: "KMSClient"
) -> SecretCiphertext:
    """Encrypt 1 to 4096 bytes under a symmetric KMS key.

    Args:
        plaintext: The secret, 1 to 4096 bytes.
        key_arn: ARN of the key.
        encryption_context: Bound to the ciphertext, and visible in AWS CloudTrail: never put a secret here.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        PlaintextEmpty: There is nothing to encrypt; AWS KMS is not called.
        PlaintextTooLarge: More than 4096 bytes; AWS KMS is not called.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    if not plaintext:
        raise PlaintextEmpty("the plaintext is empty; AWS KMS Encrypt takes 1 to 4096 bytes")
    if len(plaintext) > PLAINTEXT_LIMIT:
        raise PlaintextTooLarge(
            f"the plaintext has {len(plaintext)} bytes and AWS KMS Encrypt takes at most {PLAINTEXT_LIMIT}; "
            "for larger data use envelope encryption (kms_runtime.encrypt, or the EnvelopeCipher construct)"
        )
    check_context(encryption_context)
    with typed_errors("AWS KMS"):
        response = kms_client.encrypt(
            KeyId=check_key_arn(key_arn), Plaintext=plaintext, EncryptionContext=encryption_context
        )
    check_response_key(response, key_arn, "Encrypt")
    return SecretCiphertext(response["CiphertextBlob"], response["KeyId"], response["EncryptionAlgorithm"])


def decrypt_secret(
    ciphertext: bytes, *, key_arn: str, encryption_context: Mapping[str, str], kms_client: "KMSClient"
) -> SecretPlaintext:
    """Decrypt what ``encrypt_secret`` made under the same key and encryption context.

    Args:
        ciphertext: A CiphertextBlob, 1 to 6144 bytes.
        key_arn: ARN of the only key that is accepted.
        encryption_context: Exactly the pairs given to ``encrypt_secret``.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        InvalidRequest: The ciphertext is empty or longer than any that AWS KMS makes; AWS KMS is not called.
        InvalidCiphertextException: The ciphertext was altered, or belongs to another encryption context.
        IncorrectKeyException: The ciphertext belongs to another key.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    if not 1 <= len(ciphertext) <= CIPHERTEXT_LIMIT:
        raise InvalidRequest(f"the ciphertext has {len(ciphertext)} bytes; AWS KMS Decrypt takes 1 to 6144")
    with typed_errors("AWS KMS"):
        response = kms_client.decrypt(
            KeyId=check_key_arn(key_arn), CiphertextBlob=ciphertext, EncryptionContext=encryption_context
        )
    check_response_key(response, key_arn, "Decrypt")
    return SecretPlaintext(response["Plaintext"], response["KeyId"], response["EncryptionAlgorithm"])
