"""The header of a message: who can decrypt it, under which context, in frames of which length.

It holds an encrypted data key for each wrapping key that can decrypt the message.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kms_runtime.errors import InvalidRequest, MessageFormatError
from kms_runtime.message.context import VERIFICATION_KEY_NAME, FieldReader, parse_context
from kms_runtime.message.suite import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    COMMITMENT_LENGTH,
    HEADER_IV,
    IV_LENGTH,
    TAG_LENGTH,
    AlgorithmSuite,
    CommitmentPolicy,
    suite_of,
)

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
        """The provider's information as text, for messages; the provider's id if it is not text."""
        text = self.provider_info.decode(errors="replace")
        return text if text.isprintable() and "\ufffd" not in text else self.provider_id


def serialize_data_keys(data_keys: Sequence[EncryptedDataKey]) -> bytes:
    """Return the encoding of one or more encrypted data keys.

    Raises:
        InvalidRequest: There are none, more than the format can count, or one does not fit.
    """
    if not 1 <= len(data_keys) <= _FIELD_LIMIT:
        raise InvalidRequest(f"{len(data_keys)} encrypted data keys; a message has 1 to {_FIELD_LIMIT}")
    return len(data_keys).to_bytes(2) + b"".join(_fields(data_keys))


def parse_data_keys(fields: FieldReader, most: int = MAX_ENCRYPTED_DATA_KEYS) -> tuple[EncryptedDataKey, ...]:
    """Read the encrypted data keys of a message header.

    Raises:
        MessageFormatError: There are none, more than ``most``, or a provider id is not valid UTF-8.
        MessageTruncated: The message ends here.
    """
    count = fields.unsigned(2, "the number of encrypted data keys")
    if not 1 <= count <= most:
        raise MessageFormatError(
            f"{count} encrypted data keys; this reader accepts 1 to {most} (max_encrypted_data_keys)"
        )
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


UNFRAMED, FRAMED = 1, 2
DEFAULT_FRAME_LENGTH = 256 * 1024
MAX_FRAME_LENGTH = 16 * 1024 * 1024

_VERSIONS = (1, 2)
_LEGACY_TYPE = 0x80
_BASE64_VERSIONS = b"A"


class Header(NamedTuple):
    """A parsed header. Nothing in it is to be trusted before its tag is verified.

    ``frame_length`` is 0 if the body is not framed. ``body`` holds the exact bytes that the tag authenticates, and
    ``size`` is how many bytes the header takes with all that authenticates it.
    """

    suite: AlgorithmSuite
    message_id: bytes
    encryption_context: Mapping[str, str]
    encrypted_data_keys: tuple[EncryptedDataKey, ...]
    frame_length: int
    commitment: bytes
    iv: bytes
    tag: bytes
    body: bytes

    @property
    def authentication(self) -> bytes:
        """What follows ``body`` in the message."""
        return self.tag if self.suite.committing else self.iv + self.tag

    @property
    def size(self) -> int:
        """Bytes of the whole header."""
        return len(self.body) + len(self.authentication)


def serialize_header(
    *,
    suite: AlgorithmSuite,
    message_id: bytes,
    context: bytes,
    encrypted_data_keys: Sequence[EncryptedDataKey],
    frame_length: int,
    commitment: bytes,
) -> bytes:
    """Return the body of a version 2 header; its authentication tag follows it in the message.

    ``context`` is the encryption context as ``serialize_context`` returns it.

    Raises:
        InvalidRequest: The encrypted data keys do not fit.
    """
    return b"".join(
        (
            bytes([suite.version]),
            suite.id_bytes,
            message_id,
            context,
            serialize_data_keys(encrypted_data_keys),
            bytes([FRAMED]),
            frame_length.to_bytes(4),
            commitment,
        )
    )


def read_header(
    fields: FieldReader,
    *,
    max_frame_length: int = MAX_FRAME_LENGTH,
    commitment_policy: CommitmentPolicy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    max_encrypted_data_keys: int = MAX_ENCRYPTED_DATA_KEYS,
) -> Header:
    """Read and check a message header.

    Args:
        fields: Gives the fields of the source, from its first byte on.
        max_frame_length: Largest frame length accepted, in bytes: what decryption may have to hold in memory.
        commitment_policy: Whether a message without key commitment is accepted.
        max_encrypted_data_keys: Most encrypted data keys accepted: each may cost a call.

    Raises:
        CommitmentRequired: The message does not commit to its key.
        MessageFormatError: Not a message, or a limit is exceeded.
        MessageTruncated: The message ends inside its header.
    """
    suite = _read_suite(fields)
    commitment_policy.check(suite)
    message_id = fields.take(suite.message_id_length, "the message id")
    context = parse_context(fields)
    if suite.signed != (VERIFICATION_KEY_NAME in context):
        has, kind = ("no ", "signed") if suite.signed else ("", "not signed")
        raise MessageFormatError(f"{has}{VERIFICATION_KEY_NAME} in the encryption context of a message that is {kind}")
    data_keys = parse_data_keys(fields, max_encrypted_data_keys)
    content_type = fields.unsigned(1, "the content type")
    if not suite.committing:
        _check_legacy_fields(fields)
    frame_length = fields.unsigned(4, "the frame length")
    _check_content(content_type, frame_length, max_frame_length)
    commitment = fields.take(COMMITMENT_LENGTH, "the key commitment") if suite.committing else b""
    body = fields.consumed
    iv = HEADER_IV if suite.committing else fields.take(IV_LENGTH, "the header's IV")
    tag = fields.take(TAG_LENGTH, "the header's authentication tag")
    return Header(suite, message_id, context, data_keys, frame_length, commitment, iv, tag, body)


def _read_suite(fields: FieldReader) -> AlgorithmSuite:
    version = fields.take(1, "the version")
    if version == _BASE64_VERSIONS:
        raise MessageFormatError("this looks like the Base64 text of a message: decode it to bytes first")
    if version[0] not in _VERSIONS:
        raise MessageFormatError(f"message format version {version[0]}; there are 1 and 2")
    if version[0] == 1 and (kind := fields.unsigned(1, "the message type")) != _LEGACY_TYPE:
        raise MessageFormatError(f"message type 0x{kind:02X}; only 0x{_LEGACY_TYPE:02X} is defined")
    return suite_of(fields.unsigned(2, "the algorithm suite id"), version=version[0])


def _check_legacy_fields(fields: FieldReader) -> None:
    if fields.unsigned(4, "the reserved field") != 0:
        raise MessageFormatError("the reserved field is not zero")
    if (length := fields.unsigned(1, "the IV length")) != IV_LENGTH:
        raise MessageFormatError(f"IVs of {length} bytes; every algorithm suite uses {IV_LENGTH}")


def _check_content(content_type: int, frame_length: int, max_frame_length: int) -> None:
    if content_type not in {UNFRAMED, FRAMED}:
        raise MessageFormatError(f"content type {content_type}; there are 1 (not framed) and 2 (framed)")
    if content_type == UNFRAMED and frame_length != 0:
        raise MessageFormatError(f"frame length {frame_length} in a message that is not framed")
    if content_type == FRAMED and not 1 <= frame_length <= max_frame_length:
        raise MessageFormatError(f"frame length {frame_length}; this reader accepts 1 to {max_frame_length} bytes")


@dataclass(frozen=True, slots=True)
class MessageResult:
    """Facts about one message, all authenticated.

    Args:
        plaintext_bytes: Length of the plaintext.
        ciphertext_bytes: Length of the message: header, frames and tags.
        encryption_context: The message's full encryption context, with the verification key of a signed message.
        key_arn: ARN of the KMS key that made or decrypted the data key; or the name of a wrapping key outside AWS KMS.
        algorithm_suite: The message's algorithm suite id.
    """

    plaintext_bytes: int
    ciphertext_bytes: int
    encryption_context: Mapping[str, str]
    key_arn: str
    algorithm_suite: int = AES_256_GCM_HKDF_SHA512_COMMIT_KEY.suite_id
