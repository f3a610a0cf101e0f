"""The emulator's other services decide by our evaluation of policies as well: S3, Lambda, DynamoDB and the rest.

Its own matches wildcards across the parts of an ARN, knows no policy variables, and passes over what it cannot
read: a Deny with NotPrincipal, with an unknown operator, or malformed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qs

from kms_patterns.local.server.authorization.authorization import lookup_in
from kms_patterns.local.server.authorization.caller import principal_of, role_arn_of
from kms_patterns.local.server.authorization.decision import Policies, closest, explicit_deny
from kms_patterns.local.server.authorization.policy_statements import Named, Request, Statement, parse
from kms_patterns.local.server.emulator.emulator import EVALUATOR, reach


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
        request = _request(ctx)
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
        request = _request(ctx, service)
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


# The emulator fills none of these services' condition keys: not to know one is another thing than its absence.
_UNFILLED = (
    "cloudformation:", "dynamodb:", "ec2:", "events:", "iam:", "kinesis:", "secretsmanager:", "sns:", "ssm:", "states:",
)  # fmt: skip
_FILLED = frozenset({"dynamodb:enclosingoperation", "iam:passedtoservice"})


# By condition key: the header that gives its value.
_VALUES = {
    **{f"s3:{name}": name for name in (
        "if-match", "if-none-match", "x-amz-acl", "x-amz-content-sha256", "x-amz-copy-source",
        "x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp", "x-amz-grant-write",
        "x-amz-grant-write-acp", "x-amz-metadata-directive", "x-amz-object-ownership",
        "x-amz-storage-class", "x-amz-website-redirect-location",
    )},
    **{f"s3:object-lock-{name}": f"x-amz-object-lock-{name}" for name in ("legal-hold", "mode", "retain-until-date")},
}  # fmt: skip


def s3_conditions(headers: Mapping[str, str], query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield condition keys of S3 with their values: how a request is signed, and what its headers say.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html
    """
    yield from ((key, headers[name]) for key, name in _VALUES.items() if headers.get(name))
    if version := _value(query, "versionId"):
        yield "s3:versionid", version
    # Older ones are refused here; which of the newer ones a connection has, is not known.
    yield "s3:TlsVersion", "1.2"
    signed = _value(query, "X-Amz-Date")
    yield "s3:authType", "REST-QUERY-STRING" if signed or _value(query, "Signature") else "REST-HEADER"
    yield "s3:signatureversion", "AWS4-HMAC-SHA256" if signed or _SIGNED in headers.get("authorization", "") else "AWS"
    with suppress(ValueError):
        # Without a date that can be read the age is not known, and every Deny applies.
        at = datetime.strptime(signed or headers.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        yield "s3:signatureAge", str(int((datetime.now(UTC) - at).total_seconds() * 1000))
    for name, values in parse_qs(headers.get("x-amz-tagging", "")).items():
        yield f"s3:RequestObjectTag/{name}", values[0]


_SIGNED = "AWS4-HMAC-SHA256"
# The object of a further check, such as the source of a copy, has tags and a version that its context lacks.
_OF_OBJECT = ("s3:existingobjecttag/", "s3:versionid")
_OF_HEADERS = tuple(key.lower() for key in _VALUES if "object-lock" not in key)
_ABSENT = (
    *_OF_HEADERS, "s3:accesspointnetworkorigin", "s3:dataaccesspoint", "s3:delimiter", "s3:max-keys", "s3:prefix",
    "s3:requestobjecttag/", "s3:resourceaccount", "s3:signatureversion", "s3:versionid",
    "s3:x-amz-server-side-encryption",
)  # fmt: skip


def _is_absent(action: str, key: str) -> bool:
    # A condition key of S3 that has no value here, and none on AWS.
    if key.startswith("s3:existingobjecttag/"):
        return not action.endswith(("Acl", "Attributes", "Encryption", "Tagging"))
    if key.startswith("s3:requestobjecttag/"):
        return not action.endswith("Tagging")
    if key.startswith("s3:object-lock-remaining"):
        return action not in {"s3:PutObject", "s3:PutObjectRetention"}
    if key.startswith("s3:object-lock-"):
        return action not in {"s3:PutObjectLegalHold", "s3:PutObjectRetention"}
    # Only what a service does by itself has none, and no service of AWS uses an older version.
    return key == "s3:tlsversion" or key.startswith(_ABSENT)


def _value(query: Mapping[str, Any], name: str) -> str:
    found = query.get(name) or ""
    return str(found[0] if isinstance(found, list) else found)


def _is_filled(ctx: Any, key: str) -> bool:
    if key.startswith("s3:"):
        further = "s3:TlsVersion" not in ctx.service_context and ctx.resource_arn.count("/")
        return not (further and key.startswith(_OF_OBJECT)) and _is_absent(ctx.action, key)
    return key in _FILLED or not key.startswith(_UNFILLED)


def _request(ctx: Any, service: str | None = None) -> Request:
    principal = principal_of(ctx.principal_arn, ctx.principal_account, service)
    return Request(ctx.action, ctx.resource_arn, principal, lookup_in(ctx, partial(_is_filled, ctx)))


def _result(decision: str, ctx: Any, statement: Statement | None) -> object:
    sid = statement.sid if statement else ""
    return reach(EVALUATOR, "EvalResult")(decision, ctx.principal_arn, sid, "")


def resolve_condition_key(original: Callable[..., Any]) -> Callable[..., Any]:
    """aws:PrincipalArn of a session is its role's ARN, as IAM defines it."""

    def resolve(key: str, ctx: Any) -> object:
        value = original(key, ctx)
        return role_arn_of(value) if key.lower() == "aws:principalarn" else value

    return resolve
