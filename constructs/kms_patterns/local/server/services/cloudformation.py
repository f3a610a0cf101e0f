"""CloudFormation acts as its caller or service role, and obeys what the other services refuse.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.acting import Acting, NotPermitted, acting, acting_as, service_role
from kms_patterns.local.server.emulator.emulator import CLOUDFORMATION, RESPONSES, ROUTER, reach
from kms_patterns.local.server.emulator.role_credentials import NotAssumable
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.services import stack_refusals
from kms_patterns.local.server.services.key_members import unasked_key
from kms_patterns.local.server.services.query_protocol import params_of, query_error
from kms_patterns.local.server.services.resource_permissions import Properties, permissions
from kms_patterns.local.server.services.role_passing import passed_roles
from kms_patterns.local.server.services.service_keys import key_of
from kms_patterns.local.server.services.service_uses import secret_uses

Handler = Callable[..., Awaitable[Response]]
_CLOUDFORMATION = "cloudformation.amazonaws.com"
_INTERNAL = ("AWS::CloudFormation::", "Custom::")
# Operations that begin work on a stack.
_OF_STACKS = frozenset({
    "CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet", "ExecuteChangeSet", "ContinueUpdateRollback",
    "RollbackStack",
})  # fmt: skip
_TAKE_ROLE = frozenset({"CreateStack", "UpdateStack", "CreateChangeSet"})


class ResourceFailed(Exception):
    """CloudFormation reports the text as the reason why a resource failed."""


def acting_for_caller(original: Handler) -> Handler:
    """Have the work that a request begins done in the name of its caller, or of the stack's service role."""

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Response:
        params = params_of(method, headers, body, query_params)
        access_key = reach(ROUTER, "extract_access_key_id")(headers, query_params)
        operation = params.get("Action", "")
        stack = _stack(params)
        role = params.get("RoleARN") or (stack or {}).get("RoleARN")
        try:
            principal = (
                service_role(role, _CLOUDFORMATION, "AWSCloudFormation") if role and operation in _OF_STACKS else None
            )
        except NotAssumable:
            return query_error("cloudformation", "ValidationError", f"Role {role} is invalid or cannot be assumed")
        with acting_as(principal or Acting(access_key)):
            response = await original(method, path, headers, body, query_params)
        if operation in _TAKE_ROLE and params.get("RoleARN") and response[0] == HTTPStatus.OK:
            made = _stack(params)
            if made is not None:
                made["RoleARN"] = params["RoleARN"]
        return response

    return handle_request


