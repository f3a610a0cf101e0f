"""CloudFormation acts as its caller or service role, and obeys what the other services refuse.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
"""

import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import Any

from kms_patterns.local.server.authorization.resource_policies import stack_document
from kms_patterns.local.server.emulator.acting import (
    Acting,
    NotAssumable,
    NotPermitted,
    acting,
    acting_as,
    read_by_requester,
    service_role,
)
from kms_patterns.local.server.emulator.emulator import CLOUDFORMATION, RESPONSES, ROUTER, reach
from kms_patterns.local.server.kms.kms_errors import KmsError, Response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.requests.further_permissions import passed_roles, passed_to, read_objects, unusable
from kms_patterns.local.server.requests.request_members import unasked_key
from kms_patterns.local.server.requests.request_shapes import params_of, query_error
from kms_patterns.local.server.requests.service_rules import refused_content
from kms_patterns.local.server.services.secret_versions import drop_replicas
from kms_patterns.local.server.stacks import resource_schemas, stack_refusals
from kms_patterns.local.server.stacks.resource_permissions import Properties, Step, as_requests, permissions
from kms_patterns.local.server.stacks.resource_types import TYPES
from kms_patterns.local.server.stacks.stack_keys import change_key, use_keys
from kms_patterns.local.server.stacks.stack_refusals import ResourceFailed, handler_code, handler_message, text_of

Handler = Callable[..., Awaitable[Response]]
_CLOUDFORMATION = "cloudformation.amazonaws.com"
_SUFFIX = 13  # characters of what makes a generated name unique
# Operations that begin work on a stack.
_OF_STACKS = frozenset({
    "CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet", "ExecuteChangeSet", "ContinueUpdateRollback",
    "RollbackStack",
})  # fmt: skip
_NOT_ENFORCED = ("ResourceTypes", "StackPolicy")
_TAG_KEY = re.compile(r"Tags\.member\.\d+\.Key")
_TAKE_ROLE = frozenset({"CreateStack", "UpdateStack", "CreateChangeSet"})


