"""STS as AWS has it where the emulator is lenient: federation, members, tags, source identities, MFA, deleted roles.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.authorization.caller import principal_arn
from kms_patterns.local.server.authorization.decision import Policies, closest, explicit_deny
from kms_patterns.local.server.authorization.emulator_policies import request_of
from kms_patterns.local.server.authorization.policy_statements import parse
from kms_patterns.local.server.emulator.emulator import DYNAMODB, EVALUATOR, IAM, RESPONSES, ROUTER, STS, reach
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_members import parameters, serving
from kms_patterns.local.server.requests.request_shapes import Params, params_of, query_error
from kms_patterns.local.server.requests.session_members import (
    Session,
    given_tags,
    inherited_tags,
    listed,
    refusal,
    role_of,
)

Handler = Callable[..., Awaitable[Response]]

# By kind of session: what it may call of STS; of IAM it may call nothing.
_ALLOWED = {
    "FederatedUser": frozenset({"sts:GetCallerIdentity"}),
    "User": frozenset({"sts:AssumeRole", "sts:GetCallerIdentity"}),
}
_ISSUED = re.compile(r"<AccessKeyId>([A-Z0-9]+)</AccessKeyId>|\"AccessKeyId\": ?\"([A-Z0-9]+)\"")


def checking(log: CallLog, original: Handler) -> Handler:
    """Return STS's handler with AWS's checks before it, and the source identity kept with the session that it made."""

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Response:
        params = params_of(method, headers, body, query_params)
        access_key = reach(ROUTER, "extract_access_key_id")(headers, query_params)
        asking = reach(STS, "_sessions").get(access_key) or {}
        refused = refusal(params, asking) or _source_identity(params, asking, headers, query_params)
        response = refused or await original(method, path, headers, body, query_params)
        if response[0] >= HTTPStatus.BAD_REQUEST:
            code, message = (_text(response[2], name) for name in ("Code", "Message"))
            action, on = f"sts:{params.get('Action', '')}", params.get("RoleArn", "*")
            log.write_refusal(principal_arn(access_key), action, on, message, code=code)
        elif params.get("Action") == "AssumeRole":
            _keep(response[2], params, asking)
        return response

    return handle_request


def principal_keys(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Add aws:SourceIdentity to the condition keys of a session that was given one."""

    def keys(credential: Any) -> dict[str, Any]:
        session = reach(STS, "_sessions").get(credential.access_key_id) or {}
        identity = session.get("SourceIdentity")
        return original(credential) | ({"aws:sourceidentity": identity} if identity else {})

    return keys


def beyond_session(access_key: str, action: str) -> bool:
    """Return whether a session asks for what its kind may not do: GetSessionToken without MFA, GetFederationToken.

    AWS: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
    """
    kind = (reach(STS, "_sessions").get(access_key) or {}).get("PrincipalType")
    allowed = _ALLOWED.get(str(kind))
    return allowed is not None and action.startswith(("iam:", "sts:")) and action not in allowed


def registering(original: Callable[[str, dict[str, Any]], None]) -> Callable[[str, dict[str, Any]], None]:
    """Keep a function's session with the unique id of its role, where the emulator puts the name."""

    def register(access_key: str, session: dict[str, Any]) -> None:
        arn, (of, marker, name) = str(session.get("Arn", "")), str(session.get("UserId", "")).partition(":")
        if ":assumed-role/" in arn and not of.startswith("AROA"):
            role = role_of(f"arn:aws:iam::{arn.split(':')[4]}:role/{arn.split('/')[1]}")
            session = {**session, "UserId": f"{role.get('RoleId', of)}{marker}{name}"}
        original(access_key, session)

    return register


