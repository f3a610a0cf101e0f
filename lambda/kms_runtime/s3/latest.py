"""Ensures the destination reflects the newest source version, even when invocations finish out of order.

Two versions of an object are two events, which two functions may process at once. The one that read the older version
may end last and overwrite the result of the newer one for good. So each transfer looks at its source once more after
it has written. An object that is replaced after that look has an event of its own, which comes after that write.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from kms_runtime.aws_errors import typed_errors
from kms_runtime.errors import SourceChanged
from kms_runtime.s3.location import FORBIDDEN_OR_MISSING, S3Object, http_status
from kms_runtime.s3.transfer import ObjectResult

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

ATTEMPTS = 3


def transfer_latest(source: S3Object, transfer: Callable[[], ObjectResult], s3_client: "S3Client") -> ObjectResult:
    """Transfer ``source``, and again if it was replaced meanwhile; a version that the caller names is transferred once.

    Args:
        source: What is read.
        transfer: ``encrypt_object`` or ``decrypt_object`` with all of its arguments.
        s3_client: A ``boto3.client("s3")`` that may HeadObject, which needs ``s3:GetObject`` and no KMS key.

    Raises:
        SourceChanged: It was replaced during each of ``ATTEMPTS`` transfers: let the event come again.
        KmsRuntimeError: What ``transfer`` raises.
    """
    for _ in range(ATTEMPTS):
        result = transfer()
        if source.version_id or current_etag(source, s3_client) in {result.etag, None}:
            return result
    raise SourceChanged(f"{source}: the object was replaced during each of {ATTEMPTS} transfers")


def current_etag(source: S3Object, s3_client: "S3Client") -> str | None:
    """Return the current ETag, None if the object is gone: what was made of it may stay."""
    found = head(source, s3_client)
    return found["ETag"] if found else None


def head(place: S3Object, s3_client: "S3Client") -> "HeadObjectOutputTypeDef | None":
    """Return what Amazon S3 says of an object; None for 404, and for 403, which callers get that may not list."""
    with typed_errors("Amazon S3"):
        try:
            return s3_client.head_object(**place.parameters)
        except ClientError as error:
            if http_status(error) in FORBIDDEN_OR_MISSING:
                return None
            raise
