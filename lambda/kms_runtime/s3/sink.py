"""An S3 object as a binary file object that becomes visible only when it is complete.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Self, cast

from kms_runtime.errors import DestinationNotWritable, KmsRuntimeError, ObjectTooLarge
from kms_runtime.s3.location import S3Object, s3_errors
from kms_runtime.s3.parts import IN_FLIGHT, MAX_PARTS, PartBuffer, PartUploads, checksum, part_size_for, send_at_once

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LOG = logging.getLogger("kms_runtime")
_CHECKSUM: Final[Literal["CRC32"]] = "CRC32"


class S3Sink:
    """Writes one object; use it as a context manager and call ``complete`` as the last thing.

    Leaving the ``with`` block in any other way (an exception, Ctrl-C, no ``complete``) aborts: no object appears and no
    part stays behind. An object that fits into one part is one PutObject, a larger one a multipart upload whose parts
    travel while the next is being written; a part's failure is raised by a later ``write`` or by ``complete``.

    Args:
        location: The object to write; its ``version_id`` is ignored.
        expected_size: Upper bound of the object's size, in bytes: chooses the part size.
        s3_client: A ``boto3.client("s3")``.
        attributes: Parameters of PutObject and CreateMultipartUpload that describe the object: ``ContentType``,
            ``Metadata`` and the like.
        only_new: Whether an object that exists when this one is complete is kept, and ``complete`` raises
            PreconditionFailed or ConditionalRequestConflict.
        replaces: ETag that the object must have when this one is complete; any other is kept, as with ``only_new``.
        uploads: How many parts are on their way at a time; one more is held in memory.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

    Raises:
        ObjectTooLarge: ``expected_size`` exceeds 5 TiB.
    """

    def __init__(
        self,
        location: S3Object,
        *,
        expected_size: int,
        s3_client: "S3Client",
        attributes: Mapping[str, Any] | None = None,
        only_new: bool = False,
        replaces: str | None = None,
        uploads: int = IN_FLIGHT,
    ) -> None:
        self._location = S3Object(location.bucket, location.key)
        self._where: dict[str, Any] = {"Bucket": location.bucket, "Key": location.key}
        self._described: dict[str, Any] = {**(attributes or {}), **self._where, "ChecksumAlgorithm": _CHECKSUM}
        self._condition: dict[str, Any] = {"IfNoneMatch": "*"} if only_new else {}
        self._condition |= {"IfMatch": replaces} if replaces else {}
        self._s3 = s3_client
        send_at_once(s3_client)
        self._part_size = part_size_for(expected_size)
        self._uploads = PartUploads(self._upload_part, self._part_size, expected=expected_size, in_flight=uploads)
        self._part = self._uploads.spare()
        self._upload_id: str | None = None
        self._open = True

    def write(self, data: bytes | memoryview) -> int:
        """Take all of ``data``, which may be changed afterwards.

        Raises:
            DestinationNotWritable: Amazon S3 returned 403 or 404.
            ObjectTooLarge: More than 10,000 parts would be needed.
        """
        self._check_open()
        rest = memoryview(data)
        while rest:
            if not self._part.room:
                self._send_part()
            rest = rest[self._part.fill(rest) :]
        return len(data)

    def complete(self) -> S3Object:
        """Make the object visible and return its location, with the version if the bucket has versioning.

        Raises:
            DestinationNotWritable: Amazon S3 returned 403 or 404.
        """
        self._check_open()
        # Once only: what a second call would store is not what was written.
        self._open = False
        response = self._put() if self._upload_id is None else self._complete_upload(self._upload_id)
        return S3Object(self._location.bucket, self._location.key, response.get("VersionId"))

    def abort(self) -> None:
        """Discard what was written. A failure to do so is logged: the bucket's lifecycle rule cleans up then."""
        upload_id, self._upload_id, self._open = self._upload_id, None, False
        # A part that arrives after the abort would stay: those on their way must have ended.
        self._uploads.close()
        if upload_id is None:
            return
        try:
            with self._refusals():
                self._s3.abort_multipart_upload(**self._where, UploadId=upload_id)
        except KmsRuntimeError as error:
            _LOG.error("upload not aborted", extra={"destination": str(self._location), "errorCode": error.code})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError(f"{self._location} is completed or aborted and takes nothing more")

    def _put(self) -> Mapping[str, Any]:
        self._part.seek(0)
        with self._refusals():
            return self._s3.put_object(
                **self._described, **self._condition, Body=_body(self._part), ChecksumCRC32=checksum(self._part)
            )

    def _complete_upload(self, upload_id: str) -> Mapping[str, Any]:
        self._uploads.send(self._part)
        parts: list[Any] = self._uploads.finish()
        with self._refusals():
            response = self._s3.complete_multipart_upload(
                **self._where, UploadId=upload_id, MultipartUpload={"Parts": parts}, **self._condition
            )
        self._upload_id = None
        return response

    def _send_part(self) -> None:
        if len(self._uploads) == MAX_PARTS - 1:
            raise ObjectTooLarge(f"{self._location}: more than {MAX_PARTS} parts of {self._part_size} bytes")
        self._open = False  # whatever fails here, nothing that lacks a piece can be completed
        if self._upload_id is None:
            with self._refusals():
                self._upload_id = self._s3.create_multipart_upload(**self._described)["UploadId"]
        self._uploads.send(self._part)
        self._part = self._uploads.spare()
        self._open = True

    def _upload_part(self, number: int, part: PartBuffer) -> dict[str, Any]:
        with self._refusals():
            response = self._s3.upload_part(
                **self._where,
                UploadId=str(self._upload_id),
                PartNumber=number,
                Body=_body(part),
                ChecksumCRC32=checksum(part),
            )
        returned = {"ChecksumCRC32": response["ChecksumCRC32"]} if "ChecksumCRC32" in response else {}
        return {"PartNumber": number, "ETag": response["ETag"], **returned}

    def _refusals(self) -> AbstractContextManager[None]:
        return s3_errors(self._location, DestinationNotWritable)


def _body(part: PartBuffer) -> IO[bytes]:
    """Return ``part`` as what the AWS SDK's types ask for: it reads and seeks, no more."""
    return cast("IO[bytes]", part)
