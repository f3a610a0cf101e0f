"""The members of a request of any protocol, by name, however deep, and which of them name a KMS key.

A service that takes a KMS key and does not ask KMS for it here is refused the key, so that nothing looks protected.
The list is the sweep of ``tests/local/test_side_doors.py`` over the models of all services of the emulator.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/service-integration.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode
from xml.etree.ElementTree import Element, ParseError, fromstring

from kms_patterns.local.server.emulator.emulator import ACTIONS, S3, reach

Members = Iterator[tuple[str, str]]
_FUNCTION = re.compile(r"/functions/([^/]+)")
# JSON and XML, after what may stand before them: white space, and a byte order mark or the zeros of a wider encoding.
_TEXT = re.compile(rb"[\s\x00\xef\xbb\xbf\xfe\xff]*[{\[<]")
_OF_CONTENT = frozenset({"partNumber", "uploadId", "x-id"})


@dataclass(frozen=True)
class Served:
    """An HTTP request to an AWS service, as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, Any]

    def members(self) -> Members:
        """Yield name and value of every member that is text, from the query, the headers and the body."""
        yield from members_of(self.query)
        yield from members_of({name: value for name, value in self.headers.items() if name.startswith("x-amz-")})
        form = "x-www-form-urlencoded" in self.headers.get("content-type", "")
        if form or _TEXT.match(self.body):
            # As json.loads reads bytes: a body in UTF-16 would hide its members otherwise.
            encoding = "utf-8" if form else json.detect_encoding(self.body)
            yield from _read(self.body.decode(encoding, "replace").lstrip("\ufeff").strip(), form=form)

    def parameter(self, name: str) -> str:
        """Return a parameter of the query, empty if there is none."""
        found = self.query.get(name) or ""
        return str(found[0] if isinstance(found, list) else found)

    @property
    def is_form(self) -> bool:
        """Whether a browser uploads an object to S3 with it."""
        return self.method == "POST" and "multipart/form-data" in self.headers.get("content-type", "")

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The headers as S3 reads them: with those that a presigned URL or a form holds."""
        if not self.is_form:
            hoisted: Mapping[str, str] = reach(S3, "_merge_hoisted_amz_headers")(self.headers, self.query)
            return hoisted
        parts = reach(S3, "_parse_multipart_form")(self.headers["content-type"], self.body)
        given = {part[0].lower(): part[3].decode("utf-8", "replace") for part in parts if part[0] != "file"}
        named = {"x-amz-acl": given["acl"]} if "acl" in given else {}
        return given | named | ({"x-amz-tagging": header_of(given["tagging"])} if "tagging" in given else {})

    @property
    def signed_for(self) -> str:
        """The service that its signature of version 4 names, empty without one."""
        found = _SCOPE.search(self.headers.get("authorization", "") + self.parameter("X-Amz-Credential"))
        return found[1] if found else ""

    def deleted(self) -> Mapping[str, list[str]]:
        """Return the versions that a DeleteObjects names by their object's key, an empty one for the current."""
        found: dict[str, list[str]] = {}
        if self.method == "POST" and "delete" in self.query:
            for arn, version in reach(ACTIONS, "_s3_batch_delete_targets")("", self.body):
                found.setdefault(arn.partition("/")[2], []).append(version)
        return found

    @property
    def source(self) -> tuple[str, str]:
        """Bucket and key of what a request to S3 copies, and the version; empty without one."""
        source, _, version = self.fields.get("x-amz-copy-source", "").partition("?versionId=")
        return unquote(source).lstrip("/"), unquote(version)

    def version_of(self, arn: str) -> str:
        """Return the version that a request to S3 names of the object ``arn``, its own or the source of its copy."""
        source, version = self.source
        return version if arn == f"arn:aws:s3:::{source}" else self.parameter("versionId")

    @property
    def is_object(self) -> bool:
        """Whether the body is an object's content, in which nothing is looked for."""
        return self.method == "PUT" and "x-amz-target" not in self.headers and set(self.query) <= _OF_CONTENT


_SCOPE = re.compile(r"/([\w-]+)/aws4_request")
_SIGNED = re.compile(r"SignedHeaders=([^,\s]+)")
_UNSIGNED = frozenset({"x-amz-content-sha256", "x-amz-security-token"})


def unsigned_headers(request: Served) -> list[str]:
    """Return the headers of S3 that the signature of version 4 of a request does not cover, where it must.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html (X-Amz-SignedHeaders)
    """
    found = _SIGNED.search(request.headers.get("authorization", ""))
    given = found[1] if found else ";".join(request.query.get("X-Amz-SignedHeaders") or ())
    signed = {*given.split(";"), *_UNSIGNED}
    # A checksum comes after the body, signed with it.
    needed = (name for name in request.headers if name.startswith("x-amz-") and "-checksum-" not in name)
    return sorted(name for name in needed if given and name not in signed)


serving: ContextVar[Served | None] = ContextVar("served", default=None)
"""The request whose permissions are being checked."""


