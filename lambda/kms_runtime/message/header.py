"""The header of a message: who can decrypt it, under which context, in frames of which length."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kms_runtime.errors import MessageFormatError
from kms_runtime.message.commitment import CommitmentPolicy
from kms_runtime.message.context import VERIFICATION_KEY_NAME, parse_context
from kms_runtime.message.data_keys import EncryptedDataKey, parse_data_keys, serialize_data_keys
from kms_runtime.message.fields import FieldReader
from kms_runtime.message.keys import HEADER_IV
from kms_runtime.message.suite import COMMITMENT_LENGTH, IV_LENGTH, TAG_LENGTH, AlgorithmSuite, suite_of

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
) -> Header:
    """Read and check a message header.

    Args:
        fields: Gives the fields of the source, from its first byte on.
        max_frame_length: Largest frame length accepted, in bytes: what decryption may have to hold in memory.
        commitment_policy: Whether a message without key commitment is accepted.

    Raises:
        CommitmentRequired: The message does not commit to its key.
        MessageFormatError: Not a message, or a limit is exceeded.
        MessageTruncated: The message ends inside its header.
    """
    suite = _read_suite(fields)
    commitment_policy.check(suite)
    message_id = fields.take(suite.message_id_length, "the message id")
    context = parse_context(fields)
    _check_verification_key(suite, context)
    data_keys = parse_data_keys(fields)
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


def _check_verification_key(suite: AlgorithmSuite, context: Mapping[str, str]) -> None:
    if suite.signed != (VERIFICATION_KEY_NAME in context):
        has, kind = ("no ", "signed") if suite.signed else ("", "not signed")
        raise MessageFormatError(f"{has}{VERIFICATION_KEY_NAME} in the encryption context of a message that is {kind}")


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
