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
from kms_patterns.local.server.emulator.emulator import IAM, LAMBDA, RESPONSES, reach

Params = Mapping[str, Any]
Refusal = tuple[str, str]
"""Code and message of an error."""

_MOST_KEYS, _MOST_ATTACHED = 2, 10
# By kind of principal: the bytes, without white space, of all its inline policies; of a managed policy.
_INLINE = {"User": 2048, "Group": 5120, "Role": 10240}
_MANAGED, _TRUST, _MOST_GROUPS, _MOST_TAGS = 6144, 2048, 10, 50


def _access_key(params: Params) -> Iterator[Refusal]:
    keys = [key for key in reach(IAM, "_access_keys").values() if key.get("UserName") == params.get("UserName")]
    if params.get("UserName") and len(keys) >= _MOST_KEYS:
        yield "LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {_MOST_KEYS}"


def _trust(params: Params) -> Iterator[Refusal]:
    if _size(params.get("AssumeRolePolicyDocument") or params.get("PolicyDocument")) > _TRUST:
        yield "LimitExceeded", f"Cannot exceed quota for ACLSizePerRole: {_TRUST}"


def _member(params: Params) -> Iterator[Refusal]:
    name = str(params.get("UserName"))
    joined = [it for it in reach(IAM, "_groups").values() if name in it.get("Users", ())]
    if len(joined) >= _MOST_GROUPS:
        yield "LimitExceeded", f"Cannot exceed quota for GroupsPerUser: {_MOST_GROUPS}"


def _linked(params: Params) -> Iterator[Refusal]:
    if not re.fullmatch(r"[\w.-]+\.amazonaws\.com", str(params.get("AWSServiceName"))):
        yield "InvalidInput", f"{params.get('AWSServiceName')} is not the name of an AWS service."


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
        # A stack attaches several at once.
        if arn not in attached and max(len(attached), params.get("_attached", 0) - 1) >= _MOST_ATTACHED:
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
        inline = _inline_policies(kind, str(named)) if kind != "Policy" else ()
        if inline:
            yield "DeleteConflict", "Cannot delete entity, must delete policies first."
        if kind == "User" and named in reach(IAM, "_login_profiles"):
            yield "DeleteConflict", "Cannot delete entity, must delete login profile first."
        first = {"Group": "users from group", "Policy": "all non-default versions", "User": "users from all groups"}
        if held[kind]:
            yield "DeleteConflict", f"Cannot delete entity, must remove {first[kind]} first."

    return check


def _reserved_tags(params: Params) -> Iterator[Refusal]:
    if sum(re.fullmatch(r"Tags\.member\.\d+\.Key", name) is not None for name in params) > _MOST_TAGS:
        yield "LimitExceeded", f"Cannot exceed quota for TagsPerResource: {_MOST_TAGS}"
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
# Layers that AWS publishes for every account.
_PUBLIC = re.compile(
    r":(017000801446|094274105915):layer:AWSLambdaPowertools|:\d{12}:layer:(LambdaInsightsExtension|AWS-AppConfig-Exten"
    r"sion|AWS-Parameters-and-Secrets-Lambda-Extension)|:(901920570463|615299751070):layer:(aws-otel-|AWSOpenTelemetry)"
)
_ENVIRONMENT_BYTES = 4096
_LONGEST_SECONDS = 900


