"""Answers a request for one byte range of an encrypted object."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kms_runtime.envelope.ranged import decrypt_range
from kms_runtime.handlers.validation import Response, encode_base64
from kms_runtime.keyrings import Keyring
from kms_runtime.s3 import S3Object, S3Range

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_range(
    source: S3Object,
    byte_range: tuple[int, int],
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    s3_client: "S3Client",
) -> Response:
    """Return the plaintext of ``byte_range`` (first byte, number of bytes) and what it belongs to."""
    start, length = byte_range
    message, plaintext = S3Range(source, s3_client=s3_client), io.BytesIO()
    result = decrypt_range(
        message, plaintext, start=start, length=length, keyring=keyring, encryption_context=encryption_context
    )
    return {
        "source": message.location.as_response(),
        "range": {"start": start, "length": result.plaintext_bytes},
        "plaintext": encode_base64(plaintext.getvalue()),
        "algorithmSuite": f"0x{result.algorithm_suite:04X}",
        "encryptionContext": dict(result.encryption_context),
    }
