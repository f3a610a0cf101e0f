"""SSE-KMS in the emulator's S3: which key a write uses, the data key, and the gates of every write and every read.

S3 asks KMS as its caller. The wrapped data key rides with the object among its stored headers, so that versions, copies
and multipart uploads keep it. The body at rest is not encrypted: what is proved here is who may use the key, and KMS
decides that. With a Bucket Key, S3 reuses one response of KMS for a while; here KMS is asked every time, so that no
refusal hides in a cache.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.emulator import S3, reach
from kms_patterns.local.server.kms.key_records import managed_key
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, access_denied
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.requests.denials import with_host
from kms_patterns.local.server.s3 import bucket_requests, s3_operations
from kms_patterns.local.server.s3.s3_operations import ALGORITHM, S3Request, current_request, invalid, serving

KEY_ID = "x-amz-server-side-encryption-aws-kms-key-id"
BUCKET_KEY = "x-amz-server-side-encryption-bucket-key-enabled"
CONTEXT = "x-amz-server-side-encryption-context"
# Stored with the object, taken out of every response.
DATA_KEY = "x-kms-patterns-data-key"
# Whether what the request being served stores has an ETag that is not the MD5 digest of its content.
opaque_tag: ContextVar[bool] = ContextVar("opaque_tag", default=False)


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


def open_data_key(kms: KmsService, caller: Callable[[], Any], stored: Mapping[str, str]) -> None:
    """Have KMS decrypt an object's data key for the caller; nothing to do for an object without one.

    Raises:
        KmsError: KMS refused.
    """
    wrapped = WrappedDataKey.stored_with(stored)
    if wrapped is None:
        return
    decryption = {"CiphertextBlob": wrapped.blob, "EncryptionContext": wrapped.context, "KeyId": stored[KEY_ID]}
    kms.perform(KmsCall("Decrypt", decryption, caller(), via="s3"))


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
    # S3 adds its own pair to a context that has none.
    return own | given


CUSTOMER_ALGORITHM = f"{ALGORITHM}-customer-algorithm"
_ALGORITHMS = (None, "AES256", "aws:kms")

Headers = Mapping[str, str]
Record = Mapping[str, Any]
Gate = Callable[[Headers, Record], Response | None]


@dataclass(frozen=True)
class S3Encryption:
    """Replacements for functions of the emulator's S3; each takes the original and returns what stands in for it."""

    kms: KmsService

    def dispatch(self, original: Callable[..., Response]) -> Callable[..., Response]:
        """Remember the request for the gates, keep the wrapped data key out of the response; refuse what is unknown."""

        def dispatch(*request: Any) -> Response:
            method, bucket, key, headers, body, query = request
            strange = s3_operations.unknown(method, key, headers, query)
            if bucket and (method, strange) == ("GET", "requestPayment") and not key:
                return bucket_requests.request_payment(bucket)
            if bucket and strange:
                refused: Response = reach(S3, "_error")("NotImplemented", f"{strange} is not implemented.", 501)
                return refused
            asked = S3Request(method, bucket, key, headers, query)
            wrong = s3_operations.refused_for(asked, body)
            if wrong:
                answer: Response = reach(S3, "_error")(*wrong)
                return answer
            opaque_tag.set(False)
            with serving(asked):
                status, answered, content = original(*request)
            missing = status == HTTPStatus.NOT_FOUND and key and method in {"GET", "HEAD"}
            if missing and s3_operations.hidden(bucket, headers, query):
                denied: Response = reach(S3, "_error")("AccessDenied", "Access Denied", 403)
                return denied
            if status >= HTTPStatus.BAD_REQUEST:
                content = with_host(content.replace(b"<Resource />", b""))
            return status, {name: value for name, value in answered.items() if name != DATA_KEY}, content

        return dispatch

    def resolve_write(self, original: Callable[..., Any]) -> Callable[..., tuple[Headers | None, Response | None]]:
        """PutObject, CopyObject's destination, CreateMultipartUpload: GenerateDataKey when SSE-KMS applies."""

        def resolve(headers: Headers, bucket_name: str) -> tuple[Headers | None, Response | None]:
            default = reach(S3, "_bucket_default_sse_headers")(bucket_name)
            own_key = _customer_key(headers)
            if own_key and headers.get(ALGORITHM):
                return None, invalid("InvalidArgument", _BOTH, headers[ALGORITHM], ALGORITHM)
            if own_key and "<EncryptionType>NONE<" not in (reach(S3, "_bucket_encryption").get(bucket_name) or ""):
                # https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html
                return None, reach(S3, "_error")("AccessDenied", "SSE-C is blocked for this bucket.", 403)
            algorithm = headers.get(ALGORITHM) or default.get(ALGORITHM)
            if not own_key and algorithm not in _ALGORITHMS:
                # Stored as asked for but without asking KMS, it would look protected and not be.
                return None, reach(S3, "_error")("NotImplemented", f"{algorithm} is not implemented.", 501)
            opaque_tag.set(own_key or algorithm == "aws:kms")
            if own_key or algorithm != "aws:kms":
                stored, refused = original(headers, bucket_name)
                # S3 encrypts every object, and says so.
                return (stored or {ALGORITHM: "AES256"}) if refused is None else None, refused
            try:
                return new_data_key(self.kms, current_request(), headers, bucket_name), None
            except KmsError as refused:
                return None, s3_error(refused)

        return resolve

    def read(self, original: Gate) -> Gate:
        """GetObject: Decrypt. HeadObject and GetObjectAttributes: where they return its checksum."""

        def check(headers: Headers, obj: Record) -> Response | None:
            request = current_request()
            metadata = request is not None and (request.method == "HEAD" or "attributes" in request.query)
            if metadata and not (request and request.reads_checksum and obj.get("checksums")):
                return original(headers, obj)
            return original(headers, obj) or self._opened(obj)

        return check

    def copy_source(self, original: Gate) -> Gate:
        """CopyObject's and UploadPartCopy's source: Decrypt."""

        def check(headers: Headers, src_obj: Record) -> Response | None:
            return original(headers, src_obj) or self._opened(src_obj)

        return check

    def part(self, original: Gate) -> Gate:
        """UploadPart and UploadPartCopy: Decrypt; CompleteMultipartUpload: where it computes a checksum."""

        def check(headers: Headers, upload: Record) -> Response | None:
            request = current_request()
            completes = request is not None and request.method == "POST" and not upload.get("checksum_algorithm")
            stored = upload.get("preserved_headers", {})
            opaque_tag.set(KEY_ID in stored or CUSTOMER_ALGORITHM in stored)
            if _customer_key(headers) and CUSTOMER_ALGORITHM not in stored:
                return invalid("InvalidRequest", _OTHER_UPLOAD)
            refused = None if completes and not _customer_key(headers) else original(headers, upload)
            return refused or (None if completes else self._opened(upload))

        return check

    def _opened(self, stored: Record) -> Response | None:
        try:
            open_data_key(self.kms, lambda: _known(current_request()).caller, stored.get("preserved_headers", {}))
        except KmsError as refused:
            return s3_error(refused)
        return None


_BOTH = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
_OTHER_UPLOAD = (
    "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
    "encryption parameters."
)


def entity_tag(original: Callable[[bytes], str]) -> Callable[[bytes], str]:
    """Return what an ETag consists of: not the MD5 digest of what is stored under SSE-KMS or SSE-C."""
    return lambda body: uuid4().hex if opaque_tag.get() else original(body)


def stored_headers(original: tuple[str, ...]) -> tuple[str, ...]:
    """Return the encryption headers that the emulator keeps with an object, with ours."""
    return (*original, BUCKET_KEY, DATA_KEY)


def s3_error(refused: KmsError) -> Response:
    """Return S3's answer to a refusal by KMS."""
    if refused.code == "AccessDeniedException":
        code, status = "AccessDenied", 403
    else:
        code, status = refused.code if refused.code == "InvalidArgument" else f"KMS.{refused.code}", 400
    response: Response = reach(S3, "_error")(code, refused.message, status)
    return response


def _customer_key(headers: Headers) -> bool:
    return any(name.startswith(f"{ALGORITHM}-customer") for name in headers)