def members_of(value: Any, name: str = "") -> Members:
    """Yield name and value of every text in nested objects and lists."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            # Members of the query protocol are paths: Rules.member.1.RoleArn.
            yield from members_of(item, _last(str(key), name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from members_of(item, name)
    elif isinstance(value, str):
        yield name, value


def parameters(request: Served) -> Mapping[str, Any]:
    """Return the members of a request by name: nested for JSON, flat with their paths for the query protocol."""
    if "x-www-form-urlencoded" in request.headers.get("content-type", ""):
        found = parse_qs(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}
    function = _FUNCTION.search(request.path)
    given: dict[str, Any] = {"FunctionName": unquote(function[1])} if function else {}
    for name, values in request.query.items():
        given[name] = values[0] if isinstance(values, list) and values else values
    return given | json_object(request.body)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object of a body in JSON; none if it is empty or anything else."""
    try:
        content = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _read(text: str, *, form: bool) -> Members:
    if form:
        yield from members_of(parse_qs(text))
    elif text.startswith("<"):
        yield from _xml(text)
    else:
        with suppress(ValueError):
            yield from members_of(json.loads(text))


def _last(key: str, outer: str) -> str:
    parts = [part for part in key.split(".") if not part.isdigit() and part not in {"member", "entry"}]
    return parts[-1] if parts else outer


def _xml(text: str) -> Members:
    root = parsed_xml(text)
    if root is not None:
        yield from ((local_name(element), (element.text or "").strip()) for element in root.iter())


def elements_of(body: bytes) -> list[tuple[str, str]]:
    """Return name and text of every element of a body in XML."""
    return list(_xml(body.decode("utf-8", "replace")))


def tags_of(text: str) -> dict[str, str]:
    """Return the tags of a document in XML, read as the emulator reads them."""
    found = () if (root := parsed_xml(text)) is None else root.iter()
    tags = ({local_name(member): member.text or "" for member in it} for it in found if local_name(it) == "Tag")
    return {tag["Key"]: tag.get("Value", "") for tag in tags if "Key" in tag}


def header_of(tagging: str) -> str:
    """Return the XML of a set of tags as the value of the header x-amz-tagging."""
    return urlencode(tags_of(tagging))


def parsed_xml(text: str) -> Element | None:
    """Return the root of an XML document; None if it is not well-formed or has a document type."""
    if re.search(r"<!DOCTYPE|<!ENTITY", text):
        return None
    try:
        return fromstring(text)  # noqa: S314 - XML without a document type has nothing to expand
    except ParseError:
        return None


def local_name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


# A member that names a KMS key in the models of AWS's services; an algorithm, a type or a flag does not.
_KEY_MEMBER = re.compile(
    r"kms.*(key|arn|id)|^(encryption|customer|default|server|volume)\w*key\w*$|^kms\w*$|keymanagementservicearn$",
    re.IGNORECASE,
)
_NOT_A_KEY = re.compile(r"(enabled|algorithm|seconds|type|context|grantid|status|mode|spec|rolearn)$", re.IGNORECASE)
# Members that say so only in the services named.
_OF_SERVICE = {
    "eks": {"keyArn"}, "kinesis": {"KeyId"}, "kinesisanalyticsv2": {"KeyId", "KeyIdUpdate"},
}  # fmt: skip
_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]*:\d{12}:(key|alias)/\S+")
_READS = ("BatchGet", "Describe", "Get", "List", "Lookup", "Search")
ASKING = frozenset({
    "cloudformation", "dynamodb", "iam", "kms", "lambda", "logs", "s3", "secretsmanager", "sns", "sqs", "ssm", "states",
    "sts", "tagging",
})  # fmt: skip
"""Services that ask KMS here, or take no key of their own."""
_NEVER_ASKED = frozenset({"states:CreateActivity", "s3:PutReplicationConfiguration"})
_AWS_OWNED = ("alias/aws/", "AWS_OWNED", "AWS_MANAGED", "NONE", "DISABLED")


def unasked_by(service: str, action: str, request: Served) -> str | None:
    """Return why a request that names a key is refused; None if it names none, only reads, or KMS is asked."""
    if (service in ASKING and action not in _NEVER_ASKED) or action.partition(":")[2].startswith(_READS):
        return None
    return _refusal(service, request.members())


def unasked_key(kind: str, properties: Any) -> str | None:
    """Return the same for the properties of a CloudFormation resource."""
    service = kind.split("::")[1].lower()
    asks = service in ASKING or kind == "AWS::StepFunctions::StateMachine"
    return None if asks else _refusal(service, members_of(properties))


def _refusal(service: str, members: Members) -> str | None:
    for name, value in members:
        named = is_key_member(service, name) or ("key" in name.lower() and _KEY_ARN.fullmatch(value))
        if named and value and not value.startswith(_AWS_OWNED):
            return (
                f"The embedded AWS does not ask KMS for {service}, so it refuses {name} {value}: leave it out, "
                "or test this in an account (docs/embedded-aws.md lists the services that ask)"
            )
    return None


def is_key_member(service: str, name: str) -> bool:
    """Return whether a member's name says that it names a KMS key."""
    if name in _OF_SERVICE.get(service, ()):
        return True
    return _KEY_MEMBER.search(name) is not None and _NOT_A_KEY.search(name) is None
