"""An S3 object as a binary file object that survives broken connections but no change of the object.

See https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError
from urllib3.exceptions import HTTPError

from kms_runtime.aws_errors import AwsError
from kms_runtime.errors import SourceChanged, SourceCorrupted, SourceInterrupted, SourceNotReadable
from kms_runtime.s3.location import S3Object, http_status, s3_errors
from kms_runtime.streams import Closing

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

RESUME_LIMIT = 5
_BROKEN = (BotoCoreError, HTTPError, OSError)
_PRECONDITION_FAILED = 412
_RANGE_NOT_SATISFIABLE = 416

ATTRIBUTES: Final = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "WebsiteRedirectLocation",
)
"""What GetObject returns and PutObject takes of an object besides its bytes, without a further permission.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""


class _Bounds(TypedDict, total=False):
    Range: str
    IfMatch: str


class S3Source(Closing):
    """Reads one version of an object from start to end; use it as a context manager.

    If the stream breaks, reading goes on with a ranged GetObject that is bound to the ETag of the first response. It
    names no version unless the caller did: naming one takes ``s3:GetObjectVersion``, not just ``s3:GetObject``.

    Args:
        location: The object.
        s3_client: A ``boto3.client("s3")``.
        resume_limit: How often in a row the stream may break without a byte in between.
        byte_range: First byte, and the byte before which to stop. Defaults to the whole object.
        etag: ETag that the object must have.

    Attributes:
        request: The object as it was asked for.
        location: The object, with the version that was read if the bucket has versioning.
        call_per_request: Whether each request for it costs a call to AWS KMS: SSE-KMS without a Bucket Key.
        etag: Its ETag.
        size: Its size in bytes.
        attributes: What it has of ``ATTRIBUTES``, as parameters of PutObject.
        modified: When it was written, if Amazon S3 says so.
        tag_count: How many tags it has; 0 also if the caller lacks ``s3:GetObjectTagging``.

    Raises:
        SourceNotReadable: Amazon S3 returned 403 or 404.
        SourceChanged: The object has another ETag.
    """

    def __init__(
        self,
        location: S3Object,
        *,
        s3_client: "S3Client",
        resume_limit: int = RESUME_LIMIT,
        byte_range: tuple[int, int] | None = None,
        etag: str | None = None,
    ) -> None:
        self._s3 = s3_client
        self.request = location
        self._resume_limit = resume_limit
        self._breaks = 0
        self._closed = False
        self.location = location
        self._position = byte_range[0] if byte_range else 0
        bounds: _Bounds = {"Range": f"bytes={byte_range[0]}-{byte_range[1] - 1}"} if byte_range else {}
        if etag:
            bounds["IfMatch"] = etag
        response = self._get(bounds)
        if byte_range:
            _check_range(response, byte_range, location)
        self._body = response["Body"]
        self.etag: str = response["ETag"]
        self.attributes = {name: response[name] for name in ATTRIBUTES if response.get(name)}
        self.modified: datetime | None = response.get("LastModified")
        self.tag_count: int = response.get("TagCount", 0)
        under_kms = str(response.get("ServerSideEncryption", "")).startswith("aws:kms")
        self.call_per_request: bool = under_kms and not response.get("BucketKeyEnabled", False)
        self._end = self._position + response["ContentLength"]
        # A ranged response gives the size of the whole object as ``bytes 0-99/12345``.
        self.size: int = int(response["ContentRange"].rpartition("/")[2]) if byte_range else self._end
        version = response.get("VersionId")
        self.location = S3Object(location.bucket, location.key, location.version_id or version)

    @classmethod
    def beginning(cls, location: S3Object, size: int, *, s3_client: "S3Client") -> Self:
        """Return the source of the object's first ``size`` bytes, or of all of it if it has none.

        Raises:
            SourceNotReadable: Amazon S3 returned 403 or 404.
        """
        try:
            return cls(location, s3_client=s3_client, byte_range=(0, size))
        except AwsError as error:
            if error.code != "InvalidRange":  # what Amazon S3 answers for a range of an empty object
                raise
        return cls(location, s3_client=s3_client)

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer`` and return how many bytes; 0 only at the object's end.

        Raises:
            SourceChanged: The object was replaced since the first byte.
            SourceCorrupted: The whole object was received and does not match its checksum in Amazon S3.
            SourceInterrupted: The stream broke too often.
        """
        while True:
            try:
                got: int = self._body.readinto(buffer)
            except FlexibleChecksumError as error:
                raise SourceCorrupted(f"{self.location}: {error}") from error
            except _BROKEN as error:
                self._resume(error)
                continue
            if got or self._position == self._end or not buffer:
                self._position += got
                self._breaks = 0 if got else self._breaks
                return got
            self._resume(None)

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes; all that is left if negative."""
        buffer = bytearray(size if size >= 0 else self._end - self._position)
        with memoryview(buffer) as view:
            got = self.readinto(view)
            while size < 0 and got < len(buffer):
                got += self.readinto(view[got:])
        return bytes(buffer[:got])

    def close(self) -> None:
        """Give the connection back; a thread that is reading meanwhile asks for no other."""
        self._closed = True
        self._release()

    def _resume(self, cause: Exception | None) -> None:
        """Ask for the rest of the same object."""
        self._release()
        self._breaks += 1
        where = f"{self.location} at byte {self._position} of {self.size}"
        if self._closed:
            raise SourceInterrupted(f"{where}: it is closed") from cause
        if self._breaks > self._resume_limit:
            raise SourceInterrupted(f"{where}: the stream broke {self._breaks} times in a row") from cause
        time.sleep(min(0.1 * 2**self._breaks, 5.0))
        last = self._end - 1 if self._end < self.size else ""
        response = self._get({"Range": f"bytes={self._position}-{last}", "IfMatch": self.etag})
        expected = f"bytes {self._position}-{self._end - 1}/{self.size}"
        if response["ETag"] != self.etag or response.get("ContentRange") != expected:
            raise self._replaced()
        self._body = response["Body"]
        if self._closed:
            self._release()

    def _release(self) -> None:
        with suppress(*_BROKEN):
            self._body.close()

    def _get(self, bounds: _Bounds) -> Mapping[str, Any]:
        with s3_errors(self.location, SourceNotReadable):
            try:
                return self._s3.get_object(**self.request.parameters, **bounds)
            except ClientError as error:
                if "IfMatch" in bounds and http_status(error) in {_PRECONDITION_FAILED, _RANGE_NOT_SATISFIABLE}:
                    raise self._replaced() from error
                raise

    def _replaced(self) -> SourceChanged:
        return SourceChanged(f"{self.location} at byte {self._position}: the object was replaced while it was read")


def _check_range(response: Mapping[str, Any], asked: tuple[int, int], location: S3Object) -> None:
    """Refuse other bytes than were asked for, which a server may send and which would be taken for these.

    Raises:
        SourceInterrupted: The response has another range, or none.
    """
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", str(response.get("ContentRange")))
    start, end = asked
    if found is None or [int(found[1]), int(found[2]) + 1] != [start, min(end, int(found[3]))]:
        raise SourceInterrupted(
            f"{location}: bytes {start}-{end - 1} were asked for, {response.get('ContentRange')} came"
        )