def of_living_role(original: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse the sessions of a role that was deleted, also if another one has its name now."""

    def resolve(access_key_id: str, account_id: str, credential: Any = None) -> Any:
        found = original(access_key_id, account_id, credential)
        made_of = str((reach(STS, "_sessions").get(access_key_id) or {}).get("UserId", "")).partition(":")[0]
        if getattr(found, "type", "") != "AssumedRole" or not made_of:
            return found
        role = reach(IAM, "_roles").get_scoped(found.account, None, found.arn.split("/")[1]) or {}
        if role.get("RoleId") == made_of:
            return found
        message = "The security token included in the request is invalid."
        return reach(EVALUATOR, "AuthError")("InvalidClientTokenId", message)

    return resolve


def trust_policy(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a trust policy that names the caller itself suffice in its account, as any other resource's policy does.

    What it denies, and its conditions on the request, STS decides afterwards.

    AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """

    def find(service: str, resource_arn: str) -> Any:
        if service == "dynamodb":
            # That of a table is about its indexes as well.
            stored = reach(DYNAMODB, "_resource_policies").get(resource_arn.partition("/index/")[0])
            return (stored["Policy"], resource_arn.split(":")[4]) if stored else None
        role = role_of(resource_arn) if service == "sts" and ":role/" in resource_arn else {}
        if not role:
            return original(service, resource_arn)
        document = role.get("AssumeRolePolicyDocument") or "{}"
        policy = json.loads(document) if isinstance(document, str) else document
        statements = policy.get("Statement", [])
        statements = [statements] if isinstance(statements, Mapping) else statements
        allowing = [{**it, "Resource": "*"} for it in statements if it.get("Effect") == "Allow"]
        return {"Version": policy.get("Version"), "Statement": allowing}, resource_arn.split(":")[4]

    return find


def _source_identity(
    params: Params, asking: Session, headers: Mapping[str, str], query: Mapping[str, Any]
) -> Response | None:
    if params.get("Action") != "AssumeRole":
        return None
    access_key = reach(ROUTER, "extract_access_key_id")(headers, query)
    role_arn, identity = params.get("RoleArn", ""), params.get("SourceIdentity")
    inherited = asking.get("SourceIdentity")
    if identity and inherited and identity != inherited:
        return _denied(access_key, "sts:SetSourceIdentity", role_arn)
    tagged = any(name == "Tags" or name.startswith("Tags.member.") for name in params) or bool(inherited_tags(asking))
    needed = [("sts:TagSession", tagged), ("sts:SetSourceIdentity", bool(identity or inherited))]
    for action, wanted in needed:
        if wanted and not _may(access_key, action, role_arn):
            return _denied(access_key, action, role_arn)
    return None


def _conditions() -> dict[str, Any]:
    """Return the condition keys of the request to STS that is being served, None for one that it has not.

    AWS: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
    """
    request = serving.get()
    if request is None or request.signed_for != "sts":
        return {}
    params = parameters(request)
    asking = reach(STS, "_sessions").get(reach(ROUTER, "extract_access_key_id")(request.headers, request.query)) or {}
    tags = {**given_tags(params), **{tag["Key"]: tag["Value"] for tag in inherited_tags(asking)}}
    return {
        "sts:externalid": params.get("ExternalId"), "sts:rolesessionname": params.get("RoleSessionName"),
        "sts:sourceidentity": params.get("SourceIdentity") or asking.get("SourceIdentity"),
        "sts:transitivetagkeys": listed(params, "TransitiveTagKeys.member.") or None, "aws:tagkeys": [*tags] or None,
        **{f"aws:requesttag/{name.lower()}": value for name, value in tags.items()},
    }  # fmt: skip


def filling(original: Callable[..., Any]) -> Callable[..., Any]:
    """Give each check of STS the condition keys of the request."""

    def enforce(access_key: str, action: str, service: str, *rest: Any, **on: Any) -> Any:
        if service == "sts":
            on["service_context"] = _conditions() | (on.get("service_context") or {})
        return original(access_key, action, service, *rest, **on)

    return enforce


def trusted(_original: Callable[..., bool]) -> Callable[..., bool]:
    """Decide by a role's trust policy as by any other policy."""

    def evaluate(document: Any, _caller: str, ctx: Any) -> bool:
        policy = json.loads(document) if isinstance(document, str) else document
        statements = policy.get("Statement", [])
        statements = [statements] if isinstance(statements, Mapping) else statements
        trust = parse({**policy, "Statement": [{**it, "Resource": "*"} for it in statements]}, "trust policy")
        account = ctx.principal_account or (ctx.principal_arn.split(":") + [""] * 5)[4]
        filled = _conditions() | {key: value for key, value in ctx.service_context.items() if value is not None}
        request = request_of(replace(ctx, principal_account=account, service_context=filled))
        return explicit_deny(request, Policies((), resource=trust)) is None and closest(request, trust)[1] is not None

    return evaluate


def _may(access_key: str, action: str, role_arn: str) -> bool:
    denied = reach(EVALUATOR, "enforce")(
        access_key, action, "sts", reach(RESPONSES, "get_region")(), resource_arn=role_arn
    )
    caller = reach(EVALUATOR, "resolve_principal")(access_key, reach(RESPONSES, "get_account_id")())
    if denied is not None or isinstance(caller, reach(EVALUATOR, "AuthError")):
        return False
    role = role_of(role_arn)
    request = reach(EVALUATOR, "EvalContext")(
        principal_arn=caller.arn,
        principal_type=caller.type,
        principal_account=caller.account,
        action=action,
        resource_arn=role_arn,
        region=reach(RESPONSES, "get_region")(),
    )
    request = replace(request, principal_keys=caller.keys)
    document = role.get("AssumeRolePolicyDocument", "{}")
    return bool(reach(EVALUATOR, "evaluate_trust_policy")(document, caller.arn, request))


def _keep(body: bytes | str, params: Params, asking: Session) -> None:
    issued = _ISSUED.search(body.decode() if isinstance(body, bytes) else body)
    made = reach(STS, "_sessions").get(issued[1] or issued[2]) if issued else None
    if made is None:
        return
    inherited = inherited_tags(asking)
    identity = params.get("SourceIdentity") or asking.get("SourceIdentity")
    if identity:
        made["SourceIdentity"] = identity
    made["SessionTags"] = [*(made.get("SessionTags") or ()), *inherited]
    made["TransitiveTagKeys"] = [
        *listed(params, "TransitiveTagKeys.member."), *(tag["Key"] for tag in inherited),
    ]  # fmt: skip


def _text(body: bytes | str, element: str) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    found = re.search(f"<{element}>([^<]*)<", text)
    return found[1] if found else ""


def _denied(access_key: str, action: str, role_arn: str) -> Response:
    caller = reach(EVALUATOR, "resolve_principal")(access_key, reach(RESPONSES, "get_account_id")())
    who = getattr(caller, "arn", "anonymous")
    return query_error(
        "sts",
        "AccessDenied",
        f"User: {who} is not authorized to perform: {action} on resource: {role_arn}",
        HTTPStatus.FORBIDDEN,
    )
