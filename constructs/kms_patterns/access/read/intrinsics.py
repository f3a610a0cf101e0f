"""CloudFormation's intrinsic functions over all stacks of an assembly together.

What only a deployment can tell becomes a placeholder that matches nothing, and is listed with the place that uses it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kms_patterns.access.model import Unresolved
from kms_patterns.access.read import identifiers, template_conditions
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION, Stack
from kms_patterns.access.read.parameters import default_of, given_value
from kms_patterns.access.read.template_conditions import is_placeholder, placeholder

Json = Any
_ABSENT: Final = object()
_VARIABLE = re.compile(r"\$\{(!?[^}]+)\}")


@dataclass
class Resolver:
    """Resolves values of an assembly's templates to what a deployment would make of them.

    Attributes:
        stacks: Every stack of the assembly.
        unresolved: What could not be resolved, filled by ``resolve``.
    """

    stacks: Sequence[Stack]
    unresolved: set[Unresolved] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._exports = [
            (json.dumps(output["Export"]["Name"], sort_keys=True), stack, output["Value"])
            for stack in self.stacks
            for output in stack.template.get("Outputs", {}).values()
            if "Export" in output
        ]

    def resolve(self, stack: Stack, value: Json, where: str) -> Json:
        """Return ``value`` with every intrinsic function replaced by its result.

        Args:
            stack: The stack whose template holds ``value``.
            value: Any JSON value of the template.
            where: The place that needs it, for the list of what could not be resolved.
        """
        result = _Scope(self, stack, where).value(value)
        return None if result is _ABSENT else result

    def holds(self, stack: Stack, condition: str | None, where: str) -> bool:
        """Return whether a template condition holds; one that cannot be decided counts as true, and is listed."""
        return condition is None or _Scope(self, stack, where).condition(condition)

    def exported(self, stack: Stack, name: Json) -> tuple[Stack, Json] | None:
        """Return stack and value of an export, by its unresolved or resolved name: of the same account and region.

        An environment-agnostic stack may meet an export of any, if there is only one.
        """
        wanted = json.dumps(name, sort_keys=True)
        found = [(exporter, value) for key, exporter, value in self._exports if key == wanted]
        near = [item for item in found if (item[0].account, item[0].region) == (stack.account, stack.region)]
        agnostic = [item for item in found if {item[0].account, stack.account} & {UNKNOWN_ACCOUNT}]
        agnostic = agnostic or [item for item in found if {item[0].region, stack.region} & {UNKNOWN_REGION}]
        return near[0] if near else (agnostic[0] if len(agnostic) == 1 else None)


@dataclass
class _Scope:
    resolver: Resolver
    stack: Stack
    where: str

    def value(self, value: Json) -> Json:
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not _ABSENT]
        if isinstance(value, str) and "{{resolve:" in value:
            return self.unknown(value, "a dynamic reference is read at deployment")
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self.function(name, argument)
        resolved = {key: self.value(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _ABSENT}

    def function(self, name: str, argument: Json) -> Json:
        functions: Mapping[str, Callable[[Json], Json]] = {
            "Ref": self.ref,
            "Fn::GetAtt": self.get_att,
            "Fn::Join": self.join,
            "Fn::Sub": self.sub,
            "Fn::Select": self.select,
            "Fn::Split": self.split,
            "Fn::If": self.if_,
            "Fn::ImportValue": self.import_value,
            "Fn::GetStackOutput": self.stack_output,
            "Fn::FindInMap": self.find_in_map,
            "Fn::ToJsonString": lambda item: json.dumps(self.value(item)),
            "Fn::Length": lambda item: len(self.value(item)),
        }
        if name not in functions:
            return self.unknown(f"{name} {json.dumps(argument)}", f"{name} is evaluated at deployment")
        return functions[name](argument)

    def ref(self, name: str) -> Json:
        pseudo = {
            "AWS::AccountId": self.stack.account,
            "AWS::Region": self.stack.region,
            "AWS::Partition": self.stack.partition,
            "AWS::URLSuffix": "amazonaws.com.cn" if self.stack.partition == "aws-cn" else "amazonaws.com",
            "AWS::StackName": self.stack.name,
            "AWS::StackId": f"arn:aws:cloudformation:{self.stack.region}:{self.stack.account}:stack/{self.stack.name}",
            "AWS::NoValue": _ABSENT,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.stack.resources:
            return identifiers.reference(self.stack, name, self.value)
        return self.parameter(name)

    def parameter(self, name: str) -> Json:
        if self.stack.parent:
            outer, logical_id = self.stack.parent
            given = outer.resources[logical_id].get("Properties", {}).get("Parameters", {})
            if name in given:
                return _Scope(self.resolver, outer, self.where).value(given[name])
        declared = self.stack.template.get("Parameters", {}).get(name)
        if name in self.stack.given:
            return given_value(self.stack.given[name], declared)
        return default_of(name, declared, self.unknown, self.assumed)

    def get_att(self, argument: Json) -> Json:
        logical_id, name = argument.split(".", 1) if isinstance(argument, str) else argument
        resource = self.stack.resources.get(logical_id, {})
        if resource.get("Type") == "AWS::CloudFormation::Stack" and name.startswith("Outputs."):
            return self.nested_output(logical_id, name.removeprefix("Outputs."))
        if resource.get("Type") == "Custom::CrossRegionExportReader":
            return self.cross_region(name)
        result = identifiers.attribute(self.stack, logical_id, name, self.value) if resource else None
        if result is None:
            return self.unknown(f"{self.stack.path(logical_id)}.{name}", "known after deployment only")
        return result

    def nested_output(self, logical_id: str, output: str) -> Json:
        for stack in self.resolver.stacks:
            if stack.parent and stack.parent[1] == logical_id and stack.parent[0].id == self.stack.id:
                return self.output_of(stack, output)
        return self.unknown(f"{logical_id}.Outputs.{output}", "the nested stack's template is not in the assembly")

    def output_of(self, stack: Stack, output: str) -> Json:
        outputs = stack.template.get("Outputs", {})
        if output not in outputs:
            return self.unknown(f"{stack.id}.Outputs.{output}", "the stack has no such output")
        return _Scope(self.resolver, stack, self.where).value(outputs[output]["Value"])

    def cross_region(self, name: str) -> Json:
        for stack in self.resolver.stacks:
            for resource in stack.resources.values():
                if resource["Type"] == "Custom::CrossRegionExportWriter":
                    exports = resource["Properties"].get("WriterProps", {}).get("exports", {})
                    if name in exports:
                        return _Scope(self.resolver, stack, self.where).value(exports[name])
        return self.unknown(name, "no stack of the assembly writes this cross-region export")

    def import_value(self, argument: Json) -> Json:
        found = self.resolver.exported(self.stack, argument)
        found = found or self.resolver.exported(self.stack, self.value(argument))
        if found is None:
            return self.unknown(f"import {self.value(argument)}", "no stack of the assembly exports it")
        stack, value = found
        return _Scope(self.resolver, stack, self.where).value(value)

    def stack_output(self, argument: Json) -> Json:
        given = self.value(argument)
        name, output = (given["StackName"], given["OutputName"]) if isinstance(given, dict) else given[:2]
        name = str(name).split("/")[1] if str(name).startswith("arn:") else name
        for stack in self.resolver.stacks:
            if stack.name == name:
                return self.output_of(stack, output)
        return self.unknown(f"output {name}.{output}", "the stack is not in the assembly")

    def join(self, argument: Json) -> Json:
        delimiter, items = argument[0], self.value(argument[1])
        if not isinstance(items, list):
            return self.unknown(f"Fn::Join of {items}", "the list is not known")
        return delimiter.join(str(item) for item in items)

    def sub(self, argument: Json) -> Json:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                return str(self.value(variables[name]))
            return str(self.get_att(name) if "." in name else self.ref(name))

        return _VARIABLE.sub(replace, text)

    def select(self, argument: Json) -> Json:
        index, items = self.value(argument[0]), self.value(argument[1])
        if is_placeholder(index) or (isinstance(items, list) and len(items) == 1 and is_placeholder(items[0])):
            return index if is_placeholder(index) else items[0]
        if not isinstance(items, list) or not str(index).isdigit() or int(index) >= len(items):
            return self.unknown(f"Fn::Select {index} of {items}", "the list is not known")
        return items[int(index)]

    def split(self, argument: Json) -> Json:
        text = str(self.value(argument[1]))
        return [text] if is_placeholder(text) else text.split(argument[0])

    def if_(self, argument: Json) -> Json:
        name, when_true, when_false = argument
        return self.value(when_true if self.condition(name) else when_false)

    def find_in_map(self, argument: Json) -> Json:
        mapping, first, second = self.value(argument[:3])
        table = self.stack.template.get("Mappings", {}).get(mapping, {}).get(first, {})
        if second in table:
            return self.value(table[second])
        if len(argument) > 3 and not any(_undecided(item) for item in (mapping, first, second)):  # noqa: PLR2004
            return self.value(argument[3]["DefaultValue"])
        return self.unknown(f"Fn::FindInMap {mapping}.{first}.{second}", "the mapping has no such entry")

    def condition(self, name: str) -> bool:
        return template_conditions.holds(self.stack, name, self.value, self.unknown)

    def assumed(self, what: str, why: str) -> None:
        self.resolver.unresolved.add(Unresolved(self.where, what, why))

    def unknown(self, what: str, why: str) -> str:
        self.resolver.unresolved.add(Unresolved(self.where, what, why))
        return placeholder(what)


def _undecided(value: Json) -> bool:
    return is_placeholder(value) or value in {UNKNOWN_ACCOUNT, UNKNOWN_REGION}
