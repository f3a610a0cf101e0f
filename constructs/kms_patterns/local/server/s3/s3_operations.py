"""S3 requests: bucket, key and caller; operations that the emulator does not know are refused.

It would serve them as the operation without the name: a PutBucketMetricsConfiguration as a CreateBucket.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.authorization.resource_policies import bucket_policy
from kms_patterns.local.server.emulator.emulator import EVALUATOR, RESPONSES, ROUTER, S3, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_members import elements_of, tags_of
from kms_patterns.local.server.requests.request_shapes import is_ambiguous

_OBJECT: Mapping[str, frozenset[str]] = {
    "GET": frozenset({"acl", "annotation", "attributes", "legal-hold", "retention", "tagging", "uploadId"}),
    "HEAD": frozenset(),
    "PUT": frozenset({"acl", "annotation", "encryption", "legal-hold", "retention", "tagging", "uploadId"}),
    "POST": frozenset({"restore", "uploadId", "uploads"}),
    "DELETE": frozenset({"annotation", "tagging", "uploadId"}),
}
_BUCKET: Mapping[str, frozenset[str]] = {
    "GET": frozenset({
        "accelerate", "acl", "cors", "encryption", "lifecycle", "list-type", "location", "logging", "notification",
        "object-lock", "ownershipControls", "policy", "publicAccessBlock", "replication", "tagging", "uploads",
        "versioning", "versions", "website",
    }),
    "HEAD": frozenset(),
    "PUT": frozenset({
        "accelerate", "acl", "cors", "encryption", "lifecycle", "logging", "notification", "object-lock",
        "ownershipControls", "policy", "publicAccessBlock", "replication", "requestPayment", "tagging", "versioning",
        "website",
    }),
    "POST": frozenset({"delete"}),
    "DELETE": frozenset({
        "cors", "encryption", "lifecycle", "ownershipControls", "policy", "publicAccessBlock", "replication", "tagging",
        "website",
    }),
}  # fmt: skip
# These say what about, not which operation.
_PARAMETERS = frozenset({
    "annotation-prefix", "annotationName", "awsaccesskeyid", "bucket-region", "continuation-token", "delimiter",
    "encoding-type", "expires", "fetch-owner", "key-marker", "marker", "max-annotation-results", "max-buckets",
    "max-keys", "max-parts", "max-uploads", "part-number-marker", "partNumber", "prefix", "signature", "start-after",
    "upload-id-marker", "version-id-marker", "versionId",
})  # fmt: skip
ALGORITHM = "x-amz-server-side-encryption"
_PREFIXES = ("response-", "x-")
_HEADERS = ("x-amz-rename-source", "x-amz-write-offset-bytes")


def unknown(method: str, key: str, headers: Mapping[str, str], query: Iterable[str]) -> str | None:
    """Return what the emulator does not know of a request to a bucket, or to an object if ``key`` names one."""
    known = (_OBJECT if key else _BUCKET).get(method, frozenset())
    strange = [name for name in query if name not in known and not _is_parameter(name)]
    strange += [name for name in _HEADERS if name in headers]
    return strange[0] if strange else None


def hidden(bucket: str, headers: Mapping[str, str], query: Mapping[str, Any]) -> bool:
    """Return whether a missing object is answered with 403: a caller without s3:ListBucket is not told.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (Permissions)
    """
    if bucket not in reach(S3, "_buckets"):
        return False
    access_key = reach(ROUTER, "extract_access_key_id")(headers, query)
    if not access_key:
        return True
    region, arn = reach(RESPONSES, "get_region")(), f"arn:aws:s3:::{bucket}"
    return reach(EVALUATOR, "enforce")(access_key, "s3:ListBucket", "s3", region, resource_arn=arn) is not None


def _is_parameter(name: str) -> bool:
    return name in _PARAMETERS or name.lower() in _PARAMETERS or name.lower().startswith(_PREFIXES)


class S3Refusal(Exception):
    """A refusal by S3 or S3 Control, with the status of its response."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class S3Request:
    """A request to an object, as S3's dispatcher sees it."""

    method: str
    bucket: str
    key: str
    headers: Mapping[str, str]
    query: Mapping[str, Any]

    @property
    def caller(self) -> Caller:
        """The principal for whom S3 asks KMS.

        Raises:
            KmsError: AccessDeniedException: an anonymous request cannot use a KMS key.
        """
        return caller_of(self.headers, self.query)

    @property
    def object_arn(self) -> str:
        """The ARN of the object."""
        return f"arn:aws:s3:::{self.bucket}/{self.key}"

    @property
    def reads_checksum(self) -> bool:
        """Whether the answer is to contain the object's checksum."""
        named = self.headers.get("x-amz-object-attributes", "")
        return self.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" or "Checksum" in named


