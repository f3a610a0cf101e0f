"""The emulator's other services decide by our evaluation of policies as well: S3, Lambda, DynamoDB and the rest.

Its own matches wildcards across the parts of an ARN, knows no policy variables, and passes over what it cannot
read: a Deny with NotPrincipal, with an unknown operator, or malformed.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

from kms_patterns.local.server.authorization.authorization import lookup_in
from kms_patterns.local.server.authorization.caller import principal_of, role_arn_of
from kms_patterns.local.server.authorization.decision import Policies, closest, explicit_deny
from kms_patterns.local.server.authorization.patterns import UNKNOWN
from kms_patterns.local.server.authorization.policy_statements import Named, Request, Statement, parse
from kms_patterns.local.server.authorization.resource_policies import has_condition_key
from kms_patterns.local.server.emulator.acting import acting
from kms_patterns.local.server.emulator.emulator import EVALUATOR, S3, TAGGING, reach
from kms_patterns.local.server.requests.request_members import Served, elements_of, serving, tags_of


@dataclass(frozen=True)
class EmulatedStatement(Statement):
    """A statement with the one attribute that the emulator reads itself."""

    @property
    def conditions(self) -> Any:
        """The element Condition."""
        condition = self.body.get("Condition")
        return condition if isinstance(condition, dict) else {}


def parse_document(_original: Callable[..., object]) -> Callable[[object], list[EmulatedStatement]]:
    """Read policies without dropping what the emulator would drop."""

    def parse_policy_document(doc: object) -> list[EmulatedStatement]:
        return [EmulatedStatement(s.policy, s.position, s.body, s.variables) for s in parse(doc, "identity policy")]

    return parse_policy_document


def first_match(_original: Callable[..., object]) -> Callable[..., Statement | None]:
    """Return the first statement about a request by our evaluation."""

    def match(ctx: Any, stmts: Sequence[Statement], effect: str) -> Statement | None:
        request = request_of(ctx)
        return next((s for s in stmts if s.effect == effect and s.about(request)), None)

    return match


def resource_policy(_original: Callable[..., object]) -> Callable[..., object]:
    """Decide by a resource-based policy alone."""

    def evaluate_resource_policy(
        doc: object,
        ctx: Any,
        service: str | None = None,
        named_only: bool = False,  # noqa: FBT001, FBT002 - the emulator's signature
        direct_only: bool = False,  # noqa: FBT001, FBT002
    ) -> object:
        request = request_of(ctx, service)
        needed = Named.ITSELF if direct_only else Named.BY_ROLE if named_only else Named.BY_ACCOUNT
        policies = Policies((), resource=parse(doc, "resource policy"))
        denied = explicit_deny(request, policies)
        closeness, allowing = closest(request, policies.resource)
        if denied is not None and denied.statement is not None:
            return _result("Deny", ctx, denied.statement)
        if allowing is not None and closeness >= needed:
            return _result("Allow", ctx, allowing)
        return _result("ImplicitDeny", ctx, None)

    return evaluate_resource_policy


def root_access_key(original: Callable[[str], bool]) -> Callable[[str], bool]:
    """Take the well-known key ``test``, and account numbers, for no root: only the server's own key is."""
    # A request asks four times; the server's own key does not change.
    return lru_cache(maxsize=512)(lambda key: original(key) and key != "test" and not key.isdigit())


def signature_unchecked(_original: Callable[[str], bool]) -> Callable[[str], bool]:
    """Check the signature of the account root as everyone's: its access key id is in every URL that it presigns."""
    return lambda _access_key_id: False


