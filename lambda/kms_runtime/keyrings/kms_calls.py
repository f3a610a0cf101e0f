"""The calls to AWS KMS that keyrings make, with every response checked against the key that was asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kms_runtime.aws_errors import KMSInternalException, typed_errors
from kms_runtime.key_arn import check_response_key

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


def generate(client: "KMSClient", key_arn: str, context: Mapping[str, str]) -> tuple[bytearray, bytes]:
    """Return a new 256-bit data key in plaintext and encrypted."""
    with typed_errors("AWS KMS"):
        response = client.generate_data_key(KeyId=key_arn, KeySpec="AES_256", EncryptionContext=context)
    return checked_plaintext(response, key_arn, "GenerateDataKey", 32), bytes(response["CiphertextBlob"])


def wrap(client: "KMSClient", key_arn: str, data_key: bytearray, context: Mapping[str, str]) -> bytes:
    """Return ``data_key`` encrypted under another key."""
    with typed_errors("AWS KMS"):
        response = client.encrypt(KeyId=key_arn, Plaintext=bytes(data_key), EncryptionContext=context)
    check_response_key(response, key_arn, "Encrypt")
    return bytes(response["CiphertextBlob"])


def unwrap(client: "KMSClient", key_arn: str, ciphertext: bytes, context: Mapping[str, str], length: int) -> bytearray:
    """Return the data key of ``length`` bytes, decrypted with KeyId pinned to ``key_arn``."""
    with typed_errors("AWS KMS"):
        response = client.decrypt(KeyId=key_arn, CiphertextBlob=ciphertext, EncryptionContext=context)
    return checked_plaintext(response, key_arn, "Decrypt", length)


def checked_plaintext(response: Mapping[str, Any], key_arn: str, operation: str, length: int) -> bytearray:
    """Return the plaintext of an ``response`` that must be about ``key_arn`` and have ``length`` bytes.

    Raises:
        IncorrectKeyException: The response is about another key.
        KMSInternalException: The plaintext has another length.
    """
    check_response_key(response, key_arn, operation)
    plaintext = bytearray(response["Plaintext"])
    if len(plaintext) != length:
        message = f"{operation} returned a data key of {len(plaintext)} bytes, not of {length}"
        raise KMSInternalException(message, operation=operation)
    return plaintext
