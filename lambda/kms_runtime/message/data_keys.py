"""The encrypted data keys of a message header: one for each wrapping key that can decrypt the message."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kms_runtime.errors import InvalidRequest, MessageFormatError
from kms_runtime.message.fields import FieldReader

MAX_ENCRYPTED_DATA_KEYS = 20
_FIELD_LIMIT = 65535


class EncryptedDataKey(NamedTuple):
    """One copy of the message's data key, encrypted by a key provider.

    Args:
        provider_id: ``"aws-kms"`` for AWS KMS.
        provider_info: What the provider needs to find its key: for AWS KMS the key ARN.
        ciphertext: The encrypted data key; for AWS KMS a CiphertextBlob.
    """

    provider_id: str
    provider_info: bytes
    ciphertext: bytes

    @property
    def name(self) -> str:
        """The provider's information as text, for messages."""
        return self.provider_info.decode(errors="replace")


def serialize_data_keys(data_keys: Sequence[EncryptedDataKey]) -> bytes:
    """Return the encoding of one or more encrypted data keys.

    Raises:
        InvalidRequest: There are none, more than 20, or one does not fit.
    """
    if not 1 <= len(data_keys) <= MAX_ENCRYPTED_DATA_KEYS:
        raise InvalidRequest(f"{len(data_keys)} encrypted data keys; a message has 1 to {MAX_ENCRYPTED_DATA_KEYS}")
    return len(data_keys).to_bytes(2) + b"".join(_fields(data_keys))


def parse_data_keys(fields: FieldReader) -> tuple[EncryptedDataKey, ...]:
    """Read the encrypted data keys of a message header.

    Raises:
        MessageFormatError: There are none, more than 20, or a provider id is not valid UTF-8.
        MessageTruncated: The message ends here.
    """
    count = fields.unsigned(2, "the number of encrypted data keys")
    if not 1 <= count <= MAX_ENCRYPTED_DATA_KEYS:
        raise MessageFormatError(f"{count} encrypted data keys; this reader accepts 1 to {MAX_ENCRYPTED_DATA_KEYS}")
    return tuple([_parse_data_key(fields) for _ in range(count)])


def _fields(data_keys: Sequence[EncryptedDataKey]) -> Iterator[bytes]:
    for key in data_keys:
        for field in (key.provider_id.encode(), key.provider_info, key.ciphertext):
            if len(field) > _FIELD_LIMIT:
                raise InvalidRequest(f"{len(field)} bytes in a field of an encrypted data key; at most {_FIELD_LIMIT}")
            yield len(field).to_bytes(2)
            yield field


def _parse_data_key(fields: FieldReader) -> EncryptedDataKey:
    provider_id = fields.block("a key provider id")
    provider_info = fields.block("a key provider's information")
    ciphertext = fields.block("an encrypted data key")
    try:
        return EncryptedDataKey(provider_id.decode(), provider_info, ciphertext)
    except UnicodeDecodeError:
        raise MessageFormatError("a key provider's id is not valid UTF-8") from None