# All that the emulator fills of other services' condition keys: not to know one is another thing than its absence.
_FILLED = frozenset({"dynamodb:enclosingoperation", "iam:passedtoservice"})
# By condition key of S3: the header that gives its value.
_VALUES = {
    **{f"s3:{name}": name for name in (
        "if-match", "if-none-match", "x-amz-acl", "x-amz-bucket-namespace", "x-amz-content-sha256", "x-amz-copy-source",
        "x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp", "x-amz-grant-write",
        "x-amz-grant-write-acp", "x-amz-metadata-directive", "x-amz-object-annotation-directive",
        "x-amz-object-if-match", "x-amz-object-ownership", "x-amz-storage-class", "x-amz-website-redirect-location",
    )},
    **{f"s3:object-lock-{name}": f"x-amz-object-lock-{name}" for name in (
        "event-hold", "event-hold-duration-days", "legal-hold", "mode", "retain-until-date",
    )},
}  # fmt: skip
# By action: what an element of its body says, where others have a header.
_ELEMENTS = {
    "s3:CreateBucket": {"LocationConstraint": "s3:locationconstraint"},
    "s3:PutObjectLegalHold": {"Status": "s3:object-lock-legal-hold"},
    "s3:PutObjectRetention": {"Mode": "s3:object-lock-mode", "RetainUntilDate": "s3:object-lock-retain-until-date"},
}
_OBJECT = re.compile(r"arn:aws[a-z-]*:s3:(?:::([^/]+)|[^:]*:\d*:accesspoint/[^/]+/object)/(.+)", re.DOTALL)
_SIGNED = "AWS4-HMAC-SHA256"
# One that is listed for an action, is not among these and has no value, is not known.
_FILLED_OF_S3 = (
    *(key.lower() for key in _VALUES), "s3:accessgrantsinstancearn", "s3:accesspointnetworkorigin",
    "s3:annotation-prefix", "s3:buckettag/", "s3:dataaccesspoint", "s3:delimiter", "s3:existingobjecttag/",
    "s3:locationconstraint", "s3:max-", "s3:object-lock-remaining-retention-days", "s3:objectcreationoperation",
    "s3:prefix", "s3:requestobjecttag", "s3:resourceaccount", "s3:versionid", "s3:x-amz-server-side-encryption",
)  # fmt: skip


def filling(original: Callable[..., Any]) -> Callable[..., Any]:
    """Give each check of S3, a request's first or a further one, the condition keys of its request and its object."""

    def enforce(access_key: str, action: str, service: str, *region: str, **on: Any) -> Any:
        if service != "s3":
            return original(access_key, action, service, *region, **on)
        arn, given = on.get("resource_arn", "*"), on.get("service_context") or {}
        asked: list[tuple[str, str | None]] = [(action, None)]
        if action in _DELETING and (request := serving.get()) is not None and (named := _OBJECT.fullmatch(arn)):
            asked = [(_DELETING[bool(it)], it) for it in request.deleted().get(named[2], ())] or asked
        for one, version in asked:
            filled = given
            if version or "s3:authType" not in given:
                filled = given | dict(s3_conditions(one, arn, version))
            denied = original(access_key, one, service, *region, **on | {"service_context": filled})
            if denied is not None:
                return denied
        return None

    return enforce


_DELETING = ("s3:DeleteObject", "s3:DeleteObjectVersion")


def s3_conditions(action: str, arn: str, version: str | None = None) -> Iterator[tuple[str, Any]]:
    """Yield condition keys of S3 with their values: how a request is signed, what it holds, what its object has.

    What a service does for its caller, such as reading the code of a function, is signed by the service.

    AWS: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
    https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
    """
    served = serving.get()
    request = served if served is not None and acting() is None and served.signed_for in {"", "s3"} else _BY_SERVICE
    yield from _signing(request)
    stored = _OBJECT.fullmatch(arn)
    version = version or request.version_of(arn) if "Version" in action else None
    if version:
        yield "s3:versionid", version
    if stored and stored[1]:
        tags = reach(S3, "object_tags_for_condition")(stored[1], stored[2], {"versionId": [version or ""]})
        yield from ((f"s3:ExistingObjectTag/{name}", value) for name, value in tags.items())
    yield from _content(request, action)


_BY_SERVICE = Served("", "", {"authorization": _SIGNED}, b"", {})


