"""Ensures the destination reflects the newest source version, even when invocations finish out of order.

Two versions of an object are two events, which two functions may process at once. The one that read the older version
may end last and overwrite the result of the newer one for good. So each transfer looks at its source once more after
it has written. An object that is replaced after that look has an event of its own, which comes after that write.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from kms_runtime.aws_errors import typed_errors
from kms_runtime.errors import SourceChanged
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.s3.location import S3Object
from kms_runtime.s3.transfer import ObjectResult, Tags

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

ATTEMPTS = 3
_GONE = {403, 404}


class Transfer(Protocol):
    """``encrypt_object`` or ``decrypt_object``."""

    def __call__(
        self,
        source: S3Object,
        destination: S3Object,
        *,
        keyring: Keyring,
        encryption_context: Mapping[str, str],
        s3_client: "S3Client",
        tags: Tags = ...,
    ) -> ObjectResult:
        """Transfer one object."""


def transfer_latest(
    transfer: Transfer,
    source: S3Object,
    destination: S3Object,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    s3_client: "S3Client",
    tags: Tags = "refuse",
) -> ObjectResult:
    """Transfer ``source``, and again if it was replaced meanwhile; a version that the caller names is transferred once.

    Args:
        transfer: ``encrypt_object`` or ``decrypt_object``, which documents the further arguments.
        source: What to read.
        destination: What to write.
        keyring: Makes or recovers the data key: one call per transfer.
        encryption_context: Of the message.
        s3_client: A ``boto3.client("s3")`` that may also HeadObject, which needs ``s3:GetObject`` and no KMS key.
        tags: What happens to the source's tags.

    Raises:
        SourceChanged: It was replaced during each of ``ATTEMPTS`` transfers: let the event come again.
        KmsRuntimeError: What ``transfer`` raises.
    """
    for _ in range(ATTEMPTS):
        result = transfer(
            source, destination, keyring=keyring, encryption_context=encryption_context, s3_client=s3_client, tags=tags
        )
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
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _GONE:
                return None
            raise