_OWNERS = ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner")
_RESERVED_NAME = re.compile(r"(xn--|sthree-|amzn-s3-demo-).*|.*(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)")


Refusal = tuple[str, str, int]
_METADATA, _MOST_METADATA = "x-amz-meta-", 2048
_LONGEST_NAME, _LONGEST_KEY, _LONGEST_VALUE = 1024, 128, 256
_LONGEST_POLICY, _SHORTEST_PART, _MOST_DELETED = 20 << 10, 5 << 20, 1000
_CHANGES = (ALGORITHM, "x-amz-storage-class", "x-amz-website-redirect-location")


def refused_for(request: S3Request, body: bytes) -> Refusal | None:
    """Return code, message and status of a request that S3 refuses for what it holds; None if it does not."""
    return next(_refusals(request, body), None)


def _refusals(request: S3Request, body: bytes) -> Iterator[Refusal]:
    anonymous = not request.bucket and not reach(ROUTER, "extract_access_key_id")(request.headers, request.query)
    owner = reach(RESPONSES, "get_account_id")()
    creates = request.method == "PUT" and not request.key and not set(request.query) - {"x-id"}
    if anonymous or any(request.headers.get(name, owner) != owner for name in _OWNERS):
        yield "AccessDenied", "Access Denied", 403
    if len(request.key.encode()) > _LONGEST_NAME:
        yield "KeyTooLongError", "Your key is too long", 400
    if body and (creates or _READ_BY_MEMBER & request.query.keys()) and is_ambiguous(body):
        yield "MalformedXML", reach(S3, "_MALFORMED_XML"), 400
    yield from _of_tags(request, body)
    key_id = f"{ALGORITHM}-aws-kms-key-id" in request.headers and request.method in {"PUT", "POST"}
    if key_id and not request.headers.get(ALGORITHM, "").startswith("aws:kms"):
        said = f"Server Side Encryption with AWS KMS managed key requires HTTP header {ALGORITHM} : aws:kms"
        yield "InvalidArgument", said, 400
    yield from _of_object(request, body) if request.key else _of_bucket(request, body)


# Documents of which the check of permissions reads members.
_READ_BY_MEMBER = frozenset({"delete", "legal-hold", "retention", "tagging"})


def _of_bucket(request: S3Request, body: bytes) -> Iterator[Refusal]:
    if "delete" in request.query and body.count(b"<Object>") > _MOST_DELETED:
        yield "MalformedXML", reach(S3, "_MALFORMED_XML"), 400
    if request.method != "PUT":
        return
    if not set(request.query) - {"x-id"}:
        if _RESERVED_NAME.fullmatch(request.bucket):
            yield "InvalidBucketName", "The specified bucket is not valid.", 400
        # Only us-east-1 takes the creation of a bucket that the caller has.
        if request.bucket in reach(S3, "_buckets") and reach(RESPONSES, "get_region")() != "us-east-1":
            said = "Your previous request to create the named bucket succeeded and you already own it."
            yield "BucketAlreadyOwnedByYou", said, 409
    if "policy" in request.query:
        if len(body) > _LONGEST_POLICY:
            yield "MalformedPolicy", "Policy exceeds the maximum allowed document size.", 400
        malformed = bucket_policy(body.decode("utf-8", "replace"), request.bucket)
        yield from [("MalformedPolicy", malformed, 400)] if malformed else []
    locked = "versioning" in request.query and request.bucket in reach(S3, "_bucket_object_lock")
    if locked and b"<Status>Suspended<" in body:
        said = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        yield "InvalidBucketState", said, 409


