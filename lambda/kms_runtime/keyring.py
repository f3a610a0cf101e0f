"""Keyrings make and recover a message's data key; ``KmsKeyring`` does it with AWS KMS.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/choose-keyring.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from kms_runtime.aws_errors import IncorrectKeyException, KMSInternalException, typed_errors
from kms_runtime.errors import KmsRuntimeError
from kms_runtime.key_arn import check_key_arn
from kms_runtime.message.header import EncryptedDataKey
from kms_runtime.message.suite import KEY_LENGTH

PROVIDER_ID = "aws-kms"
_SHOWN = 500


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key in plaintext and encrypted. Whoever asked for it wipes ``plaintext`` as soon as it is used.

    The plaintext is a copy: the AWS SDK has parsed it from JSON into immutable objects, which Python frees but cannot
    overwrite.
    """

    plaintext: bytearray = field(repr=False)
    encrypted: EncryptedDataKey


class Keyring(Protocol):
    """What ``encrypt`` and ``decrypt`` need from a keyring."""

    @property
    def key_arn(self) -> str:
        """ARN of the wrapping key."""

    def generate_data_key(self, encryption_context: Mapping[str, str]) -> DataKey:
        """Return a new data key bound to ``encryption_context``."""

    def decrypt_data_key(
        self, encrypted: Sequence[EncryptedDataKey], encryption_context: Mapping[str, str]
    ) -> bytearray:
        """Return the plaintext of the first of ``encrypted`` that this keyring can decrypt."""


class KmsDataKeyClient(Protocol):
    """The two operations of a boto3 KMS client that a ``KmsKeyring`` calls."""

    def generate_data_key(
        self,
        *,
        KeyId: str,  # noqa: N803
        KeySpec: Literal["AES_256"],  # noqa: N803
        EncryptionContext: Mapping[str, str],  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html."""

    def decrypt(
        self,
        *,
        KeyId: str,  # noqa: N803
        CiphertextBlob: bytes,  # noqa: N803
        EncryptionContext: Mapping[str, str],  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html."""


class KmsKeyring:
    """Wraps each message's data key under one symmetric KMS key: one KMS call to encrypt, one to decrypt.

    Args:
        key_arn: ARN of a symmetric encryption key. Not an alias: an alias can be pointed at another key.
        kms_client: A ``boto3.client("kms")`` for the key's Region.

    Raises:
        InvalidArnException: ``key_arn`` is not a key ARN.

    See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-kms-keyring.html
    """

    def __init__(self, key_arn: str, *, kms_client: KmsDataKeyClient) -> None:
        self._key_arn = check_key_arn(key_arn)
        self._kms = kms_client

    @property
    def key_arn(self) -> str:
        """ARN of the KMS key."""
        return self._key_arn

    def generate_data_key(self, encryption_context: Mapping[str, str]) -> DataKey:
        """Return a new AES-256 data key from AWS KMS GenerateDataKey, bound to ``encryption_context``.

        Raises:
            AwsError: AWS KMS refused; the class name is its error code.
            IncorrectKeyException: The answer is about another key than the one asked for.
        """
        with typed_errors("AWS KMS"):
            answer = self._kms.generate_data_key(
                KeyId=self._key_arn, KeySpec="AES_256", EncryptionContext=encryption_context
            )
        plaintext = self._checked(answer, "GenerateDataKey")
        return DataKey(plaintext, EncryptedDataKey(PROVIDER_ID, self._key_arn, bytes(answer["CiphertextBlob"])))

    def decrypt_data_key(
        self, encrypted: Sequence[EncryptedDataKey], encryption_context: Mapping[str, str]
    ) -> bytearray:
        """Return the data key, decrypted by AWS KMS with KeyId pinned to this keyring's key.

        Raises:
            IncorrectKeyException: No data key of the message is encrypted under this keyring's key; AWS is not called.
            AwsError: AWS KMS refused; the class name is its error code.
        """
        mine = [key for key in encrypted if (key.provider_id, key.provider_info) == (PROVIDER_ID, self._key_arn)]
        if not mine:
            # Nothing of this is authenticated yet: whoever made the message may have made it long.
            found = ", ".join(sorted({key.provider_info for key in encrypted}))[:_SHOWN]
            raise IncorrectKeyException(f"the message is encrypted under {found}, not under {self._key_arn}")
        for key in mine[:-1]:
            try:
                return self._decrypt_one(key, encryption_context)
            except KmsRuntimeError:
                continue
        return self._decrypt_one(mine[-1], encryption_context)

    def _decrypt_one(self, key: EncryptedDataKey, encryption_context: Mapping[str, str]) -> bytearray:
        with typed_errors("AWS KMS"):
            answer = self._kms.decrypt(
                KeyId=self._key_arn, CiphertextBlob=key.ciphertext, EncryptionContext=encryption_context
            )
        return self._checked(answer, "Decrypt")

    def _checked(self, answer: Mapping[str, Any], operation: str) -> bytearray:
        if answer["KeyId"] != self._key_arn:
            message = f"{operation} answered for {answer['KeyId']} instead of {self._key_arn}"
            raise IncorrectKeyException(message, operation=operation)
        plaintext = bytearray(answer["Plaintext"])
        if len(plaintext) != KEY_LENGTH:
            message = f"{operation} answered a data key of {len(plaintext)} bytes instead of {KEY_LENGTH}"
            raise KMSInternalException(message, operation=operation)
        return plaintext
