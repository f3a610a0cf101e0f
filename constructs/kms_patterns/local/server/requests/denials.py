"""Which IAM action a request needs, and which kind of policy denied it, in AWS's words.

The emulator takes a DeleteAlias of Lambda for a ListAliases, and serves what it has no action for to every principal.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from os import urandom
from typing import Any

from kms_patterns.local.server.emulator.emulator import ACTIONS, EVALUATOR, reach
from kms_patterns.local.server.requests.further_permissions import partiql
from kms_patterns.local.server.requests.request_shapes import lambda_operation

_IDENTITY = "identity-based policy"
_decided: ContextVar[str] = ContextVar("decided", default=_IDENTITY)
_asked: ContextVar[str] = ContextVar("asked", default="*")


class Layer(list[Any]):
    """The policies of one limit, with their kind."""

    def __init__(self, kind: str, policies: list[Any]) -> None:
        super().__init__(policies)
        self.kind = kind


def of_kind(kind: str) -> Callable[[Callable[..., list[Any]]], Callable[..., list[Any]]]:
    """Return what marks the limits that a function of the emulator returns."""

    def wrap(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        return lambda *arguments: [Layer(kind, layer) for layer in original(*arguments)]

    return wrap


def evaluate(original: Callable[..., Any]) -> Callable[..., Any]:
    """Remember which layer of policies decided on a denial."""

    def decide(ctx: Any, policies: list[Any], *limits: Layer) -> Any:
        result = original(ctx, policies, *limits)
        _decided.set(_IDENTITY)
        _asked.set(ctx.resource_arn)
        match = reach(EVALUATOR, "_first_match")
        flat = [(getattr(layer, "kind", _IDENTITY), [stmt for stmts in layer for stmt in stmts]) for layer in limits]
        identity = [stmt for stmts in policies for stmt in stmts]
        if result.decision == "Deny" and not match(ctx, identity, "Deny"):
            _decided.set(next((kind for kind, stmts in flat if match(ctx, stmts, "Deny")), _IDENTITY))
        if result.decision == "ImplicitDeny" and match(ctx, identity, "Allow"):
            _decided.set(next((kind for kind, stmts in flat if not match(ctx, stmts, "Allow")), _IDENTITY))
        return result

    return decide


def combine(original: Callable[..., Any]) -> Callable[..., Any]:
    """Remember that a resource's own policy denied."""

    def decide(*policies: Any, **more: Any) -> Any:
        result = original(*policies, **more)
        if result.resource_policy_arn:
            _decided.set("resource-based policy")
        return result

    return decide


def reason_of(action: str, *, explicit: bool) -> str:
    """Return why the last decision of this request was a denial, in AWS's words."""
    kind = _decided.get()
    article = "an" if kind.startswith("i") else "a"
    return f"with an explicit deny in {article} {kind}" if explicit else f"because no {kind} allows the {action} action"


def message(_original: Callable[..., str]) -> Callable[..., str]:
    """Return the text of a denial with the resource."""

    def text(action: str, principal_arn: str, resource: str, explicit_deny: bool) -> str:  # noqa: FBT001 - the emulator's
        why = reason_of(action, explicit=explicit_deny)
        return f"User: {principal_arn} is not authorized to perform: {action} on resource: {resource} {why}"

    return text


def response(original: Callable[..., Any]) -> Callable[..., Any]:
    """Give the text, with the resource in the service's spelling, to the responses that the emulator words itself."""

    def answer(service: str, action: str, principal_arn: str, request_id: str, **more: Any) -> Any:
        if not more.get("message") and not more.get("error_code"):
            denied = reach(ACTIONS, "_resource_policy_denial")(service, action, principal_arn, _asked.get())
            before, _, on = denied.partition(" is not authorized to perform: ")
            spelled, _, arn = on.partition(" on resource: ")
            resource = "" if _asked.get() == "*" else f" on resource: {arn.partition(' ')[0]}"
            why = reason_of(spelled, explicit=bool(more.get("explicit_deny")))
            more["message"] = f"{before} is not authorized to perform: {spelled}{resource} {why}"
        status, fields, content = original(service, action, principal_arn, request_id, **more)
        if service == "s3":
            fields, content = {**fields, "x-amz-request-id": request_id}, with_host(content)
        return status, fields, content

    return answer


def with_host(content: bytes) -> bytes:
    """Return an error of S3 with the id of the host, as S3 ends one."""
    host = b64encode(urandom(48))
    return content.replace(b"</RequestId></Error>", b"</RequestId><HostId>" + host + b"</HostId></Error>")


