"""UpdateObjectEncryption: another KMS key, or a Bucket Key, for an object at rest; nothing else of the object changes.

AWS's pages name the KMS actions that the caller needs, and not the calls that S3 makes with them. All are asked on the
new key, but kms:ReEncryptFrom on the key that the object was under, if there is one; so is kms:Decrypt.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/update-sse-encryption.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_UpdateObjectEncryption.html
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from kms_patterns.local.server.authorization.emulator_policies import s3_conditions
from kms_patterns.local.server.emulator.emulator import RESPONSES, S3, reach
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.requests.request_members import local_name, parsed_xml, serving
from kms_patterns.local.server.s3.s3_encryption import (
    BUCKET_KEY,
    CUSTOMER_ALGORITHM,
    DATA_KEY,
    KEY_ID,
    Headers,
    Record,
    WrappedDataKey,
    s3_error,
)
from kms_patterns.local.server.s3.s3_operations import ALGORITHM, S3Refusal, S3Request, invalid
from kms_patterns.local.server.s3.s3_operations import serving as serving_s3

ACTION: Final = "s3:UpdateObjectEncryption"
_KEY_ARN = re.compile(r"arn:aws[a-zA-Z0-9-]*:kms:[a-z0-9-]+:(\d{12}):key/[a-zA-Z0-9-]+")
_S3_ARN: Final = "aws:s3:arn"
_TRY: Final = "Modify the request to specify"
_MODIFY: Final = "Requests that modify an object"
_ARN: Final = "AWS KMS key Amazon Resource Name (ARN)"
_NO_TYPE: Final = (
    "The UpdateObjectEncryption operation doesn't support updating the encryption type to DSSE-KMS or SSE-C"
)
_UNSUPPORTED: Final = "Only source objects encrypted with SSE-S3 or SSE-KMS are supported."
_LOCKED: Final = (
    "The encryption type for the specified object can\u2019t be updated because that object is protected by "
    "S3 Object Lock."
)


@dataclass(frozen=True)
class NewEncryption:
    """What a request asks for: SSE-KMS under the key of this ARN."""

    key: str
    bucket_key: bool

    @staticmethod
    def read(body: bytes) -> "NewEncryption":
        """Return what the body of a request asks for.

        Raises:
            S3Refusal: InvalidRequest or MalformedXML, in AWS's words; AccessDenied for a key of another account.
        """
        root = parsed_xml(body.decode("utf-8", "replace"))
        kinds = list(root) if root is not None and local_name(root) == "ObjectEncryption" else None
        members = {local_name(it): (it.text or "").strip() for kind in (kinds or ())[:1] for it in kind}
        if kinds is None or members.keys() - {"KMSKeyArn", "BucketKeyEnabled"}:
            raise S3Refusal("MalformedXML", reach(S3, "_MALFORMED_XML"))
        names = [local_name(kind) for kind in kinds]
        key, bucket_key = members.get("KMSKeyArn", ""), members.get("BucketKeyEnabled", "false")
        arn = _KEY_ARN.fullmatch(key)
        for wrong, text in (
            (set(names) & {"DSSE-KMS", "SSE-C"}, f"{_NO_TYPE}. {_TRY} SSE-KMS for the updated encryption type."),
            (
                names != ["SSE-KMS"],
                f"{_MODIFY} encryption configuration require a valid new encryption type. {_TRY} SSE-KMS.",
            ),
            (not key, f"{_MODIFY}'s encryption type to SSE-KMS require an {_ARN}. {_TRY} one."),
            (arn is None, f"{_MODIFY}'s encryption type to SSE-KMS require a valid {_ARN}, not {key}."),
            (bucket_key not in {"true", "false"}, f"The BucketKeyEnabled value isn't valid. {_TRY} a valid value."),
        ):
            if wrong:
                raise S3Refusal("InvalidRequest", text)
        if arn and arn[1] != reach(RESPONSES, "get_account_id")():
            said = "The AWS KMS key in the request must be owned by the same account as the bucket."
            raise S3Refusal("AccessDenied", f"{said} {_TRY} a KMS key from the same account.", 403)
        return NewEncryption(key, bucket_key == "true")


def object_actions(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the emulator's table of actions by the name in an object's query, with ours."""
    return {**table, "encryption": {"PUT": "UpdateObjectEncryption"}}


