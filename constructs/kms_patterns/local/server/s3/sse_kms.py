"""SSE-KMS: which key a write uses, the data key that S3 asks KMS for as the caller, and its decryption on reads.

The wrapped data key rides with the object among its stored headers, so that versions, copies and multipart uploads
keep it. The body at rest is not encrypted: what is proved here is who may use the key, and KMS decides that. With a
Bucket Key, S3 reuses one answer of KMS for a while; here KMS is asked every time, so that no refusal hides in a cache.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from kms_patterns.local.server.emulator.emulator import S3, reach
from kms_patterns.local.server.kms.key_records import managed_key
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, access_denied
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.s3.s3_operations import S3Request

ALGORITHM = "x-amz-server-side-encryption"
KEY_ID = "x-amz-server-side-encryption-aws-kms-key-id"
BUCKET_KEY = "x-amz-server-side-encryption-bucket-key-enabled"
CONTEXT = "x-amz-server-side-encryption-context"
# Stored with the object, taken out of every response.
DATA_KEY = "x-kms-patterns-data-key"


@dataclass(frozen=True)
class WrappedDataKey:
    """An object's data key, encrypted under a KMS key; ``requested_key`` is what the writer's header named."""

    blob: str
    context: dict[str, str]
    requested_key: str | None

    @staticmethod
    def stored_with(headers: Mapping[str, str]) -> "WrappedDataKey | None":
        """Return the data key among an object's or upload's stored headers."""
        raw = headers.get(DATA_KEY)
        return WrappedDataKey(**json.loads(raw)) if raw else None


def new_data_key(kms: KmsService, request: S3Request | None, headers: Mapping[str, str], bucket: str) -> dict[str, str]:
    """Return the headers to store with an object written under SSE-KMS, after KMS gave a data key to the caller.

    Raises:
        KmsError: KMS refused the caller, or the object is not known (form uploads).
    """
    request = _known(request)
    default = reach(S3, "_bucket_default_sse_headers")(bucket)
    inherits = not headers.get(ALGORITHM)
    named = default.get(KEY_ID) if inherits else headers.get(KEY_ID)
    bucket_key = _bucket_key(headers, bucket)
    of_object = _object_context(request, headers)
    context = {"aws:s3:arn": f"arn:aws:s3:::{bucket}"} if bucket_key else of_object
    answer = kms.perform(KmsCall(
        "GenerateDataKey",
        {"KeyId": named or managed_key("s3")["Arn"], "KeySpec": "AES_256", "EncryptionContext": context},
        request.caller,
        via="s3",
    ))  # fmt: skip
    wrapped = WrappedDataKey(answer["CiphertextBlob"], context, headers.get(KEY_ID))
    stored = {ALGORITHM: "aws:kms", KEY_ID: answer["KeyId"], DATA_KEY: json.dumps(asdict(wrapped))}
    return stored | ({BUCKET_KEY: "true"} if bucket_key else {})


def open_data_key(kms: KmsService, request: S3Request | None, stored: Mapping[str, str]) -> None:
    """Have KMS decrypt an object's data key for the caller; nothing to do for an object without one.

    Raises:
        KmsError: KMS refused.
    """
    wrapped = WrappedDataKey.stored_with(stored)
    if wrapped is None:
        return
    decryption = {"CiphertextBlob": wrapped.blob, "EncryptionContext": wrapped.context, "KeyId": stored[KEY_ID]}
    kms.perform(KmsCall("Decrypt", decryption, _known(request).caller, via="s3"))


def _known(request: S3Request | None) -> S3Request:
    if request is None or not request.key:
        raise access_denied("The embedded AWS cannot tell the object or the caller of this access under SSE-KMS.")
    return request


def _bucket_key(headers: Mapping[str, str], bucket: str) -> bool:
    if BUCKET_KEY in headers:
        return headers[BUCKET_KEY].lower() == "true"
    configuration = reach(S3, "_bucket_encryption").get(bucket) or ""
    return re.search(r"<BucketKeyEnabled>\s*true\s*<", configuration, re.IGNORECASE) is not None


def _object_context(request: S3Request, headers: Mapping[str, str]) -> dict[str, str]:
    own = {"aws:s3:arn": request.object_arn}
    if not headers.get(CONTEXT):
        return own
    try:
        given = json.loads(base64.b64decode(headers[CONTEXT], validate=True))
    except (binascii.Error, ValueError) as malformed:
        raise KmsError("InvalidArgument", f"The header {CONTEXT} is not base64 of JSON") from malformed
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise KmsError("InvalidArgument", f"The header {CONTEXT} must map strings to strings")
    return given | own
