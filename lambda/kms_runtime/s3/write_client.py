"""The operations of a boto3 S3 client that writing an object needs."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol


class S3WriteClient(Protocol):
    """A ``boto3.client("s3")``, or anything with these five operations."""

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: Any,  # noqa: N803
        ChecksumAlgorithm: Literal["CRC32"],  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html."""

    def create_multipart_upload(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        ChecksumAlgorithm: Literal["CRC32"],  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html."""

    def upload_part(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        PartNumber: int,  # noqa: N803
        Body: Any,  # noqa: N803
        ChecksumAlgorithm: Literal["CRC32"],  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html."""

    def complete_multipart_upload(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        MultipartUpload: Any,  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html."""

    def abort_multipart_upload(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
    ) -> Mapping[str, Any]:
        """Call https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html."""
