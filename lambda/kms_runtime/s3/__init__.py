"""Amazon S3 objects as constant-memory streams: encrypt or decrypt one object into another.

Needs ``botocore``; import it explicitly, ``import kms_runtime`` alone does not.
"""

from kms_runtime.s3.location import S3Object
from kms_runtime.s3.ranged_reads import S3Concurrency
from kms_runtime.s3.sink import S3Sink
from kms_runtime.s3.source import S3Source
from kms_runtime.s3.transfer import ObjectResult, S3Range, decrypt_object, decrypt_object_range, encrypt_object

__all__ = [
    "ObjectResult",
    "S3Concurrency",
    "S3Object",
    "S3Range",
    "S3Sink",
    "S3Source",
    "decrypt_object",
    "decrypt_object_range",
    "encrypt_object",
]
