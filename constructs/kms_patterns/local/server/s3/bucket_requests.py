"""Requests to a bucket: properties that the emulator's CloudFormation drops, deletions of several objects, forms.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-s3-bucket-bucketencryption.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-s3-bucket-lifecycleconfiguration.html
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from kms_patterns.local.server.authorization.policy_documents import RESOURCE_POLICIES, refused_document
from kms_patterns.local.server.emulator.emulator import EVALUATOR, S3, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_members import elements_of, header_of, local_name, parsed_xml, serving
from kms_patterns.local.server.s3.control_documents import error_response
from kms_patterns.local.server.s3.s3_operations import S3Refusal, invalid

Properties = Mapping[str, Any]
# Where a property of CloudFormation stands in the API, as (parent, child); the rest have the same name in both.
_FLAT = {
    "ExpirationDate": ("Expiration", "Date"),
    "ExpirationInDays": ("Expiration", "Days"),
    "ExpiredObjectDeleteMarker": ("Expiration", "ExpiredObjectDeleteMarker"),
    "NoncurrentVersionExpirationInDays": ("NoncurrentVersionExpiration", "NoncurrentDays"),
}
_NESTED = {
    "AbortIncompleteMultipartUpload": "AbortIncompleteMultipartUpload",
    "NoncurrentVersionExpiration": "NoncurrentVersionExpiration",
    "Transition": "Transition",
    "Transitions": "Transition",
    "NoncurrentVersionTransition": "NoncurrentVersionTransition",
    "NoncurrentVersionTransitions": "NoncurrentVersionTransition",
}
_RENAMED = {"TransitionInDays": "Days", "TransitionDate": "Date"}
_FILTERS = ("Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan")


def bucket_configurations(original: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the bucket properties that CloudFormation stores through the S3 API, with those it lacks."""
    encryption = (
        "BucketEncryption",
        encryption_xml,
        _obeyed(reach(S3, "_put_bucket_encryption")),
        reach(S3, "_delete_bucket_encryption"),
    )
    lifecycle = (
        "LifecycleConfiguration",
        lifecycle_xml,
        _obeyed(reach(S3, "_put_bucket_lifecycle")),
        reach(S3, "_delete_bucket_lifecycle"),
    )
    tags = ("Tags", tags_xml, _obeyed(reach(S3, "_put_bucket_tagging")), reach(S3, "_delete_bucket_tagging"))
    return (*original, encryption, lifecycle, tags)


def _obeyed(put: Callable[[str, bytes], Response]) -> Callable[[str, bytes], None]:
    def stored(name: str, body: bytes) -> None:
        status, _headers, content = put(name, body)
        if status >= HTTPStatus.BAD_REQUEST:
            raise ValueError(content.decode().partition("<Message>")[2].partition("</Message>")[0])

    return stored


