"""Random bytes from the hardware security modules of AWS KMS.

See https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateRandom.html
"""

from typing import TYPE_CHECKING

from kms_runtime.aws_errors import KMSInternalException, typed_errors
from kms_runtime.errors import InvalidRequest

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

RANDOM_LIMIT = 1024
"""Bytes that one call of GenerateRandom returns at most."""


def random_bytes(count: int, kms_client: "KMSClient") -> bytes:
    """Return ``count`` random bytes that were made inside a hardware security module.

    For seeds that must come from a validated module. ``os.urandom`` is as unpredictable and costs no call. The
    caller needs ``kms:GenerateRandom``, which has no resource: IAM accepts ``"Resource": "*"`` only, and none of our
    constructs grants it.

    Args:
        count: 1 to 1024.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        InvalidRequest: ``count`` is not from 1 to 1024; AWS KMS is not called.
        KMSInternalException: AWS KMS returned another number of bytes.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= RANDOM_LIMIT:
        raise InvalidRequest(f"{count!r} random bytes; AWS KMS GenerateRandom makes 1 to {RANDOM_LIMIT} in a call")
    with typed_errors("AWS KMS"):
        found = bytes(kms_client.generate_random(NumberOfBytes=count)["Plaintext"])
    if len(found) != count:
        message = f"GenerateRandom returned {len(found)} bytes, not {count}"
        raise KMSInternalException(message, operation="GenerateRandom")
    return found
