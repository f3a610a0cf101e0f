"""The calls to AWS KMS that keyrings make, with every answer checked against the key that was asked for."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from kms_runtime.aws_errors import KMSInternalException, typed_errors
from kms_runtime.key_arn import check_answering_key


class KmsDecryptClient(Protocol):
    """The operation of a boto3 KMS client that every keyring calls."""

    def decrypt(
        self,
        *,
        KeyId: str,  # noqa: N803
        CiphertextBlob: bytes,  # noqa: N803
        EncryptionContext: Mapping[str, str] = ...,  # noqa: N803
        EncryptionAlgorithm: Any = ...,  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html."""


class KmsDataKeyClient(KmsDecryptClient, Protocol):
    """The operations of a boto3 KMS client that a ``KmsKeyring`` calls; ``encrypt`` only for additional keys."""

    def generate_data_key(
        self,
        *,
        KeyId: str,  # noqa: N803
        KeySpec: Literal["AES_256"] = ...,  # noqa: N803
        EncryptionContext: Mapping[str, str],  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html."""

    def encrypt(
        self,
        *,
        KeyId: str,  # noqa: N803
        Plaintext: Any,  # noqa: N803
        EncryptionContext: Mapping[str, str],  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html."""


def generate(client: KmsDataKeyClient, key_arn: str, context: Mapping[str, str]) -> tuple[bytearray, bytes]:
    """Return a new 256-bit data key in plaintext and encrypted."""
    with typed_errors("AWS KMS"):
        answer = client.generate_data_key(KeyId=key_arn, KeySpec="AES_256", EncryptionContext=context)
    return checked_plaintext(answer, key_arn, "GenerateDataKey", 32), bytes(answer["CiphertextBlob"])


def wrap(client: KmsDataKeyClient, key_arn: str, data_key: bytearray, context: Mapping[str, str]) -> bytes:
    """Return ``data_key`` encrypted under another key."""
    with typed_errors("AWS KMS"):
        answer = client.encrypt(KeyId=key_arn, Plaintext=bytes(data_key), EncryptionContext=context)
    check_answering_key(answer, key_arn, "Encrypt")
    return bytes(answer["CiphertextBlob"])


def unwrap(
    client: KmsDecryptClient, key_arn: str, ciphertext: bytes, context: Mapping[str, str], length: int
) -> bytearray:
    """Return the data key of ``length`` bytes, decrypted with KeyId pinned to ``key_arn``."""
    with typed_errors("AWS KMS"):
        answer = client.decrypt(KeyId=key_arn, CiphertextBlob=ciphertext, EncryptionContext=context)
    return checked_plaintext(answer, key_arn, "Decrypt", length)


def checked_plaintext(answer: Mapping[str, Any], key_arn: str, operation: str, length: int) -> bytearray:
    """Return the plaintext of an ``answer`` that must be about ``key_arn`` and have ``length`` bytes.

    Raises:
        IncorrectKeyException: The answer is about another key.
        KMSInternalException: The plaintext has another length.
    """
    check_answering_key(answer, key_arn, operation)
    plaintext = bytearray(answer["Plaintext"])
    if len(plaintext) != length:
        message = f"{operation} answered a data key of {len(plaintext)} bytes instead of {length}"
        raise KMSInternalException(message, operation=operation)
    return plaintext