def _signing(request: Served) -> Iterator[tuple[str, str]]:
    # Older versions are refused here; which of the newer ones a connection has, is not known.
    yield "s3:TlsVersion", "1.2"
    fields, date = request.fields, request.parameter("X-Amz-Date")
    by_query = date or request.parameter("Signature")
    yield "s3:authType", "POST" if request.is_form else "REST-QUERY-STRING" if by_query else "REST-HEADER"
    newer = date or fields.get("x-amz-algorithm") or _SIGNED in fields.get("authorization", "")
    yield "s3:signatureversion", _SIGNED if newer else "AWS"
    if request is _BY_SERVICE:
        yield "s3:signatureAge", "0"
    with suppress(ValueError):
        # Without a date that can be read the age is not known, and every Deny applies.
        at = datetime.strptime(date or fields.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        yield "s3:signatureAge", str(int((datetime.now(UTC) - at).total_seconds() * 1000))


def _content(request: Served, action: str) -> Iterator[tuple[str, Any]]:
    values = {key: request.fields[name] for key, name in _VALUES.items() if request.fields.get(name)}
    elements = elements_of(request.body) if action in _ELEMENTS else []
    values |= {_ELEMENTS[action][name]: text for name, text in elements if name in _ELEMENTS.get(action, ())}
    yield from values.items()
    yield from ((f"s3:{name}", value) for name in _OF_QUERY if (value := request.parameter(name)))
    with suppress(ValueError):
        until = datetime.fromisoformat(values.get("s3:object-lock-retain-until-date", "").replace("Z", "+00:00"))
        days = (until - datetime.now(UTC)).total_seconds() / 86400
        yield "s3:object-lock-remaining-retention-days", str(ceil(days))
    # A part is not the creation of an object, its completion is.
    part = "uploads" in request.query or {"uploadId", "partNumber"} <= request.query.keys()
    yield "s3:ObjectCreationOperation", str(not part).lower()
    tags = dict(parse_qsl(request.fields.get("x-amz-tagging", ""), keep_blank_values=True))
    tags |= tags_of(request.body.decode("utf-8", "replace")) if action.endswith("Tagging") else {}
    yield from ((f"s3:RequestObjectTag/{name}", value) for name, value in tags.items())
    if tags:
        yield "s3:RequestObjectTagKeys", [*tags]


_OF_QUERY = ("annotation-prefix", "max-annotation-results")


def _is_filled(ctx: Any, key: str) -> bool:
    """Return whether a condition key without a value is absent, as on AWS, rather than unknown."""
    if key in _FILLED or not has_condition_key(ctx.action, key):
        return True
    # An access point's object, and the tags that a copy takes along, are not looked up.
    beyond = key.startswith("s3:existingobjecttag/") and not ctx.resource_arn.partition("/")[0].count(":::")
    copied = ctx.action != "s3:PutObject" and "s3:x-amz-copy-source" in ctx.service_context
    copied = copied and key.startswith("s3:requestobjecttag")
    return key.startswith(_FILLED_OF_S3) and not beyond and not copied


def request_of(ctx: Any, service: str | None = None) -> Request:
    """Return a request as our evaluation takes it."""
    principal = principal_of(ctx.principal_arn, ctx.principal_account, service)
    return Request(ctx.action, ctx.resource_arn, principal, lookup_in(ctx, partial(_is_filled, ctx)))


def _result(decision: str, ctx: Any, statement: Statement | None) -> object:
    sid = statement.sid if statement else ""
    return reach(EVALUATOR, "EvalResult")(decision, ctx.principal_arn, sid, "")


def resolve_condition_key(original: Callable[..., Any]) -> Callable[..., Any]:
    """aws:PrincipalArn of a session is its role's ARN, as IAM defines it; an action has the keys of AWS's list."""

    def resolve(key: str, ctx: Any) -> object:
        if key[:3].lower() == "s3:" and not has_condition_key(ctx.action, key.lower()):
            return None
        value = original(key, ctx)
        if value is None and key.lower().startswith("aws:resourcetag/"):
            return _resource_tag(ctx, key.lower().partition("/")[2])
        return role_arn_of(value) if key.lower() == "aws:principalarn" else value

    return resolve


def _resource_tag(ctx: Any, name: str) -> object:
    # KMS fills its own; S3's buckets have none unless they are enabled for it, which is refused here. What is created
    # has none yet.
    arn = ctx.resource_arn
    if arn == "*" or ctx.action.startswith(("kms:", "s3:", "kinesis:CreateStream", "logs:CreateLogGroup")):
        return None
    if arn.split(":")[2:3] not in [[it] for it in reach(TAGGING, "_RESOURCE_TAG_COLLECTORS")]:
        return UNKNOWN
    # An index has its table's tags, a version or an alias its function's.
    of = ":".join(arn.split(":")[:7]) if ":function:" in arn else arn.partition("/index/")[0]
    tags = reach(TAGGING, "resource_tags")(of) or {}
    found = [value for key, value in tags.items() if key.lower() == name]
    return found[0] if len(found) == 1 else found or None
