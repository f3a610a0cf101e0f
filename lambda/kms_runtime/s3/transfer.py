"""Amazon S3 objects as constant-memory streams: one object encrypted or decrypted into another, or a range of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlencode

from kms_runtime.envelope.decrypting import decrypt
from kms_runtime.envelope.encrypting import encrypt
from kms_runtime.envelope.ranged import decrypt_range
from kms_runtime.errors import InvalidRequest, SourceNotReadable
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.message.frames import FRAME_OVERHEAD
from kms_runtime.message.header import DEFAULT_FRAME_LENGTH, MessageResult
from kms_runtime.s3.location import S3Object, s3_errors
from kms_runtime.s3.ranged_reads import ONE_STREAM, S3Concurrency, opened
from kms_runtime.s3.sink import S3Sink
from kms_runtime.s3.source import S3Source
from kms_runtime.streams import Sink, Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


_HEADER_ALLOWANCE = 128 * 1024

Tags = Literal["refuse", "carry", "drop"]
"""What happens to the tags of a source object: see ``encrypt_object``."""


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
    s3_client: "S3Client",
    tags: Tags = "refuse",
    concurrency: S3Concurrency = ONE_STREAM,
) -> ObjectResult:
    """Encrypt ``source`` into ``destination``, which appears only when it is complete.

    The destination has the source's Content-Type, Content-Encoding, other headers and user metadata
    (``kms_runtime.s3.source.ATTRIBUTES``), in plaintext and not authenticated, so that decryption restores them.

    Args:
        source: Plaintext object, up to 5 TiB less 0.02 %.
        destination: Where the message goes; not the source.
        keyring: Makes the data key: one call.
        encryption_context: Bound to the message and stored in it in plaintext.
        s3_client: A ``boto3.client("s3")`` that may read the source and write the destination.
        tags: ``carry`` gives the destination the source's tags, which takes ``s3:GetObjectTagging`` and
            ``s3:PutObjectTagging``; ``drop`` leaves them behind; ``refuse`` raises if the source has any. Amazon S3
            shows tags only to callers with ``s3:GetObjectTagging``: without it, ``refuse`` acts as ``drop``.
        concurrency: How many requests are under way at a time. Defaults to one download and two uploads.

    Raises:
        InvalidRequest: Source and destination are the same object, or the source has tags and ``tags`` is ``refuse``.
        SourceNotReadable, SourceChanged, SourceCorrupted, SourceInterrupted: The source cannot be read to its end.
        DestinationNotWritable, ObjectTooLarge: The destination cannot be written.
        AwsError: AWS refused; the class name is its error code.
    """
    run = partial(encrypt, keyring=keyring, encryption_context=encryption_context)
    return _transferred(source, destination, run, message_size, tags=tags, concurrency=concurrency, s3_client=s3_client)


def decrypt_object(
    source: S3Object,
    destination: S3Object,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    s3_client: "S3Client",
    tags: Tags = "refuse",
    concurrency: S3Concurrency = ONE_STREAM,
) -> ObjectResult:
    """Decrypt ``source`` into ``destination``, which appears only after the last frame was verified.

    The destination has the source's headers and user metadata, which are not authenticated.

    Args:
        source: Object that holds one message and nothing else.
        destination: Where the plaintext goes; not the source.
        keyring: Recovers the data key: one call.
        encryption_context: Pairs that the message's encryption context must contain: see ``kms_runtime.decrypt``.
        s3_client: A ``boto3.client("s3")`` that may read the source and write the destination.
        tags: As for ``encrypt_object``.
        concurrency: As for ``encrypt_object``.

    Raises:
        EncryptionContextMismatch, MessageFormatError, MessageTruncated, MessageAuthenticationFailed: As ``decrypt``.
        KmsRuntimeError: What ``encrypt_object`` raises.
    """
    run = partial(decrypt, keyring=keyring, encryption_context=encryption_context)
    return _transferred(source, destination, run, int, tags=tags, concurrency=concurrency, s3_client=s3_client)


def _transferred(
    source: S3Object,
    destination: S3Object,
    run: Callable[[Source, Sink], MessageResult],
    size: Callable[[int], int],
    *,
    tags: Tags,
    concurrency: S3Concurrency,
    s3_client: "S3Client",
) -> ObjectResult:
    """Write what ``run`` makes of the source; ``size`` makes an upper bound of what is written from what is read."""
    if (source.bucket, source.key) == (destination.bucket, destination.key):
        raise InvalidRequest(f"{source} would be overwritten by its own result; give another destination")
    with opened(source, s3_client=s3_client, concurrency=concurrency) as (reader, stream):
        attributes = carried_attributes(reader, source, tags, s3_client)
        with S3Sink(
            destination,
            expected_size=size(reader.size),
            s3_client=s3_client,
            attributes=attributes,
            uploads=concurrency.uploads,
        ) as sink:
            message = run(stream, sink)
            return ObjectResult(reader.location, sink.complete(), message, reader.etag)


def message_size(plaintext_bytes: int) -> int:
    """Return an upper bound of the size of the message around a plaintext, in bytes."""
    frames = plaintext_bytes // DEFAULT_FRAME_LENGTH + 1
    return plaintext_bytes + frames * FRAME_OVERHEAD + _HEADER_ALLOWANCE


def carried_attributes(reader: S3Source, source: S3Object, tags: Tags, s3_client: "S3Client") -> dict[str, Any]:
    """Return the parameters of PutObject that give the destination the source's headers, metadata and tags.

    Raises:
        InvalidRequest: The source has tags and ``tags`` is ``refuse``, or ``tags`` is another word.
        SourceNotReadable: Amazon S3 returned 403 or 404 for the tags.
    """
    if tags not in get_args(Tags):
        raise InvalidRequest(f"tags={tags!r}: give one of {', '.join(get_args(Tags))}")
    if tags == "refuse" and reader.tag_count:
        raise InvalidRequest(
            f'{source} has {reader.tag_count} tags: tags="carry" copies them (s3:GetObjectTagging, '
            's3:PutObjectTagging), tags="drop" leaves them behind'
        )
    if tags != "carry":
        return reader.attributes
    with s3_errors(source, SourceNotReadable):
        found = s3_client.get_object_tagging(**source.parameters)["TagSet"]
    tagging = urlencode([(tag["Key"], tag["Value"]) for tag in found])
    return reader.attributes | ({"Tagging": tagging} if tagging else {})


class S3Range:
    """One object to read ranges of; every range after the first is bound to the first response's ETag.

    Args:
        location: The object.
        s3_client: A ``boto3.client("s3")``.
    """

    def __init__(self, location: S3Object, *, s3_client: "S3Client") -> None:
        self.location = self._requested = location
        self._s3 = s3_client
        self._etag: str | None = None
        self._size = 0

    @property
    def size(self) -> int:
        """Size of the object in bytes, known once a range was opened."""
        return self._size

    def open_range(self, start: int, end: int) -> S3Source:
        """Return a source of the bytes from ``start`` up to, not with, ``end``; fewer if the object is shorter.

        Raises:
            SourceNotReadable: Amazon S3 returned 403 or 404.
            SourceChanged: The object was replaced since the first range.
        """
        source = S3Source(self._requested, s3_client=self._s3, byte_range=(start, end), etag=self._etag)
        self._etag, self._size, self.location = source.etag, source.size, source.location
        return source


def decrypt_object_range(
    source: S3Object,
    sink: Sink,
    *,
    start: int,
    length: int,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    s3_client: "S3Client",
) -> MessageResult:
    """Decrypt ``length`` bytes from byte ``start`` of the plaintext of ``source``; two GetObject calls, one of AWS KMS.

    Arguments, guarantees and errors as for ``kms_runtime.decrypt_range``, and the errors of ``S3Range``.
    """
    return decrypt_range(
        S3Range(source, s3_client=s3_client),
        sink,
        start=start,
        length=length,
        keyring=keyring,
        encryption_context=encryption_context,
    )
