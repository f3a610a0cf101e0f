"""The header of a version 2 message: who can decrypt it, under which context, in frames of which length."""

from collections.abc import Mapping
from dataclasses import dataclass

from kms_runtime.errors import MessageFormatError
from kms_runtime.message.context import parse_context, serialize_context
from kms_runtime.message.fields import FieldReader, Fill
from kms_runtime.message.suite import COMMITMENT_LENGTH, MESSAGE_ID_LENGTH, SUITE_ID, SUITE_ID_BYTES, TAG_LENGTH

VERSION = 2
FRAMED = 2
DEFAULT_FRAME_LENGTH = 256 * 1024
MAX_FRAME_LENGTH = 16 * 1024 * 1024
MAX_ENCRYPTED_DATA_KEYS = 20

_SIGNED_SUITE_ID = 0x0578
_BASE64_VERSIONS = b"A"


@dataclass(frozen=True, slots=True)
class EncryptedDataKey:
    """One copy of the message's data key, encrypted by a key provider.

    Args:
        provider_id: ``"aws-kms"`` for AWS KMS.
        provider_info: What the provider needs to find its key: for AWS KMS the key ARN.
        ciphertext: The encrypted data key; for AWS KMS a CiphertextBlob.
    """

    provider_id: str
    provider_info: str
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header. Nothing in it is to be trusted before its tag is verified.

    ``body`` holds the exact bytes that the tag authenticates.
    """

    message_id: bytes
    encryption_context: Mapping[str, str]
    encrypted_data_keys: tuple[EncryptedDataKey, ...]
    frame_length: int
    commitment: bytes
    tag: bytes
    body: bytes


def serialize_header(
    *,
    message_id: bytes,
    encryption_context: Mapping[str, str],
    encrypted_data_keys: tuple[EncryptedDataKey, ...],
    frame_length: int,
    commitment: bytes,
) -> bytes:
    """Return the header body; its authentication tag follows it in the message.

    Raises:
        EncryptionContextInvalid: The encryption context does not fit.
    """
    parts = [bytes([VERSION]), SUITE_ID_BYTES, message_id, serialize_context(encryption_context)]
    parts.append(len(encrypted_data_keys).to_bytes(2))
    for key in encrypted_data_keys:
        for field in (key.provider_id.encode(), key.provider_info.encode(), key.ciphertext):
            parts += [len(field).to_bytes(2), field]
    parts += [bytes([FRAMED]), frame_length.to_bytes(4), commitment]
    return b"".join(parts)


def read_header(fill: Fill, *, max_frame_length: int = MAX_FRAME_LENGTH) -> Header:
    """Read and check a message header.

    Args:
        fill: Fills a buffer from the source and returns how many bytes it wrote.
        max_frame_length: Largest frame length accepted, in bytes: what decryption may have to hold in memory.

    Raises:
        MessageFormatError: Not a version 2, framed message under suite 0x0478, or a limit is exceeded.
        MessageTruncated: The message ends inside its header.
    """
    fields = FieldReader(fill)
    _check_version(fields.take(1, "the version"))
    _check_suite(fields.unsigned(2, "the algorithm suite id"))
    message_id = fields.take(MESSAGE_ID_LENGTH, "the message id")
    context = parse_context(fields)
    data_keys = _parse_data_keys(fields)
    _check_content_type(fields.unsigned(1, "the content type"))
    frame_length = fields.unsigned(4, "the frame length")
    if not 1 <= frame_length <= max_frame_length:
        raise MessageFormatError(f"frame length {frame_length}; this reader accepts 1 to {max_frame_length} bytes")
    commitment = fields.take(COMMITMENT_LENGTH, "the key commitment")
    body = bytes(fields.consumed)
    tag = fields.take(TAG_LENGTH, "the header's authentication tag")
    return Header(message_id, context, data_keys, frame_length, commitment, tag, body)


def _check_version(version: bytes) -> None:
    if version == _BASE64_VERSIONS:
        raise MessageFormatError("this looks like the Base64 text of a message: decode it to bytes first")
    if version != bytes([VERSION]):
        raise MessageFormatError(f"message format version {version[0]}; this reader accepts version {VERSION}")


def _check_suite(suite: int) -> None:
    if suite == _SIGNED_SUITE_ID:
        raise MessageFormatError(f"the message is signed (suite 0x{suite:04X}); this reader accepts 0x{SUITE_ID:04X}")
    if suite != SUITE_ID:
        raise MessageFormatError(f"algorithm suite 0x{suite:04X}; this reader accepts 0x{SUITE_ID:04X}")


def _check_content_type(content_type: int) -> None:
    if content_type != FRAMED:
        raise MessageFormatError(f"content type {content_type}; this reader accepts {FRAMED} (framed)")


def _parse_data_keys(fields: FieldReader) -> tuple[EncryptedDataKey, ...]:
    count = fields.unsigned(2, "the number of encrypted data keys")
    if not 1 <= count <= MAX_ENCRYPTED_DATA_KEYS:
        raise MessageFormatError(f"{count} encrypted data keys; this reader accepts 1 to {MAX_ENCRYPTED_DATA_KEYS}")
    return tuple(_parse_data_key(fields) for _ in range(count))


def _parse_data_key(fields: FieldReader) -> EncryptedDataKey:
    provider_id = fields.block("a key provider id")
    provider_info = fields.block("a key provider's information")
    ciphertext = fields.block("an encrypted data key")
    try:
        return EncryptedDataKey(provider_id.decode(), provider_info.decode(), ciphertext)
    except UnicodeDecodeError:
        raise MessageFormatError("a key provider's id or information is not valid UTF-8") from None