def _of_object(request: S3Request, body: bytes) -> Iterator[Refusal]:
    headers = request.headers
    own = [len((name + text).encode()) for name, text in headers.items() if name.startswith(_METADATA)]
    if sum(own) - len(_METADATA) * len(own) > _MOST_METADATA:
        yield "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size", 400
    elements = dict(elements_of(body)) if "retention" in request.query else {}
    until = elements.get("RetainUntilDate") or headers.get("x-amz-object-lock-retain-until-date")
    if until and request.method in {"PUT", "POST"} and _is_past(until):
        yield "InvalidArgument", "The retain until date must be in the future!", 400
    source = unquote(headers.get("x-amz-copy-source", "")).lstrip("/")
    if source == f"{request.bucket}/{request.key}" and "uploadId" not in request.query:
        changed = headers.get("x-amz-metadata-directive") == "REPLACE"
        if not changed and not any(name.startswith(_CHANGES) for name in headers):
            said = "metadata, storage class, website redirect location or encryption attributes."
            illegal = "This copy request is illegal because it is trying to copy an object to itself without changing"
            yield "InvalidRequest", f"{illegal} the object's {said}", 400
    if request.method == "POST" and "uploadId" in request.query:
        yield from _of_parts(request, body)


def _of_parts(request: S3Request, body: bytes) -> Iterator[Refusal]:
    named = [int(text) for name, text in elements_of(body) if name == "PartNumber" and text.isdigit()]
    if named != sorted(set(named)):
        said = "The list of parts was not in ascending order. The parts list must be specified in order by part number."
        yield "InvalidPartOrder", said, 400
    upload_id = request.query["uploadId"]
    upload = reach(S3, "_multipart_uploads").get(upload_id[0] if isinstance(upload_id, list) else upload_id) or {}
    stored = upload.get("parts") or {}
    if any(len(stored[number]["body"]) < _SHORTEST_PART for number in named[:-1] if number in stored):
        yield "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size.", 400


def _is_past(date: str) -> bool:
    try:
        return datetime.fromisoformat(date.replace("Z", "+00:00")) <= datetime.now(UTC)
    except (TypeError, ValueError):
        return False


def _of_tags(request: S3Request, body: bytes) -> Iterator[Refusal]:
    tags = dict(parse_qsl(request.headers.get("x-amz-tagging", ""), keep_blank_values=True))
    if request.method == "PUT" and "tagging" in request.query:
        tags = tags_of(body.decode("utf-8", "replace"))
    if any(name.lower().startswith("aws:") for name in tags):
        yield "InvalidTag", "System tags cannot be added/updated by requester", 400
    if any(not 0 < len(name) <= _LONGEST_KEY for name in tags):
        yield "InvalidTag", "The TagKey you have provided is invalid", 400
    if any(len(value) > _LONGEST_VALUE for value in tags.values()):
        yield "InvalidTag", "The TagValue you have provided is invalid", 400


_current: ContextVar[S3Request | None] = ContextVar("s3_request", default=None)


@contextmanager
def serving(request: S3Request) -> Iterator[None]:
    """Remember ``request`` while it is being served."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def current_request() -> S3Request | None:
    """Return the request being served, None inside the emulator's own accesses."""
    return _current.get()


def invalid(code: str, message: str, value: str = "", argument: str = "") -> Response:
    """Return S3's refusal of a request for one of its arguments."""
    extra = {"ArgumentName": argument} if argument else {}
    refused: Response = reach(S3, "_error")(code, message, 400, "", extra | ({"ArgumentValue": value} if value else {}))
    return refused
