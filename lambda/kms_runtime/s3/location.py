"""The location of an object, and typed errors for the refusals of Amazon S3."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from botocore.exceptions import ClientError

from kms_runtime.aws_errors import typed_errors
from kms_runtime.errors import InvalidRequest, KmsRuntimeError

FORBIDDEN_OR_MISSING = {403, 404}


class ObjectParameters(TypedDict):
    """Which object an S3 operation is about."""

    Bucket: str
    Key: str
    VersionId: NotRequired[str]


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object, or one version of it.

    Args:
        bucket: Bucket name.
        key: Object key, as it is (not URL-encoded).
        version_id: Version; None for the current one.

    Raises:
        InvalidRequest: One of them is not Unicode text (a lone surrogate).
    """

    bucket: str
    key: str
    version_id: str | None = None

    def __post_init__(self) -> None:
        try:
            str(self).encode()
        except UnicodeEncodeError:
            raise InvalidRequest(f"the object {self.key!r} is not named in Unicode text") from None

    def __str__(self) -> str:
        """Return the object as an S3 URI, with its version if it has one."""
        return f"s3://{self.bucket}/{self.key}" + (f"?versionId={self.version_id}" if self.version_id else "")

    @property
    def parameters(self) -> ObjectParameters:
        """The location as parameters of an S3 operation that reads."""
        if self.version_id:
            return {"Bucket": self.bucket, "Key": self.key, "VersionId": self.version_id}
        return {"Bucket": self.bucket, "Key": self.key}

    def as_response(self) -> dict[str, str]:
        """Return the location as it is written in the responses of the Lambda functions."""
        version = {"versionId": self.version_id} if self.version_id else {}
        return {"bucket": self.bucket, "key": self.key, **version}


def http_status(error: ClientError) -> int | None:
    """Return the status of the response that ``error`` is about, if there was one."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")


@contextmanager
def s3_errors(location: S3Object, refused: type[KmsRuntimeError]) -> Iterator[None]:
    """Raise S3's 403 and 404 as ``refused``, other AWS errors under AWS's own code.

    Amazon S3 also returns 403 if *it* may not use the bucket's KMS key for the caller: its message says so.
    """
    with typed_errors("Amazon S3"):
        try:
            yield
        except ClientError as error:
            if http_status(error) not in FORBIDDEN_OR_MISSING:
                raise
            detail = error.response.get("Error", {})
            message = f"{location}: {detail.get('Code')}: {detail.get('Message')}"
            raise refused(message, operation=error.operation_name) from error
