"""Byte ranges of one S3 object, all of the same version of it.

See https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html#API_GetObject_RequestSyntax
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kms_runtime.envelope.ranged import decrypt_range
from kms_runtime.envelope.result import MessageResult
from kms_runtime.keyrings import Keyring
from kms_runtime.s3.location import S3Object
from kms_runtime.s3.source import S3Source
from kms_runtime.streams import Sink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


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
