"""One S3 object encrypted or decrypted into another, in constant memory, all or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from kms_runtime.envelope.messages import decrypt, encrypt
from kms_runtime.envelope.result import MessageResult
from kms_runtime.errors import InvalidRequest
from kms_runtime.keyrings import Keyring
from kms_runtime.message.frames import FRAME_OVERHEAD
from kms_runtime.message.header import DEFAULT_FRAME_LENGTH
from kms_runtime.s3.location import S3Object
from kms_runtime.s3.read_ahead import read_ahead
from kms_runtime.s3.sink import S3Sink
from kms_runtime.s3.source import S3ReadClient, S3Source
from kms_runtime.s3.write_client import S3WriteClient

_HEADER_ALLOWANCE = 128 * 1024


class S3Client(S3ReadClient, S3WriteClient, Protocol):
    """A ``boto3.client("s3")``."""


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """Which version was read, which was written, and the message between them; ``etag`` is the source's."""

    source: S3Object
    destination: S3Object
    message: MessageResult
    etag: str


def encrypt_object(
    source: S3Object,
    destination: S3Object,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    s3_client: S3Client,
) -> ObjectResult:
    """Encrypt ``source`` into ``destination``, which appears only when it is complete.

    Args:
        source: Plaintext object, up to 5 TiB less 0.02 %.
        destination: Where the message goes; not the source.
        keyring: Makes the data key: one call.
        encryption_context: Bound to the message and stored in it in plaintext.
        s3_client: A ``boto3.client("s3")`` that may read the source and write the destination.

    Raises:
        InvalidRequest: Source and destination are the same object.
        SourceNotReadable, SourceChanged, SourceCorrupted, SourceInterrupted: The source cannot be read to its end.
        DestinationNotWritable, ObjectTooLarge: The destination cannot be written.
        AwsError: AWS refused; the class name is its error code.
    """
    _check_distinct(source, destination)
    with S3Source(source, s3_client=s3_client) as reader:
        frames = reader.size // DEFAULT_FRAME_LENGTH + 1
        expected = reader.size + frames * FRAME_OVERHEAD + _HEADER_ALLOWANCE
        with S3Sink(destination, expected_size=expected, s3_client=s3_client) as sink, read_ahead(reader) as ahead:
            message = encrypt(ahead, sink, keyring=keyring, encryption_context=encryption_context)
            return ObjectResult(reader.location, sink.complete(), message, reader.etag)


def decrypt_object(
    source: S3Object,
    destination: S3Object,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    s3_client: S3Client,
) -> ObjectResult:
    """Decrypt ``source`` into ``destination``, which appears only after the last frame was verified.

    Args:
        source: Object that holds one message and nothing else.
        destination: Where the plaintext goes; not the source.
        keyring: Recovers the data key: one call.
        encryption_context: Pairs that the message's encryption context must contain, compared before any KMS call.
        s3_client: A ``boto3.client("s3")`` that may read the source and write the destination.

    Raises:
        InvalidRequest: Source and destination are the same object.
        EncryptionContextMismatch, MessageFormatError, MessageTruncated, MessageAuthenticationFailed: As ``decrypt``.
        SourceNotReadable, SourceChanged, SourceCorrupted, SourceInterrupted: The source cannot be read to its end.
        DestinationNotWritable, ObjectTooLarge: The destination cannot be written.
        AwsError: AWS refused; the class name is its error code.
    """
    _check_distinct(source, destination)
    with (
        S3Source(source, s3_client=s3_client) as reader,
        S3Sink(destination, expected_size=reader.size, s3_client=s3_client) as sink,
        read_ahead(reader) as ahead,
    ):
        message = decrypt(ahead, sink, keyring=keyring, encryption_context=encryption_context)
        return ObjectResult(reader.location, sink.complete(), message, reader.etag)


def _check_distinct(source: S3Object, destination: S3Object) -> None:
    if (source.bucket, source.key) == (destination.bucket, destination.key):
        raise InvalidRequest(f"{source} would be overwritten by its own result; give another destination")