@dataclass(frozen=True)
class ResourceSteps:
    """Replacements for the functions by which stacks create, update and delete resources."""

    kms: KmsService

    def provision(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Check permissions and the services' refusals before a resource is created."""

        def provision(resource_type: str, logical_id: str, props: Properties, stack_name: str) -> Any:
            name = f"{stack_name}-{logical_id}-"
            self._check(resource_type, "create", name, props)
            refused = stack_refusals.creation(resource_type, props)
            if refused:
                raise ResourceFailed(_handler_message(refused, "AlreadyExists"))
            return original(resource_type, logical_id, props, stack_name)

        return provision

    def update(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Check permissions before a resource is updated."""

        def update(
            resource_type: str, physical_id: str, old_props: Properties, new_props: Properties, *rest: Any
        ) -> Any:
            if old_props != new_props:
                self._check(resource_type, "update", physical_id, new_props, old_props)
            return original(resource_type, physical_id, old_props, new_props, *rest)

        return update

    def delete(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Check permissions and the services' refusals before a resource is deleted."""

        def delete(resource_type: str, physical_id: str, props: Properties, *rest: Any, **named: Any) -> Any:
            self._check(resource_type, "delete", physical_id, props)
            refused = stack_refusals.deletion(resource_type, physical_id, props)
            if refused:
                raise ResourceFailed(_handler_message(refused, "GeneralServiceException"))
            return original(resource_type, physical_id, props, *rest, **named)

        return delete

    def reference(self, original: Callable[[str], str]) -> Callable[[str], str]:
        """Resolve ``{{resolve:…}}`` with the permissions of who acts."""

        def resolve(literal: str) -> str:
            try:
                self._may_read(literal)
            except (NotPermitted, KmsError) as refused:
                raise ResourceFailed(_handler_message(_text(refused), "AccessDenied")) from refused
            return original(literal)

        return resolve

    def parameters(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Resolve template parameters that name an SSM parameter with the permissions of who acts."""

        def resolve(template: Mapping[str, Any], provided_params: Any, *rest: Any, **named: Any) -> Any:
            given = {entry.get("Key") or entry.get("ParameterKey"): entry for entry in provided_params or []}
            principal = acting()
            for name, definition in (template.get("Parameters") or {}).items():
                if principal is None or not str(definition.get("Type", "")).startswith("AWS::SSM::Parameter::Value"):
                    continue
                entry = given.get(name) or {}
                wanted = entry.get("Value") or entry.get("ParameterValue") or definition.get("Default") or ""
                try:
                    principal.require("ssm:GetParameters", _parameter_arn(str(wanted)))
                except NotPermitted as refused:
                    raise ValueError(str(refused)) from refused
            return original(template, provided_params, *rest, **named)

        return resolve

    def _check(self, kind: str, step: str, name: str, props: Properties, old: Properties | None = None) -> None:
        principal = acting()
        if principal is None:
            # Nothing reaches this without a request: to go on would be to act with all permissions.
            raise ResourceFailed(f"{kind}: the embedded AWS does not know in whose name to act")
        try:
            if kind.startswith("AWS::KMS::"):
                for call in _kms_calls(kind, step, name, props, old or {}):
                    self.kms.require(KmsCall(call[0], call[1], principal.caller))
            elif not kind.startswith(_INTERNAL):
                for needed in permissions(kind, step, name, props, old):
                    principal.require(needed.action, needed.resource, **needed.conditions)
                for role in passed_roles(props) if step != "delete" else ():
                    principal.require("iam:PassRole", role)
        except (NotPermitted, KmsError) as refused:
            raise ResourceFailed(_handler_message(_text(refused), "AccessDenied")) from refused
        unasked = unasked_key(kind.split("::")[1].lower(), props) if step != "delete" and "::" in kind else None
        if unasked and not kind.startswith(_INTERNAL):
            raise ResourceFailed(f"{kind}: {unasked}")

    def _may_read(self, literal: str) -> None:
        principal = acting()
        service, _, reference = literal.strip("{}").removeprefix("resolve:").partition(":")
        if service == "ssm-secure":
            raise NotPermitted(
                "SSM Secure reference is not supported by the embedded AWS; AWS supports it for a few properties only"
            )
        if principal is None:
            raise NotPermitted("the embedded AWS does not know in whose name to resolve a dynamic reference")
        if service == "ssm":
            principal.require("ssm:GetParameters", _parameter_arn(reference.partition(":")[0]))
            return
        secret = ":".join(reference.split(":")[:7]) if reference.startswith("arn:") else reference.split(":")[0]
        found, uses = secret_uses(secret)
        principal.require("secretsmanager:GetSecretValue", found)
        for use in uses:
            request = {"KeyId": key_of(use, "secretsmanager"), "EncryptionContext": dict(use.context)}
            self.kms.require(KmsCall(use.operation, request, principal.caller, via="secretsmanager"))


def recreation(original: Callable[[str, str], str]) -> Callable[[str, str], str]:
    """Say of every property whether its change replaces the resource, for types that the emulator does not know."""

    def classify(resource_type: str, name: str) -> str:
        replacing = stack_refusals.REPLACING.get(resource_type)
        if replacing is None:
            return original(resource_type, name)
        return "Always" if name in replacing else "Never"

    return classify


def _kms_calls(
    kind: str, step: str, name: str, props: Properties, old: Properties
) -> Iterator[tuple[str, dict[str, Any]]]:
    policy = props.get("KeyPolicy")
    text = policy if isinstance(policy, str) else json.dumps(policy)
    tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in props.get("Tags") or []]
    if kind == "AWS::KMS::Alias":
        alias = {"AliasName": props.get("AliasName") or name, "TargetKeyId": props.get("TargetKeyId")}
        operation = {"create": "CreateAlias", "update": "UpdateAlias", "delete": "DeleteAlias"}[step]
        yield operation, alias if step != "delete" else {"AliasName": name}
    elif step == "delete":
        yield "ScheduleKeyDeletion", {"KeyId": name}
    elif step == "create" and kind == "AWS::KMS::Key":
        given = {
            member: props[member] for member in ("KeySpec", "KeyUsage", "Origin", "MultiRegion") if member in props
        }
        yield "CreateKey", given | ({"Policy": text} if policy else {}) | ({"Tags": tags} if tags else {})
    elif step == "update":
        if policy != old.get("KeyPolicy"):
            yield "PutKeyPolicy", {"KeyId": name, "PolicyName": "default", "Policy": text}
        for member, (off, on) in _KEY_UPDATES.items():
            if props.get(member) != old.get(member):
                yield on if member in props and props[member] is not False else off, {"KeyId": name}
        if props.get("Tags") != old.get("Tags"):
            yield "TagResource", {"KeyId": name, "Tags": tags}


# By property: the operation that switches it off, and on.
_KEY_UPDATES = {
    "Description": ("UpdateKeyDescription", "UpdateKeyDescription"),
    "Enabled": ("DisableKey", "EnableKey"),
    "EnableKeyRotation": ("DisableKeyRotation", "EnableKeyRotation"),
}


def _parameter_arn(name: str) -> str:
    if name.startswith("arn:"):
        return name
    here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
    return f"arn:aws:ssm:{here}:parameter/{name.lstrip('/')}"


def _text(refused: Exception) -> str:
    return refused.message if isinstance(refused, KmsError) else str(refused)


def _handler_message(reason: str, code: str) -> str:
    return f'Resource handler returned message: "{reason}" (RequestToken: {uuid4()}, HandlerErrorCode: {code})'


def _stack(params: Mapping[str, str]) -> dict[str, Any] | None:
    stacks, name = reach(CLOUDFORMATION, "_stacks"), params.get("StackName", "")
    change_set = params.get("ChangeSetName", "")
    if not name and change_set:
        name = str((reach(CLOUDFORMATION, "_change_sets").get(change_set) or {}).get("StackName", ""))
    found: dict[str, Any] | None = stacks.get(name.split("/")[1] if name.startswith("arn:") else name)
    return found