def _function(params: Params) -> Iterator[Refusal]:
    timeout = params.get("Timeout")
    if isinstance(timeout, int) and timeout > _LONGEST_SECONDS:
        failed = f"failed to satisfy constraint: Member must have value less than or equal to {_LONGEST_SECONDS}"
        yield "ValidationException", f"1 validation error detected: Value '{timeout}' at 'timeout' {failed}"
    if params.get("Role") and not principal_exists(str(params["Role"])):
        said = "The role defined for the function cannot be assumed by Lambda."
        yield "InvalidParameterValueException", said
    variables = (params.get("Environment") or {}).get("Variables") or {}
    beginning = "Lambda was unable to configure your environment variables because the environment variables you have "
    reserved = [name for name in variables if _RESERVED.fullmatch(name)]
    if reserved:
        said = "provided contains reserved keys that are currently not supported for modification. Reserved keys used"
        yield "InvalidParameterValueException", f"{beginning}{said} in this request: {', '.join(reserved)}"
    if len(json.dumps(variables, separators=(",", ":")).encode()) > _ENVIRONMENT_BYTES:
        yield "InvalidParameterValueException", f"{beginning}provided exceeded the 4KB limit."
    layers, account = params.get("Layers") or [], reach(RESPONSES, "get_account_id")()
    if len(layers) > _MOST_LAYERS:
        yield "InvalidParameterValueException", f"Cannot reference more than {_MOST_LAYERS} layers."
    for layer in layers:
        if f":{account}:layer:" not in str(layer) and not _PUBLIC.search(str(layer)):
            # The embedded AWS has one account: nothing of another could say that it lets this one use a layer.
            said = f"The embedded AWS has no layers of other accounts but AWS's, so it refuses {layer}: leave it out."
            yield "AccessDeniedException", said
    if params.get("CodeSigningConfigArn"):
        yield "CodeSigningConfigNotFoundException", "The code signing configuration cannot be found."
    yield from _code(params.get("Code") or {})


def _alias(params: Params) -> Iterator[Refusal]:
    name, version = str(params.get("FunctionName", "")), params.get("FunctionVersion", "$LATEST")
    known = (reach(LAMBDA, "_functions").get(name.rpartition(":function:")[2] or name) or {}).get("versions") or {}
    if version != "$LATEST" and version not in known:
        yield "ResourceNotFoundException", f"Function not found: {name}:{version}"


_MOST_CONCURRENT, _MOST_LAYERS = 900, 5


def _concurrency(params: Params) -> Iterator[Refusal]:
    if params.get("Qualifier") == "$LATEST":
        said = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        yield "InvalidParameterValueException", said
    if int(params.get("ReservedConcurrentExecutions") or 0) > _MOST_CONCURRENT:
        said = "decreases account's UnreservedConcurrentExecution below its minimum value of [100]."
        yield "InvalidParameterValueException", f"Specified ReservedConcurrentExecutions for function {said}"


def _code(params: Params) -> Iterator[Refusal]:
    if params.get("SourceKMSKeyArn"):
        said = "The embedded AWS does not encrypt bundles, so it refuses SourceKMSKeyArn: leave it out here."
        yield "InvalidParameterValueException", said


def _permission(params: Params) -> Iterator[Refusal]:
    principal = str(params.get("Principal", ""))
    if principal.startswith("arn:") and not principal_exists(principal):
        said = "The provided principal was invalid. Please check the principal and try again."
        yield "InvalidParameterValueException", said


RULES: Mapping[str, tuple[Callable[[Params], Iterator[Refusal]], ...]] = {
    "lambda:CreateFunction": (_function,),
    "lambda:UpdateFunctionConfiguration": (_function,),
    "lambda:CreateAlias": (_alias,),
    "lambda:UpdateAlias": (_alias,),
    "lambda:PutFunctionConcurrency": (_concurrency,),
    "lambda:PutProvisionedConcurrencyConfig": (_concurrency,),
    "lambda:UpdateFunctionCode": (_code,),
    "lambda:AddPermission": (_permission,),
    "iam:CreateAccessKey": (_access_key,),
    "iam:CreateOpenIDConnectProvider": (_provider, _reserved_tags),
    "iam:CreatePolicy": (_managed, _reserved_tags),
    "iam:CreatePolicyVersion": (_managed,),
    **{f"iam:Create{kind}": (_taken(kind), _reserved_tags, _trust) for kind in ("Group", "Role", "User")},
    "iam:AddUserToGroup": (_member,),
    "iam:CreateServiceLinkedRole": (_linked,),
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
            "UpdateRole",
        )
    },
    "iam:UpdateAssumeRolePolicy": (_protected, _trust),
    **{f"iam:Tag{kind}": (_reserved_tags,) for kind in ("Policy", "Role", "User")},
}
"""By action, what yields the refusals of a request."""