# Operations whose permission has another name.
_OF_LAMBDA = {
    "GetLayerVersionByArn": "GetLayerVersion", "Invoke": "InvokeFunction", "InvokeAsync": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
}  # fmt: skip
_PREFIXES = {
    "documentdb": "rds", "kinesisanalyticsv2": "kinesisanalytics", "lambda-core": "lambda",
    "lambda-microvms": "lambda", "monitoring": "cloudwatch", "s3files": "s3files",
}  # fmt: skip
_UNKNOWN = "UnknownOperation"
# AWS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
_OTHERWISE = {
    "sns:PublishBatch": "sns:Publish", "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage", "sqs:SendMessageBatch": "sqs:SendMessage",
}  # fmt: skip


def with_lambda(routes: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the emulator's table of REST services with Lambda's routes in it."""
    return {**routes, "lambda": ["lambda"]}


def naming(original: Callable[..., str | None]) -> Callable[..., str | None]:
    """Name the action of every request; one that cannot be named is allowed to ``service:*`` only."""

    def extract(service: str, *request: Any) -> str | None:
        method, path, headers, _body, query = request
        if service == "lambda":
            operation = reach(ACTIONS, "_match_rest_action")("lambda", method, path, query)
            if operation is None and (modelled := lambda_operation(method, path)):
                operation = modelled.name
            return f"lambda:{_OF_LAMBDA.get(operation, operation or _UNKNOWN)}"
        found = original(service, *request)
        if found is not None or service == "sts":
            return partiql(service, request[3])[0] or _OTHERWISE.get(str(found), found)
        named = headers.get("x-amz-target", "").rpartition(".")[2] or _first(query.get("Action"))
        # The protocol rpc-v2-cbor has the operation in the path.
        named = named or path.partition("/operation/")[2]
        return f"{_PREFIXES.get(service, service)}:{named or _UNKNOWN}"

    return extract


def _first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) and value else value or "")


_INVOKING = ("/invocations", "/invoke-async", "/response-streaming-invocations")


def qualifier(service: str, *rest: Any) -> str:
    """Return the version or alias that an invocation names: a policy for the function alone does not allow it.

    AWS: https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    """
    invoked = service == "lambda" and len(rest) > 4 and rest[1].rstrip("/").endswith(_INVOKING)  # noqa: PLR2004 - as in the emulator
    given = rest[4].get("Qualifier", "") if invoked else ""
    return str(given[0] if isinstance(given, list) and given else given or "")


# The emulator drops the empty parts of an object's key: a Deny of ``a//*`` would not be about ``a//b``.
_KEY = "\0"


def _plain(path: str) -> tuple[str, str]:
    bucket, _, key = path.lstrip("/").partition("/")
    return (f"/{bucket}/{_KEY}", key) if key else (path, "")


def of_object(original: Callable[..., str | None]) -> Callable[..., str | None]:
    """Name the action of a request to S3 by its whole path."""
    return lambda method, path, query: original(method, _plain(path)[0], query)


def with_further(original: Callable[..., list[tuple[str, str]]]) -> Callable[..., list[tuple[str, str]]]:
    """Return the further checks of a request to S3 on the object's whole key."""

    def checks(method: str, path: str, *rest: Any) -> list[tuple[str, str]]:
        plain, key = _plain(path)
        return [(action, arn.replace(_KEY, key)) for action, arn in original(method, plain, *rest)]

    return checks


_LOG_GROUP_COLONS = _FUNCTION_COLONS = 6


def not_of_kms(nothing: object, original: Callable[..., Any]) -> Callable[..., Any]:
    """Read no KMS request before our handler has checked its members: the emulator would fail on a malformed one."""

    def read(service: str, *rest: Any, **named: Any) -> object:
        if service == "kms":
            return nothing
        if service == "dynamodb" and nothing == "*" and (table := partiql(service, rest[3])[1]):
            return f"arn:aws:dynamodb:{rest[5]}:{rest[6]}:table/{table}"
        if service == "s3" and nothing == "*":
            plain, key = _plain(rest[1])
            return str(original(service, rest[0], plain, *rest[2:], **named)).replace(_KEY, key)
        found = original(service, *rest, **named)
        named_version = qualifier(service, *rest)
        if named_version and str(found).count(":") == _FUNCTION_COLONS:
            return f"{found}:{named_version}"
        if service == "secretsmanager" and rest[2].get("x-amz-target", "").endswith(".CreateSecret"):
            # The name alone allows nothing: the six characters that will end the ARN stand for any.
            return f"{found}-000000"
        # Policies name a log group with ``:*`` at its end.
        of_group = service == "logs" and ":log-group:" in str(found) and str(found).count(":") == _LOG_GROUP_COLONS
        return f"{found}:*" if of_group else found

    return read
