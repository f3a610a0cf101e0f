"""What a template reads, with whose permissions, and templates that CloudFormation refuses before it makes anything.

``{{resolve:…}}`` and SSM parameters are read with the permissions of the principal that deploys.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kms_patterns.local.server.emulator.acting import NotPermitted, acting
from kms_patterns.local.server.emulator.emulator import CLOUDFORMATION, RESPONSES, STACK_OPERATIONS, reach
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.services.service_keys import ask
from kms_patterns.local.server.services.service_uses import secret_uses
from kms_patterns.local.server.stacks.stack_refusals import ResourceFailed, handler_message, text_of

_SECTIONS = frozenset({
    "AWSTemplateFormatVersion", "Conditions", "Description", "Hooks", "Mappings", "Metadata", "Outputs", "Parameters",
    "Resources", "Rules", "Transform",
})  # fmt: skip
_DELETION = frozenset({"Delete", "Retain", "RetainExceptOnCreate", "Snapshot"})
_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


def problems(template: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Yield why CloudFormation refuses a template with the parameters ``given``, in its words."""
    resources, parameters = template.get("Resources"), template.get("Parameters") or {}
    if not isinstance(resources, Mapping) or not resources:
        yield "Template format error: At least one Resources member must be defined."
        return
    unknown = sorted(set(template) - _SECTIONS)
    if unknown:
        yield f"Invalid template property or properties [{', '.join(unknown)}]"
    undefined = sorted(set(given) - set(parameters))
    if undefined and not template.get("Transform"):
        yield f"Parameters: [{', '.join(undefined)}] do not exist in the template"
    if template.get("Transform"):
        # A macro writes the rest.
        return
    for name, resource in resources.items():
        yield from _of_resource(name, resource, template.get("Conditions") or {})
    before = {"Resources": {name for resource in resources.values() for name in _depends_on(resource)}}
    for block in ("Resources", "Outputs"):
        missing = sorted({*_named(template.get(block) or {}), *before.get(block, ())} - {*resources, *parameters})
        if missing:
            said = f"Unresolved resource dependencies [{', '.join(missing)}] in the {block} block of the template"
            yield f"Template format error: {said}"


def _of_resource(name: str, resource: Mapping[str, Any], conditions: Mapping[str, Any]) -> Iterator[str]:
    if not re.fullmatch("[A-Za-z0-9]+", name):
        yield f"Template format error: Resource name {name} is non alphanumeric."
    for member in ("DeletionPolicy", "UpdateReplacePolicy"):
        policy = resource.get(member, "Delete")
        if isinstance(policy, str) and policy not in _DELETION:
            yield f"Template format error: Unrecognized {member} {policy} for resource {name}"
    if resource.get("Condition") is not None and resource["Condition"] not in conditions:
        yield f"Template format error: Unresolved condition dependency {resource['Condition']} in the Resources block"


def _depends_on(resource: Mapping[str, Any]) -> list[str]:
    before = resource.get("DependsOn") or []
    return [before] if isinstance(before, str) else before


def _named(value: Any) -> Iterator[str]:
    """Yield what Ref, Fn::GetAtt and Fn::Sub name, besides pseudo parameters."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item)
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        if key == "Ref" and isinstance(inner, str):
            yield from () if inner.startswith("AWS::") else (inner,)
        elif key == "Fn::GetAtt":
            first = inner[0] if isinstance(inner, list) and inner else str(inner).partition(".")[0]
            yield from (first,) if isinstance(first, str) else ()
        elif key == "Fn::Sub":
            text, own = inner if isinstance(inner, list) else (inner, {})
            names = (it.strip().partition(".")[0] for it in _VARIABLE.findall(str(text)))
            yield from (it for it in names if it not in own and not it.startswith("AWS::"))
            yield from _named(own)
        elif key != "Metadata":
            yield from _named(inner)


def outputs(original: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse an export that another stack has, and to change or remove one that another stack imports."""

    def resolve(*resolved: Any) -> Any:
        *_rest, stack_name, stack_id = resolved
        found, exported = original(*resolved)
        held = reach(CLOUDFORMATION, "_exports")
        stacks = {name: stack for name, stack in reach(CLOUDFORMATION, "_stacks").items() if name != stack_name}
        for name in exported:
            if name in held and held[name]["StackId"] != stack_id:
                raise ValueError(f"Export with name {name} is already exported by stack {held[name]['StackId']}.")
        for name, export in held.items():
            if export["StackId"] != stack_id or exported.get(name, {}).get("Value") == export["Value"]:
                continue
            for other, stack in stacks.items():
                live = "DELETE" not in stack.get("StackStatus", "")
                if live and name in reach(STACK_OPERATIONS, "_imported_export_names")(stack, other):
                    verb = "updated" if name in exported else "deleted"
                    raise ValueError(f"Export {name} cannot be {verb} as it is in use by {other}")
        return found, exported

    return resolve


def reference(kms: KmsService) -> Callable[[Callable[[str], str]], Callable[[str], str]]:
    """Return what makes ``{{resolve:…}}`` ask for the permissions of who acts."""

    def wrap(original: Callable[[str], str]) -> Callable[[str], str]:
        def resolve(literal: str) -> str:
            try:
                _may_read(kms, literal)
            except (NotPermitted, KmsError) as refused:
                raise ResourceFailed(handler_message(text_of(refused), "AccessDenied")) from refused
            return original(literal)

        return resolve

    return wrap


def parameters(original: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a malformed template; resolve parameters that name an SSM parameter with the permissions of who acts."""

    def resolve(template: Mapping[str, Any], provided_params: Any, *rest: Any, **named: Any) -> Any:
        given = {str(entry.get("Key") or entry.get("ParameterKey")): entry for entry in provided_params or []}
        for problem in problems(template, given):
            raise ValueError(problem)
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


def _may_read(kms: KmsService, literal: str) -> None:
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
    ask(kms, "secretsmanager", principal.caller, uses)


def _parameter_arn(name: str) -> str:
    if name.startswith("arn:"):
        return name
    here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
    return f"arn:aws:ssm:{here}:parameter/{name.lstrip('/')}"
