"""The latest version of an object is what arrives, in whatever order the functions that carry it end.

Two versions of an object are two events, which two functions may process at once. The one that read the older version
may end last and put it over the newer one, for good: nobody would be told. So whoever has written looks once more at
what it has read. An object that is replaced after that look has an event of its own, which comes after that write.
"""

from collections.abc import Callable
from typing import Any, Protocol

from botocore.exceptions import ClientError

from kms_runtime.aws_errors import typed_errors
from kms_runtime.errors import SourceChanged
from kms_runtime.s3.location import S3Object
from kms_runtime.s3.transfer import ObjectResult

ATTEMPTS = 3
_GONE = {403, 404}


class S3HeadClient(Protocol):
    """The operation of a boto3 S3 client that looks at an object; needs ``s3:GetObject`` and no KMS key."""

    def head_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        """Call https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html."""


def transfer_latest(
    transfer: Callable[..., ObjectResult],
    source: S3Object,
    destination: S3Object,
    *,
    s3_client: S3HeadClient,
    **common: Any,
) -> ObjectResult:
    """Transfer ``source``, and again if it was replaced meanwhile; a version that the caller names is transferred once.

    Args:
        transfer: ``encrypt_object`` or ``decrypt_object``.
        source: What to read.
        destination: What to write.
        s3_client: A ``boto3.client("s3")``.
        common: Further arguments of ``transfer``.

    Raises:
        SourceChanged: It was replaced during each of ``ATTEMPTS`` transfers: let the event come again.
        KmsRuntimeError: What ``transfer`` raises.
    """
    for _ in range(ATTEMPTS):
        result = transfer(source, destination, s3_client=s3_client, **common)
        if source.version_id or current_etag(source, s3_client) in {result.etag, None}:
            return result
    raise SourceChanged(f"{source}: the object was replaced during each of {ATTEMPTS} transfers")


def current_etag(source: S3Object, s3_client: S3HeadClient) -> str | None:
    """Return the current ETag, None if the object is gone: what was made of it may stay."""
    with typed_errors("Amazon S3"):
        try:
            return str(s3_client.head_object(**source.parameters)["ETag"])
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _GONE:
                return None
            raise