def tags_xml(tags: Sequence[Properties]) -> bytes:
    """Return a Tags property as the body of PutBucketTagging."""
    root = Element("Tagging", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    tag_set = SubElement(root, "TagSet")
    for tag in tags:
        element = SubElement(tag_set, "Tag")
        SubElement(element, "Key").text, SubElement(element, "Value").text = str(tag["Key"]), str(tag["Value"])
    document: bytes = tostring(root, encoding="utf-8")
    return document


def encryption_xml(properties: Properties) -> bytes:
    """Return a BucketEncryption property as the body of PutBucketEncryption."""
    root = Element("ServerSideEncryptionConfiguration", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for rule in properties.get("ServerSideEncryptionConfiguration", []):
        element = SubElement(root, "Rule")
        by_default = rule.get("ServerSideEncryptionByDefault")
        if by_default:
            applied = SubElement(element, "ApplyServerSideEncryptionByDefault")
            SubElement(applied, "SSEAlgorithm").text = str(by_default["SSEAlgorithm"])
            if by_default.get("KMSMasterKeyID"):
                SubElement(applied, "KMSMasterKeyID").text = str(by_default["KMSMasterKeyID"])
        for blocked in (rule.get("BlockedEncryptionTypes") or {}).get("EncryptionType", ()):
            _add(_child(element, "BlockedEncryptionTypes"), {"EncryptionType": blocked})
        SubElement(element, "BucketKeyEnabled").text = str(rule.get("BucketKeyEnabled", False)).lower()
    document: bytes = tostring(root, encoding="utf-8")
    return document


kept: ContextVar[set[str]] = ContextVar("kept", default=set())  # noqa: B039 - each request has its own
"""Keys of objects that a request may not delete, though it names them."""


def keeping(action: str, arn: str) -> bool:
    """Return whether a denial is about one object of a DeleteObjects only, which is told with the others' deletion."""
    request = serving.get()
    key = arn.rpartition("/object/")[2] if ":accesspoint/" in arn else arn.partition("/")[2]
    if request is None or not action.startswith("s3:DeleteObject") or key not in request.deleted():
        return False
    kept.get().add(key)
    return True


def deleting(original: Callable[..., Response]) -> Callable[..., Response]:
    """Delete what the caller may delete of what DeleteObjects names, and name the rest as errors, as S3 does."""

    def delete(bucket: str, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        root = parsed_xml(body.decode("utf-8", "replace")) if kept.get() else None
        if root is None:
            return original(bucket, body, headers)
        errors = []
        for named in list(root):
            members = {local_name(it): it.text or "" for it in named}
            if members.get("Key") in kept.get():
                root.remove(named)
                errors.append({it: members[it] for it in ("Key", "VersionId") if it in members} | _DENIED)
        status, answered, content = original(bucket, tostring(root), headers)
        if status != HTTPStatus.OK:
            return status, answered, content
        result = fromstring(content)  # noqa: S314 - the emulator's own
        for error in errors:
            _add(SubElement(result, f"{_NAMESPACE}Error"), {f"{_NAMESPACE}{it}": text for it, text in error.items()})
        return status, answered, tostring(result, "utf-8", xml_declaration=True)

    return delete


_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_DENIED = {"Code": "AccessDenied", "Message": "Access Denied"}


def uploading_form(original: Callable[..., Response | None]) -> Callable[..., Response | None]:
    """Take the tags of a browser's form, which the emulator drops, if its signer may set them.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
    """

    def check(fields: dict[str, str], bucket: str, region: str, *rest: Any) -> Response | None:
        refused = original(fields, bucket, region, *rest)
        if refused is None and "tagging" in fields:
            signer = (fields.get("x-amz-credential") or fields["awsaccesskeyid"]).partition("/")[0]
            on = f"arn:aws:s3:::{bucket}/{fields['key']}"
            if reach(EVALUATOR, "enforce")(signer, "s3:PutObjectTagging", "s3", region, resource_arn=on):
                refused = reach(S3, "_error")("AccessDenied", "Access Denied", 403)
            fields["x-amz-tagging"] = header_of(fields["tagging"])
        return refused

    return check


def request_payment(bucket: str) -> Response:
    """Answer GetBucketRequestPayment, which the emulator stores and does not return."""
    if bucket not in reach(S3, "_buckets"):
        missing: Response = reach(S3, "_error")("NoSuchBucket", "The specified bucket does not exist", 404)
        return missing
    owner = "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
    stored = reach(S3, "_bucket_request_payment_config").get(bucket, owner)
    return 200, {"Content-Type": "application/xml"}, stored.encode()


def access_point_policy(original: Callable[..., Response]) -> Callable[..., Response]:
    """Refuse a malformed policy of an access point, and a public one where the access point blocks it.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-bpa-settings.html
    """

    def answer(name: str, method: str, body: bytes) -> Response:
        record = reach(S3, "_access_points").get(name)
        if method != "PUT" or record is None:
            return original(name, method, body)
        policy = dict(elements_of(body)).get("Policy", "")
        malformed = refused_document(policy, RESOURCE_POLICIES["s3"])
        if malformed:
            return error_response(S3Refusal("MalformedPolicy", malformed))
        if record["PublicAccessBlockConfiguration"].get("BlockPublicPolicy") and reach(S3, "_policy_is_public")(policy):
            return error_response(S3Refusal("AccessDenied", "Access Denied", 403))
        return original(name, method, body)

    return answer


_KEYLESS = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse"


def default_encryption(original: Callable[..., Response]) -> Callable[..., Response]:
    """Refuse a default encryption that has not one rule, or has a key for an algorithm without one."""

    def put(name: str, body: bytes) -> Response:
        root = parsed_xml(body.decode("utf-8", "replace"))
        texts = [(local_name(it), (it.text or "").strip()) for it in root.iter()] if root is not None else []
        members = dict(texts)
        if name in reach(S3, "_buckets") and [it for it, _text in texts].count("Rule") != 1:
            return invalid("MalformedXML", reach(S3, "_MALFORMED_XML"))
        if "KMSMasterKeyID" in members and not members.get("SSEAlgorithm", "").startswith("aws:kms"):
            return invalid("InvalidArgument", _KEYLESS, argument="ApplyServerSideEncryptionByDefault")
        return original(name, body)

    return put


def lifecycle_xml(properties: Properties) -> bytes:
    """Return the property as XML."""
    root = Element("LifecycleConfiguration", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for rule in properties.get("Rules", []):
        _rule(SubElement(root, "Rule"), rule)
    document: bytes = tostring(root, encoding="utf-8")
    return document


def _rule(element: Element, rule: Properties) -> None:
    if rule.get("Id"):
        SubElement(element, "ID").text = str(rule["Id"])
    _filter(SubElement(element, "Filter"), rule)
    SubElement(element, "Status").text = str(rule["Status"])
    for name, (parent, child) in _FLAT.items():
        if name in rule:
            _add(_child(element, parent), {child: rule[name]})
    for name, parent in _NESTED.items():
        values = rule.get(name) or []
        for value in [values] if isinstance(values, Mapping) else values:
            version = parent == "NoncurrentVersionTransition"
            renamed: dict[str, str] = {"TransitionInDays": "NoncurrentDays"} if version else _RENAMED
            _add(SubElement(element, parent), {renamed.get(str(key), str(key)): item for key, item in value.items()})


def _filter(element: Element, rule: Properties) -> None:
    simple = [(name, rule[name]) for name in _FILTERS if name in rule]
    tags = rule.get("TagFilters") or []
    holder = SubElement(element, "And") if len(simple) + len(tags) > 1 else element
    if not simple and not tags:
        SubElement(element, "Prefix").text = ""
    _add(holder, dict(simple))
    for tag in tags:
        _add(SubElement(holder, "Tag"), tag)


def _child(element: Element, name: str) -> Element:
    found = element.find(name)
    return SubElement(element, name) if found is None else found


def _add(element: Element, values: Properties) -> None:
    for name, value in values.items():
        SubElement(element, name).text = str(value).lower() if isinstance(value, bool) else str(value)