def acting_for_caller(original: Handler) -> Handler:
    """Have the work that a request begins done in the name of its caller, or of the stack's service role."""

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Response:
        params = params_of(method, headers, body, query_params)
        access_key = reach(ROUTER, "extract_access_key_id")(headers, query_params)
        operation = params.get("Action", "")
        stack = _stack(params)
        unenforced = next((name for name in params if name.startswith(_NOT_ENFORCED)), None)
        if unenforced:
            said = f"The embedded AWS does not enforce {unenforced}, so it refuses it: leave it out here"
            return query_error("cloudformation", "ValidationError", said)
        if params.get("TemplateBody") and params.get("TemplateURL"):
            said = "You must specify exactly one of TemplateBody and TemplateURL"
            return query_error("cloudformation", "ValidationError", said)
        tags = [value for name, value in params.items() if _TAG_KEY.fullmatch(name)]
        if len(set(tags)) < len(tags):
            return query_error("cloudformation", "ValidationError", f"Duplicate tag keys in {tags}")
        role = params.get("RoleARN") or (stack or {}).get("RoleARN")
        try:
            principal = (
                service_role(role, _CLOUDFORMATION, "AWSCloudFormation") if role and operation in _OF_STACKS else None
            )
        except NotAssumable:
            return query_error("cloudformation", "ValidationError", f"Role {role} is invalid or cannot be assumed")
        read_by_requester.set(frozenset(arn for _, arn in read_objects(f"cloudformation:{operation}", params)))
        with acting_as(principal or Acting(access_key, _CLOUDFORMATION)):
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
            _check_properties(resource_type, logical_id, props)
            self._check(Step(resource_type, "create", name, props))
            _refuse(stack_refusals.creation(resource_type, props), "AlreadyExists")
            return original(resource_type, logical_id, props, stack_name)

        return provision

    def update(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Check permissions before a resource is updated."""

        def update(
            resource_type: str, physical_id: str, old_props: Properties, new_props: Properties, *rest: Any
        ) -> Any:
            if old_props != new_props:
                _check_properties(resource_type, physical_id, new_props)
                rolls_back = "ROLLBACK" in reach(CLOUDFORMATION, "_stacks")[rest[0]]["StackStatus"]
                if old_props.get("ServiceToken") != new_props.get("ServiceToken") and not rolls_back:
                    raise ResourceFailed("Modifying service token is not allowed.")
                self._check(Step(resource_type, "update", physical_id, new_props, old_props))
                if _renamed(resource_type, old_props, new_props):
                    _refuse(stack_refusals.creation(resource_type, new_props), "AlreadyExists")
            done = original(resource_type, physical_id, old_props, new_props, *rest)
            if resource_type == "AWS::SecretsManager::Secret":
                drop_replicas(physical_id, old_props, new_props)
            return done

        return update

    def delete(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Check permissions and the services' refusals before a resource is deleted."""

        def delete(resource_type: str, physical_id: str, props: Properties, *rest: Any, **named: Any) -> Any:
            self._check(Step(resource_type, "delete", physical_id, props))
            _refuse(stack_refusals.deletion(resource_type, physical_id, props), "GeneralServiceException")
            return original(resource_type, physical_id, props, *rest, **named)

        return delete

    def _check(self, step: Step) -> None:
        principal = acting()
        if principal is None:
            # Nothing reaches this without a request: to go on would be to act with all permissions.
            raise ResourceFailed(f"{step.kind}: the embedded AWS does not know in whose name to act")
        try:
            if step.kind.startswith("AWS::KMS::"):
                change_key(self.kms, principal.caller, step, principal.called_via)
            elif step.kind.startswith("Custom::") or step.kind == "AWS::CloudFormation::CustomResource":
                provider = str(step.props.get("ServiceToken"))
                principal.require("sns:Publish" if ":sns:" in provider else "lambda:InvokeFunction", provider)
            elif step.kind == "AWS::CloudFormation::Stack":
                here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
                nested = (
                    step.name if step.name.startswith("arn:") else f"arn:aws:cloudformation:{here}:stack/{step.name}/x"
                )
                principal.require(f"cloudformation:{step.action.title()}Stack", nested)
            elif not step.kind.startswith("AWS::CloudFormation::"):
                self._check_service(principal, step)
        except (NotPermitted, KmsError) as refused:
            raise ResourceFailed(handler_message(text_of(refused), handler_code(refused))) from refused

    def _check_service(self, principal: Acting, step: Step) -> None:
        for needed in permissions(step):
            principal.require(needed.action, needed.resource, **needed.conditions)
        if step.action == "delete":
            return
        for role in passed_roles(step.props):
            to = passed_to(step.kind.split("::")[1].lower())
            principal.require("iam:PassRole", role, **{"iam:PassedToService": to})
            refused = unusable(step.kind.split("::")[1].lower(), role)
            _refuse(refused and refused[1], "InvalidRequest")
        _refuse(stack_document(step.kind, step.props), "InvalidRequest")
        for action, params in as_requests(step):
            refused = refused_content(action, params)
            _refuse(refused and refused[1], "InvalidRequest")
        use_keys(self.kms, principal.caller, step)
        unasked = unasked_key(step.kind, step.props)
        if unasked:
            raise ResourceFailed(f"{step.kind}: {unasked}")


def _renamed(kind: str, old: Properties, new: Properties) -> bool:
    name = TYPES[kind].name if kind in TYPES else ""
    return kind == "AWS::KMS::Key" or bool(name and old.get(name) != new.get(name))


def _check_properties(kind: str, name: str, props: Properties) -> None:
    problem = resource_schemas.problem(kind, name, props)
    if problem:
        raise ResourceFailed(problem)


def _refuse(reason: str | None, code: str) -> None:
    if reason:
        raise ResourceFailed(handler_message(reason, code))


def names(original: Callable[..., str]) -> Callable[..., str]:
    """Name a resource by its stack's id, not by the stack's name alone.

    A stack that is deployed again gets new names on AWS. Under the old ones it would meet what outlives a resource:
    metrics of a rule, processes of a function, a retained log group.
    """

    def named(stack_name: str, logical_id: str, **options: Any) -> str:
        name = original(stack_name, logical_id, **options)
        stack = reach(CLOUDFORMATION, "_stacks").get(stack_name)
        if stack is None:
            return name
        suffix = sha256(f"{stack['StackId']}{name}".encode()).hexdigest()[:_SUFFIX]
        return name[:-_SUFFIX] + (suffix if options.get("lowercase") else suffix.upper())

    return named


def _stack(params: Mapping[str, str]) -> dict[str, Any] | None:
    stacks, name = reach(CLOUDFORMATION, "_stacks"), params.get("StackName", "")
    change_set = params.get("ChangeSetName", "")
    if not name and change_set:
        name = str((reach(CLOUDFORMATION, "_change_sets").get(change_set) or {}).get("StackName", ""))
    found: dict[str, Any] | None = stacks.get(name.split("/")[1] if name.startswith("arn:") else name)
    return found


class _AfterImport(MetaPathFinder):
    """Calls ``then`` right after a module was imported, before its importer sees it."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then

    def find_spec(self, fullname: str, _path: Any, _target: Any = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        loader: Any = spec.loader if spec else None
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            self._then()

        loader.exec_module = exec_module
        return spec


def when_imported(module: str, then: Callable[[], None]) -> None:
    """Call ``then`` once ``module`` has been imported, at once if it has been."""
    if module in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _AfterImport(module, then))
