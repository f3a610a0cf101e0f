"""STS as AWS has it where the emulator is lenient: federation, names of sessions, tags, source identities, MFA.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.emulator.emulator import EVALUATOR, IAM, RESPONSES, ROUTER, STS, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_shapes import Params, params_of, query_error

Handler = Callable[..., Awaitable[Response]]

_FEDERATED = {"AssumeRoleWithWebIdentity": "WebIdentityToken", "AssumeRoleWithSAML": "SAMLAssertion"}
_NAMED = ("AssumeRole", "AssumeRoleWithWebIdentity")
_NAME = re.compile(r"[\w+=,.@-]*", re.ASCII)
_SHORTEST, _LONGEST = 2, 64
# What credentials of GetSessionToken may call of STS; of IAM they may call nothing without MFA.
_WITHOUT_MFA = frozenset({"sts:AssumeRole", "sts:GetCallerIdentity"})
_ISSUED = re.compile(r"<AccessKeyId>([A-Z0-9]+)</AccessKeyId>|\"AccessKeyId\": ?\"([A-Z0-9]+)\"")


def checking(original: Handler) -> Handler:
    """Return STS's handler with AWS's checks before it, and the source identity kept with the session that it made."""

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Response:
        params = params_of(method, headers, body, query_params)
        refused = _federation(params) or _session_name(params) or _source_identity(params, headers, query_params)
        if refused is not None:
            return refused
        response = await original(method, path, headers, body, query_params)
        if params.get("Action") == "AssumeRole" and response[0] == HTTPStatus.OK:
            _keep_source_identity(response[2], params, headers, query_params)
        return response

    return handle_request


def principal_keys(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Add aws:SourceIdentity to the condition keys of a session that was given one."""

    def keys(credential: Any) -> dict[str, Any]:
        session = reach(STS, "_sessions").get(credential.access_key_id) or {}
        identity = session.get("SourceIdentity")
        return original(credential) | ({"aws:sourceidentity": identity} if identity else {})

    return keys


def without_mfa(access_key: str, action: str) -> bool:
    """Return whether a session of GetSessionToken asks for what it may do with MFA only.

    AWS: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
    """
    session = reach(STS, "_sessions").get(access_key) or {}
    return session.get("PrincipalType") == "User" and action.startswith(("iam:", "sts:")) and action not in _WITHOUT_MFA


def _federation(params: Params) -> Response | None:
    token = _FEDERATED.get(params.get("Action", ""))
    if token is None:
        return None
    # Without the provider's published keys no token can be verified; to take one unverified would let anyone in.
    return query_error(
        "sts",
        "InvalidIdentityToken",
        f"The embedded AWS reaches no identity provider, so it cannot verify a {token} and accepts none; "
        "use AssumeRole, or `kms-patterns local as ROLE`.",
    )


def _session_name(params: Params) -> Response | None:
    name = params.get("RoleSessionName")
    if params.get("Action") not in _NAMED or name is None:
        return None
    if len(name) < _SHORTEST:
        rule = f"Member must have length greater than or equal to {_SHORTEST}"
    elif len(name) > _LONGEST:
        rule = f"Member must have length less than or equal to {_LONGEST}"
    elif not _NAME.fullmatch(name):
        rule = "Member must satisfy regular expression pattern: [\\w+=,.@-]*"
    else:
        return None
    found = f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: {rule}"
    return query_error("sts", "ValidationError", found)


def _source_identity(params: Params, headers: Mapping[str, str], query: Mapping[str, Any]) -> Response | None:
    if params.get("Action") != "AssumeRole":
        return None
    access_key = reach(ROUTER, "extract_access_key_id")(headers, query)
    role_arn, identity = params.get("RoleArn", ""), params.get("SourceIdentity")
    inherited = (reach(STS, "_sessions").get(access_key) or {}).get("SourceIdentity")
    if identity and inherited and identity != inherited:
        return _denied(access_key, "sts:SetSourceIdentity", role_arn)
    tagged = any(name == "Tags" or name.startswith("Tags.member.") for name in params)
    needed = [("sts:TagSession", tagged), ("sts:SetSourceIdentity", bool(identity or inherited))]
    for action, wanted in needed:
        if wanted and not _may(access_key, action, role_arn, identity or inherited):
            return _denied(access_key, action, role_arn)
    return None


def _may(access_key: str, action: str, role_arn: str, identity: str | None) -> bool:
    context = {"sts:sourceidentity": identity} if identity else {}
    denied = reach(EVALUATOR, "enforce")(
        access_key, action, "sts", reach(RESPONSES, "get_region")(), resource_arn=role_arn, service_context=context
    )
    caller = reach(EVALUATOR, "resolve_principal")(access_key, reach(RESPONSES, "get_account_id")())
    if denied is not None or isinstance(caller, reach(EVALUATOR, "AuthError")):
        return False
    if action == "sts:TagSession":
        # The emulator itself asks the trust policy for this one, with the tags.
        return True
    role = reach(IAM, "_roles").get_scoped(role_arn.split(":")[4], None, role_arn.rsplit("/", 1)[-1]) or {}
    request = reach(EVALUATOR, "EvalContext")(
        principal_arn=caller.arn,
        principal_type=caller.type,
        principal_account=caller.account,
        action=action,
        resource_arn=role_arn,
        region=reach(RESPONSES, "get_region")(),
    )
    request = replace(request, service_context=context, principal_keys=caller.keys)
    document = role.get("AssumeRolePolicyDocument", "{}")
    return bool(reach(EVALUATOR, "evaluate_trust_policy")(document, caller.arn, request))


def _keep_source_identity(
    body: bytes | str, params: Params, headers: Mapping[str, str], query: Mapping[str, Any]
) -> None:
    sessions = reach(STS, "_sessions")
    asking = sessions.get(reach(ROUTER, "extract_access_key_id")(headers, query)) or {}
    identity = params.get("SourceIdentity") or asking.get("SourceIdentity")
    issued = _ISSUED.search(body.decode() if isinstance(body, bytes) else body)
    if identity and issued:
        sessions[issued[1] or issued[2]]["SourceIdentity"] = identity


def _denied(access_key: str, action: str, role_arn: str) -> Response:
    caller = reach(EVALUATOR, "resolve_principal")(access_key, reach(RESPONSES, "get_account_id")())
    who = getattr(caller, "arn", "anonymous")
    return query_error(
        "sts",
        "AccessDenied",
        f"User: {who} is not authorized to perform: {action} on resource: {role_arn}",
        HTTPStatus.FORBIDDEN,
    )
