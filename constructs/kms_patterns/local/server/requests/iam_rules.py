"""Quotas and names of IAM, and what Lambda refuses of roles, variables and permissions.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kms_patterns.local.server.authorization.caller import principal_exists
from kms_patterns.local.server.emulator.acting import NotAssumable, NotPermitted, service_role
from kms_patterns.local.server.emulator.emulator import IAM, LAMBDA, reach

Params = Mapping[str, Any]
Refusal = tuple[str, str]
"""Code and message of an error."""

_MOST_KEYS, _MOST_ATTACHED = 2, 10
# By kind of principal: the bytes, without white space, of all its inline policies; of a managed policy.
_INLINE = {"User": 2048, "Group": 5120, "Role": 10240}
_MANAGED = 6144


def _access_key(params: Params) -> Iterator[Refusal]:
    keys = [key for key in reach(IAM, "_access_keys").values() if key.get("UserName") == params.get("UserName")]
    if params.get("UserName") and len(keys) >= _MOST_KEYS:
        yield "LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {_MOST_KEYS}"


def _managed(params: Params) -> Iterator[Refusal]:
    if _size(params.get("PolicyDocument")) > _MANAGED:
        yield "LimitExceeded", f"Cannot exceed quota for PolicySize: {_MANAGED}"


def _size(document: Any) -> int:
    return len(re.sub(r"\s", "", str(document or "")).encode())


def _inline(kind: str) -> Callable[[Params], Iterator[Refusal]]:
    def check(params: Params) -> Iterator[Refusal]:
        name, policy = params.get(f"{kind}Name"), params.get("PolicyName")
        others = _inline_policies(kind, str(name))
        total = sum(_size(text if isinstance(text, str) else json.dumps(text)) for it, text in others if it != policy)
        if total + _size(params.get("PolicyDocument")) > _INLINE[kind]:
            said = f"Maximum policy size of {_INLINE[kind]} bytes exceeded for {kind.lower()} {name}"
            yield "LimitExceeded", said

    return check


def _inline_policies(kind: str, name: str) -> list[tuple[str, Any]]:
    if kind == "Role":
        return list(((reach(IAM, "_roles").get(name) or {}).get("InlinePolicies") or {}).items())
    return list((reach(IAM, f"_{kind.lower()}_inline_policies").get(name) or {}).items())


def _attached(kind: str) -> Callable[[Params], Iterator[Refusal]]:
    def check(params: Params) -> Iterator[Refusal]:
        arn = str(params.get("PolicyArn", ""))
        if ":aws:policy/" not in arn and arn not in reach(IAM, "_policies"):
            yield "NoSuchEntity", f"Policy {arn} does not exist or is not attachable."
        record = reach(IAM, f"_{kind.lower()}s").get(str(params.get(f"{kind}Name"))) or {}
        attached = record.get("AttachedPolicies") or []
        if arn not in attached and len(attached) >= _MOST_ATTACHED:
            yield "LimitExceeded", f"Cannot exceed quota for PoliciesPer{kind}: {_MOST_ATTACHED}"

    return check


def _taken(kind: str) -> Callable[[Params], Iterator[Refusal]]:
    def check(params: Params) -> Iterator[Refusal]:
        name = str(params.get(f"{kind}Name", "")).lower()
        if any(name == str(it).lower() for it in reach(IAM, f"_{kind.lower()}s")):
            yield "EntityAlreadyExists", f"{kind} with name {params.get(f'{kind}Name')} already exists."
        if str(params.get("Path", "")).startswith("/aws-service-role/"):
            yield "ValidationError", f"The path {params['Path']} is reserved for service-linked roles."

    return check


def _protected(params: Params) -> Iterator[Refusal]:
    name = str(params.get("RoleName"))
    if str((reach(IAM, "_roles").get(name) or {}).get("Path", "")).startswith("/aws-service-role/"):
        said = f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        yield "UnmodifiableEntity", said


def _in_use(kind: str) -> Callable[[Params], Iterator[Refusal]]:
    def check(params: Params) -> Iterator[Refusal]:
        named = params.get(f"{kind}Name") or params.get(f"{kind}Arn")
        groups = reach(IAM, "_groups")
        held = {
            "Group": (groups.get(named) or {}).get("Users"),
            "Policy": len((reach(IAM, "_policies").get(named) or {}).get("Versions") or ()) > 1,
            "User": any(named in group.get("Users", ()) for group in groups.values()),
        }
        first = {"Group": "users from group", "Policy": "all non-default versions", "User": "users from all groups"}
        if held[kind]:
            yield "DeleteConflict", f"Cannot delete entity, must remove {first[kind]} first."

    return check


def _reserved_tags(params: Params) -> Iterator[Refusal]:
    for name, value in params.items():
        if re.fullmatch(r"Tags\.member\.\d+\.Key", name) and str(value).lower().startswith("aws:"):
            yield "InvalidInput", f"Tag key {value} is invalid: keys that begin with aws: are reserved."


def _provider(params: Params) -> Iterator[Refusal]:
    if not str(params.get("Url", "")).startswith("https://"):
        yield "InvalidInput", "Invalid Open ID Connect Provider URL: it must begin with https://"


_RESERVED = re.compile(
    r"_HANDLER|_X_AMZN_TRACE_ID|AWS_(DEFAULT_)?REGION|AWS_EXECUTION_ENV|AWS_ACCESS_KEY(_ID)?|AWS_SECRET_ACCESS_KEY"
    r"|AWS_SESSION_TOKEN|AWS_LAMBDA_(FUNCTION_(NAME|MEMORY_SIZE|VERSION)|INITIALIZATION_TYPE|LOG_(GROUP|STREAM)_NAME"
    r"|RUNTIME_API)|LAMBDA_(TASK_ROOT|RUNTIME_DIR)"
)
_ENVIRONMENT_BYTES = 4096
_LONGEST_SECONDS = 900


def _function(params: Params) -> Iterator[Refusal]:
    timeout = params.get("Timeout")
    if isinstance(timeout, int) and timeout > _LONGEST_SECONDS:
        failed = f"failed to satisfy constraint: Member must have value less than or equal to {_LONGEST_SECONDS}"
        yield "ValidationException", f"1 validation error detected: Value '{timeout}' at 'timeout' {failed}"
    variables = (params.get("Environment") or {}).get("Variables") or {}
    beginning = "Lambda was unable to configure your environment variables because the environment variables you have "
    reserved = [name for name in variables if _RESERVED.fullmatch(name)]
    if reserved:
        said = "provided contains reserved keys that are currently not supported for modification. Reserved keys used"
        yield "InvalidParameterValueException", f"{beginning}{said} in this request: {', '.join(reserved)}"
    if len(json.dumps(variables, separators=(",", ":")).encode()) > _ENVIRONMENT_BYTES:
        yield "InvalidParameterValueException", f"{beginning}provided exceeded the 4KB limit."
    if params.get("CodeSigningConfigArn"):
        yield "CodeSigningConfigNotFoundException", "The code signing configuration cannot be found."
    yield from _code(params.get("Code") or {})


def _code(params: Params) -> Iterator[Refusal]:
    if params.get("SourceKMSKeyArn"):
        said = "The embedded AWS does not encrypt bundles, so it refuses SourceKMSKeyArn: leave it out here."
        yield "InvalidParameterValueException", said


def _permission(params: Params) -> Iterator[Refusal]:
    principal = str(params.get("Principal", ""))
    if principal.startswith("arn:") and not principal_exists(principal):
        said = "The provided principal was invalid. Please check the principal and try again."
        yield "InvalidParameterValueException", said


# By service of an event source: the actions that the function's role needs, the first of which the refusal names.
_POLLING = {
    "dynamodb": ("GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"),
    "kinesis": ("GetRecords", "GetShardIterator", "DescribeStream", "ListShards"),
    "sqs": ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"),
}
_NAMES = {"dynamodb": "DynamoDB", "kinesis": "Kinesis", "sns": "SNS", "sqs": "SQS"}
_SENDING = {
    "events": "PutEvents",
    "lambda": "InvokeFunction",
    "s3": "PutObject",
    "sns": "Publish",
    "sqs": "SendMessage",
}


def _event_source(params: Params) -> Iterator[Refusal]:
    source = str(params.get("EventSourceArn") or "")
    yield from _role_may(_role_of(str(params.get("FunctionName", ""))), source, _POLLING)


def _destinations(params: Params) -> Iterator[Refusal]:
    role = params.get("Role") or _role_of(str(params.get("FunctionName", "")))
    to = [(params.get("DeadLetterConfig") or {}).get("TargetArn")]
    to += [it.get("Destination") for it in (params.get("DestinationConfig") or {}).values() if it]
    sending = {service: (action,) for service, action in _SENDING.items()}
    yield from (refusal for arn in to if arn for refusal in _role_may(role, str(arn), sending))


def _role_of(function: str) -> str | None:
    name = function.partition(":function:")[2].partition(":")[0] or function.rpartition(":")[2] or function
    config = (reach(LAMBDA, "_functions").get(name) or {}).get("config") or {}
    return config.get("Role")


def _role_may(role: str | None, arn: str, needed: Mapping[str, tuple[str, ...]]) -> Iterator[Refusal]:
    service = arn.split(":")[2] if arn.startswith("arn:") else ""
    if role is None or service not in needed:
        return
    try:
        session = service_role(role, "lambda.amazonaws.com", "lambda")
        for action in needed[service]:
            resource = "*" if action.startswith("List") else arn
            session.require(f"{service}:{action}", resource)
    except (NotAssumable, NotPermitted):
        said = f"does not have permissions to call {needed[service][0]} on {_NAMES.get(service, service.title())}"
        yield "InvalidParameterValueException", f"The provided execution role {said}"


RULES: Mapping[str, tuple[Callable[[Params], Iterator[Refusal]], ...]] = {
    "lambda:CreateFunction": (_function, _destinations),
    "lambda:CreateEventSourceMapping": (_event_source,),
    "lambda:PutFunctionEventInvokeConfig": (_destinations,),
    "lambda:UpdateFunctionEventInvokeConfig": (_destinations,),
    "lambda:UpdateFunctionConfiguration": (_function, _destinations),
    "lambda:UpdateFunctionCode": (_code,),
    "lambda:AddPermission": (_permission,),
    "iam:CreateAccessKey": (_access_key,),
    "iam:CreateOpenIDConnectProvider": (_provider, _reserved_tags),
    "iam:CreatePolicy": (_managed, _reserved_tags),
    "iam:CreatePolicyVersion": (_managed,),
    **{f"iam:Create{kind}": (_taken(kind), _reserved_tags) for kind in ("Group", "Role", "User")},
    **{f"iam:Put{kind}Policy": (_protected, _inline(kind)) for kind in _INLINE},
    **{f"iam:Attach{kind}Policy": (_protected, _attached(kind)) for kind in _INLINE},
    **{f"iam:Delete{kind}": (_in_use(kind),) for kind in ("Group", "Policy", "User")},
    **{
        f"iam:{name}": (_protected,)
        for name in (
            "DeleteRole",
            "DeleteRolePermissionsBoundary",
            "DeleteRolePolicy",
            "DetachRolePolicy",
            "PutRolePermissionsBoundary",
            "UpdateAssumeRolePolicy",
            "UpdateRole",
        )
    },
    **{f"iam:Tag{kind}": (_reserved_tags,) for kind in ("Policy", "Role", "User")},
}
"""By action, what yields the refusals of a request."""
