"""Templates that CloudFormation refuses before it makes anything: what they hold, name, read and export.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kms_patterns.local.server.emulator.acting import NotPermitted, acting
from kms_patterns.local.server.emulator.emulator import (
    CLOUDFORMATION,
    ENGINE,
    STACK_OPERATIONS,
    STACKS,
    reach,
)
from kms_patterns.local.server.stacks.stack_keys import parameter_arn, refuse_secure

_SECTIONS = frozenset({
    "AWSTemplateFormatVersion", "Conditions", "Description", "Hooks", "Mappings", "Metadata", "Outputs", "Parameters",
    "Resources", "Rules", "Transform",
})  # fmt: skip
_DELETION_MEMBERS = frozenset({"DeletionPolicy", "UpdateReplacePolicy"})
_DELETION = frozenset({"Delete", "Retain", "RetainExceptOnCreate", "Snapshot"})
_OF_RESOURCE = _DELETION_MEMBERS | {
    "Condition", "CreationPolicy", "DependsOn", "Metadata", "Properties", "Type", "UpdatePolicy", "Version",
}  # fmt: skip
_TYPE = r"String|Number|CommaDelimitedList|List<(Number|String|AWS::.+)>|AWS::.+"
_PSEUDO = frozenset({
    "AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition", "AWS::Region", "AWS::StackId",
    "AWS::StackName", "AWS::URLSuffix",
})  # fmt: skip
_FUNCTIONS = frozenset({
    "Fn::And", "Fn::Base64", "Fn::Cidr", "Fn::Equals", "Fn::FindInMap", "Fn::GetAZs", "Fn::GetAtt",
    "Fn::GetStackOutput", "Fn::If", "Fn::ImportValue", "Fn::Join", "Fn::Not", "Fn::Or", "Fn::Select", "Fn::Split",
    "Fn::Sub", "Fn::Transform",
})  # fmt: skip
_KIND = re.compile(r"AWS::CloudFormation::CustomResource|Custom::[\w@-]{1,60}|(?!Custom::)(\w+::)+\w+")
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
    yield from _macros(template)
    if template.get("Transform"):
        # A macro writes the rest.
        return
    yield from _of_blocks(template, resources, parameters)
    before = {"Resources": {name for resource in resources.values() for name in _depends_on(resource)}}
    for block in ("Resources", "Outputs"):
        missing = sorted({*_named(template.get(block) or {}), *before.get(block, ())} - {*resources, *parameters})
        if missing:
            said = f"Unresolved resource dependencies [{', '.join(missing)}] in the {block} block of the template"
            yield f"Template format error: {said}"
    yield from _circular(resources)


def _of_blocks(
    template: Mapping[str, Any], resources: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Iterator[str]:
    for definition in parameters.values():
        if not re.fullmatch(_TYPE, str(definition.get("Type"))):
            yield f"Template format error: Unrecognized parameter type: {definition.get('Type')}"
    for name, resource in resources.items():
        yield from _of_resource(name, resource, template.get("Conditions") or {})
    for name, output in (template.get("Outputs") or {}).items():
        if "Value" not in output:
            yield f"Template format error: Output {name} is malformed. The Value field must be specified."
        if {*_named((output.get("Export") or {}).get("Name"))} & set(resources):
            said = "The Name field of every Export member must not depend on a resource."
            yield f"Template format error: Output {name} is malformed. {said}"
    held = {f"Fn::If {name}" for name in template.get("Conditions") or {}}
    unsupported = sorted({*_functions(resources), *_functions(template.get("Outputs") or {})} - _FUNCTIONS - held)
    if unsupported:
        yield f"Encountered unsupported function: {unsupported[0]} Supported functions are: {sorted(_FUNCTIONS)}"


def _macros(template: Mapping[str, Any]) -> Iterator[str]:
    macros = template.get("Transform") or []
    for macro in macros if isinstance(macros, list) else [macros]:
        name = str(macro.get("Name") if isinstance(macro, Mapping) else macro)
        if not name.startswith("AWS::"):
            yield f"No transform named {name} found."


def _circular(resources: Mapping[str, Any]) -> Iterator[str]:
    own = [name for name, it in resources.items() if name in {*_depends_on(it), *_named(it.get("Properties"))}]
    try:
        reach(STACKS, "_topological_sort")(resources, {})
    except ValueError as circle:
        own = [str(circle).rpartition(": ")[2]]
    if own:
        yield f"Circular dependency between resources: [{', '.join(own)}]"


def without(template: Mapping[str, Any], held: Mapping[str, bool]) -> Iterator[str]:
    """Yield why CloudFormation refuses a template whose conditions evaluate to ``held``: it names what is not made."""
    resources = template.get("Resources") or {}
    absent = {name for name, it in resources.items() if not held.get(it.get("Condition", ""), True)}
    for block in ("Resources", "Outputs"):
        made = [it for it in (template.get(block) or {}).values() if held.get(it.get("Condition", ""), True)]
        if missing := sorted({*_named([{**it, "Metadata": {}} for it in made], held)} & absent):
            said = f"Unresolved resource dependencies [{', '.join(missing)}] in the {block} block of the template"
            yield f"Template format error: {said}"


def _functions(value: Any) -> Iterator[str]:
    """Yield the functions that a value holds, those that choose by a condition with its name."""
    if isinstance(value, Mapping) and len(value) == 1:
        name, inner = next(iter(value.items()))
        condition = f" {inner[0]}" if name == "Fn::If" and isinstance(inner, list) and inner else ""
        yield from [f"{name}{condition}"] if name.startswith("Fn::") else ()
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _functions(inner)


def _of_resource(name: str, resource: Mapping[str, Any], conditions: Mapping[str, Any]) -> Iterator[str]:
    if not re.fullmatch("[A-Za-z0-9]+", name):
        yield f"Template format error: Resource name {name} is non alphanumeric."
    if not _KIND.fullmatch(str(resource.get("Type"))):
        yield f"Template format error: [/Resources/{name}] Every Resources object must contain a valid Type member."
    unknown = sorted(set(resource) - _OF_RESOURCE)
    if unknown:
        yield f"Invalid template resource property '{unknown[0]}'"
    for member in sorted(_DELETION_MEMBERS):
        policy = resource.get(member, "Delete")
        if isinstance(policy, str) and policy not in _DELETION:
            yield f"Template format error: Unrecognized {member} {policy} for resource {name}"
    if resource.get("Condition") is not None and resource["Condition"] not in conditions:
        yield f"Template format error: Unresolved condition dependency {resource['Condition']} in the Resources block"


def _depends_on(resource: Mapping[str, Any]) -> list[str]:
    before = resource.get("DependsOn") or []
    return [before] if isinstance(before, str) else before


def _named(value: Any, held: Mapping[str, bool] | None = None) -> Iterator[str]:
    """Yield what Ref, Fn::GetAtt and Fn::Sub name, besides pseudo parameters; given ``held``, where conditions hold."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item, held)
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        if key == "Ref" and isinstance(inner, str):
            yield from () if inner in _PSEUDO else (inner,)
        elif key == "Fn::If" and held is not None and isinstance(inner, list):
            yield from _named(inner[1 if held.get(inner[0], True) else 2 :][:1], held)
        elif key == "Fn::GetAtt":
            first = inner[0] if isinstance(inner, list) and inner else str(inner).partition(".")[0]
            yield from (first,) if isinstance(first, str) else ()
        elif key == "Fn::Sub":
            text, own = inner if isinstance(inner, list) else (inner, {})
            names = (it.strip().partition(".")[0] for it in _VARIABLE.findall(str(text)))
            yield from (it for it in names if it not in own and it not in _PSEUDO)
            yield from _named(own, held)
        elif key != "Metadata":
            yield from _named(inner, held)


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
                principal.require("ssm:GetParameters", parameter_arn(str(wanted)))
                refuse_secure(str(wanted))
            except NotPermitted as refused:
                raise ValueError(str(refused)) from refused
        resolved = original(template, provided_params, *rest, **named)
        if not template.get("Transform"):
            for problem in without(template, reach(ENGINE, "_evaluate_conditions")(template, resolved)):
                raise ValueError(problem)
        return resolved

    return resolve