def service_context(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Add what a request says about itself, and a write about encryption, to its condition keys."""

    def context(
        iam_action: str, query_params: Record | None, path: str = "", headers: Headers | None = None
    ) -> dict[str, Any]:
        values, request, given = original(iam_action, query_params, path, headers), serving.get(), {}
        values |= dict(s3_conditions(iam_action, f"arn:aws:s3:::{path.lstrip('/')}"))
        if iam_action == "s3:PutObject":
            named = _named_key(query_params or {}, headers or {})
            given = {KEY_ID: named, CUSTOMER_ALGORITHM: (headers or {}).get(CUSTOMER_ALGORITHM)}
        elif iam_action == ACTION and request is not None:
            with suppress(S3Refusal):
                given = {ALGORITHM: "aws:kms", KEY_ID: NewEncryption.read(request.body).key}
        return values | {f"s3:{name}": value for name, value in given.items() if value}

    return context


def _named_key(query: Record, headers: Headers) -> str | None:
    # A part and the completion carry no headers: what the upload's own request named decides.
    upload_id = query.get("uploadId")
    if not upload_id:
        return headers.get(KEY_ID)
    upload = reach(S3, "_multipart_uploads").get(upload_id[0] if isinstance(upload_id, list) else upload_id) or {}
    wrapped = WrappedDataKey.stored_with(upload.get("preserved_headers", {}))
    return wrapped.requested_key if wrapped else None


def dispatching(kms: KmsService, original: Callable[..., Response]) -> Callable[..., Response]:
    """Serve UpdateObjectEncryption, which the emulator does not have, besides its own operations."""

    def dispatch(*request: Any) -> Response:
        method, bucket, key, headers, body, query = request
        asked = S3Request(method, bucket, key, headers, query)
        if method == "PUT" and key and "encryption" in query:
            return _updated(kms, asked, body)
        refused = _attributes_refused(asked) if method == "GET" and key and "attributes" in query else None
        return refused or original(*request)

    return dispatch


def _attributes_refused(request: S3Request) -> Response | None:
    # The emulator's GetObjectAttributes asks for no key; AWS's is HeadObject and ListParts in one.
    with suppress(S3Refusal), serving_s3(request):
        refused: Response | None = reach(S3, "_check_sse_read_headers")(request.headers, _records(request)[0])
        return refused
    return None


def _updated(kms: KmsService, request: S3Request, body: bytes) -> Response:
    try:
        _check_signature(request)
        new, records = NewEncryption.read(body), _records(request)
        stored = records[0].get("preserved_headers") or {}
        _check_source(request, records[0], stored)
        headers = _under(kms, request, stored, new)
    except S3Refusal as refused:
        answer: Response = reach(S3, "_error")(refused.code, refused.message, refused.status)
        return answer
    except KmsError as refused:
        return s3_error(refused)
    for record in records:
        # Readers hold the old mapping: it is replaced as a whole, not changed.
        record["preserved_headers"] = headers
    reach(S3, "_persist_version_state")(request.bucket, request.key, reach(S3, "_buckets")[request.bucket])
    return 200, {}, b""


def kind_of(stored: Mapping[str, str]) -> str:
    """Return an object's encryption in the words of S3 Batch Operations' filters.

    S3 encrypts what it stores: an object without a header is under SSE-S3. What predates that does not exist here.
    """
    if CUSTOMER_ALGORITHM in stored:
        return "SSEC"
    return {"aws:kms": "SSEKMS", "aws:kms:dsse": "DSSEKMS"}.get(stored.get(ALGORITHM, ""), "SSES3")


def _records(request: S3Request) -> list[dict[str, Any]]:
    """Return the stored records of one version: as the current object, and among the versions."""
    bucket = reach(S3, "_buckets").get(request.bucket)
    if bucket is None:
        raise S3Refusal("NoSuchBucket", "The specified bucket does not exist", 404)
    named = request.query.get("versionId")
    version = str(named[0] if isinstance(named, list) else named or "")
    current = bucket["objects"].get(request.key)
    versions = reach(S3, "_object_versions").get((request.bucket, request.key), [])
    if not version:
        if current is None:
            raise S3Refusal("NoSuchKey", "The specified key does not exist.", 404)
        version = current.get("version_id") or "null"
    found = [current] if current is not None and (current.get("version_id") or "null") == version else []
    found += [it for it in versions if it["version_id"] == version]
    if not found:
        raise S3Refusal("NoSuchVersion", "The specified version does not exist.", 404)
    if found[-1].get("is_delete_marker"):
        raise S3Refusal("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
    return found


def _check_signature(request: S3Request) -> None:
    if request.headers.get("authorization", "").startswith("AWS ") or "Signature" in request.query:
        said = "Requests that modify an object encryption configuration require AWS Signature Version 4."
        raise S3Refusal("InvalidRequest", said)


def _check_source(request: S3Request, record: Mapping[str, Any], stored: Mapping[str, str]) -> None:
    if kind_of(stored) in {"SSEC", "DSSEKMS"}:
        said = (
            "The UpdateObjectEncryption operation doesn't support source objects with the encryption type DSSE-KMS or"
        )
        raise S3Refusal("InvalidRequest", f"{said} SSE-C. {_UNSUPPORTED}")
    version = record.get("version_id")
    place = (request.bucket, request.key, None if version == "null" else version)
    retention = reach(S3, "_object_retention").get(place) or {}
    held = reach(S3, "_object_legal_hold").get(place) == "ON"
    if held or retention.get("RetainUntilDate", "") > reach(RESPONSES, "now_iso")():
        raise S3Refusal("AccessDenied", _LOCKED, 403)


def _under(kms: KmsService, request: S3Request, stored: Mapping[str, str], new: NewEncryption) -> dict[str, str]:
    """Return the headers to store with the object, after KMS allowed each call."""
    old = WrappedDataKey.stored_with(stored)
    given = {name: value for name, value in (old.context if old else {}).items() if name != _S3_ARN}
    of_bucket = {_S3_ARN: f"arn:aws:s3:::{request.bucket}"}
    context = of_bucket if new.bucket_key else {**given, _S3_ARN: request.object_arn}

    def call(operation: str, **members: Any) -> KmsCall:
        return KmsCall(operation, members, request.caller, via="s3")

    for operation in ("Decrypt", "Encrypt"):
        kms.require(call(operation, KeyId=new.key, EncryptionContext=context))
    between: dict[str, Any] = {"DestinationKeyId": new.key, "DestinationEncryptionContext": context}
    made = kms.perform(call("GenerateDataKey", KeyId=new.key, KeySpec="AES_256", EncryptionContext=context))
    if old is None:
        kms.require(call("ReEncrypt", SourceKeyId=new.key, SourceEncryptionContext=context, **between))
    else:
        held = {"KeyId": stored[KEY_ID], "EncryptionContext": old.context}
        kms.require(call("Decrypt", **held))
        source = {"SourceKeyId": held["KeyId"], "SourceEncryptionContext": held["EncryptionContext"]}
        made = kms.perform(call("ReEncrypt", CiphertextBlob=old.blob, **source, **between))
    wrapped = WrappedDataKey(made["CiphertextBlob"], context, new.key)
    kept = {name: value for name, value in stored.items() if name not in {ALGORITHM, KEY_ID, BUCKET_KEY, DATA_KEY}}
    sse = {ALGORITHM: "aws:kms", KEY_ID: made["KeyId"], DATA_KEY: json.dumps(asdict(wrapped))}
    return kept | sse | ({BUCKET_KEY: "true"} if new.bucket_key else {})


def customer_key(original: Callable[..., Response | None]) -> Callable[..., Response | None]:
    """Refuse the headers of SSE-C as S3 does, which names an argument in its error."""

    def check(algorithm: str, key: str, digest: str) -> Response | None:
        if algorithm not in {"", "AES256"}:
            said = "The Encryption request you specified is not valid. Supported value: AES256."
            return invalid("InvalidEncryptionAlgorithmError", said, algorithm, ALGORITHM)
        refused = original(algorithm, key, digest)
        argument = f"<ArgumentName>{ALGORITHM}</ArgumentName><RequestId>".encode()
        return refused and (*refused[:2], refused[2].replace(b"<RequestId>", argument))

    return check
