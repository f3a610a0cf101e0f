"""CloudFormation's intrinsic functions: what each comes to in one stack of an assembly."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from kms_patterns.access.model import Unresolved
from kms_patterns.access.read import identifiers
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION, Stack
from kms_patterns.access.read.template_conditions import World, decide, only_near, pseudo_parameters
from kms_patterns.access.templates.reading import default_of, given_value
from kms_patterns.access.templates.template_text import items as as_items
from kms_patterns.access.templates.template_text import mapping
from kms_patterns.access.templates.template_text import text as as_text
from kms_patterns.access.unknowns.symbols import is_symbol, is_symbolic, symbol

Json = Any
ABSENT: Final = object()
"""What ``AWS::NoValue`` comes to."""

BOTH_WAYS = "it cannot be decided before deployment; both ways are considered"
"""Why a condition is listed that is followed both ways."""

_MALFORMED = (TypeError, ValueError, KeyError, IndexError, AttributeError)
_VARIABLE = re.compile(r"\$\{(!?[^}]+)\}")
_LATER = "known after deployment only"
_DYNAMIC = re.compile(r"\{\{resolve:(?:\$\{[^}]*\}|[^{}])*(?:\}\}|$)")


class Surroundings(Protocol):
    """The assembly around a stack."""

    stacks: Sequence[Stack]
    unresolved: set[Unresolved]

    def exported(self, stack: Stack, name: Json) -> tuple[Stack, Json] | None:
        """Return stack and value of an export."""


@dataclass
class Scope:
    """One stack's template, in which values are resolved.

    Attributes:
        resolver: The assembly around it.
        stack: The stack.
        where: The place that needs a value, for the list of what could not be resolved.
        world: How undecided conditions go; None to take them as true.
        depth: How many references lead here.
        compared: Whether a condition compares the value.
    """

    resolver: Surroundings
    stack: Stack
    where: str
    world: World | None = None
    depth: int = 0
    compared: bool = False

    def value(self, value: Json) -> Json:
        """Return ``value`` with every intrinsic function replaced by its result."""
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not ABSENT]
        if isinstance(value, str) and "{{resolve:" in value:
            return _DYNAMIC.sub(self._dynamic, value)
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name, argument)
        resolved = {key: self.value(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not ABSENT}

    def _dynamic(self, match: re.Match[str]) -> str:
        return self._unknown(match[0], "a dynamic reference is read at deployment")

    def _within(self, stack: Stack) -> "Scope":
        """Return the scope of a value of another stack; values that lead to themselves end as malformed."""
        if self.depth > 40:  # noqa: PLR2004 - more than CloudFormation nests
            raise ValueError("it refers to itself")
        return Scope(self.resolver, stack, self.where, self.world, self.depth + 1, self.compared)

    def _function(self, name: str, argument: Json) -> Json:
        functions: Mapping[str, Callable[[Json], Json]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Join": self._join,
            "Fn::Sub": self._sub,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::If": self._if_,
            "Fn::ImportValue": self._import_value,
            "Fn::GetStackOutput": self._stack_output,
            "Fn::FindInMap": self._find_in_map,
            "Fn::ToJsonString": lambda item: json.dumps(self.value(item)),
            "Fn::Length": self._length,
        }
        if name not in functions:
            return self._unknown(f"{name} {json.dumps(argument)}", f"{name} is evaluated at deployment")
        try:
            return functions[name](argument)
        except _MALFORMED as error:
            return self._unknown(f"{name} {json.dumps(argument)[:80]}", f"it is malformed: {type(error).__name__}")

    def _ref(self, name: str) -> Json:
        if name == "AWS::NoValue":
            return ABSENT
        pseudo = pseudo_parameters(self.stack, compared=self.compared)
        if name in pseudo:
            return pseudo[name]
        if name in self.stack.resources:
            return identifiers.reference(self.stack, name, self.value) or self._unknown(f"Ref {name}", _LATER)
        return self._parameter(name)

    def _parameter(self, name: str) -> Json:
        declared = self.stack.template.get("Parameters", {}).get(name)
        if self.stack.parent:
            outer, logical_id = self.stack.parent
            given = outer.resources[logical_id].get("Properties", {}).get("Parameters", {})
            if name in given:
                found = self._within(outer).value(given[name])
                return given_value(found, declared) if declared and isinstance(found, str) else found
        if name in self.stack.given:
            return given_value(self.stack.given[name], declared)
        return default_of(name, declared, self._unknown, self._assumed)

    def _get_att(self, argument: Json) -> Json:
        logical_id, name = argument.split(".", 1) if isinstance(argument, str) else argument
        resource = self.stack.resources.get(logical_id, {})
        if resource.get("Type") == "AWS::CloudFormation::Stack" and name.startswith("Outputs."):
            return self._nested_output(logical_id, name.removeprefix("Outputs."))
        if resource.get("Type") == "Custom::CrossRegionExportReader":
            return self._cross_region(name)
        result = identifiers.attribute(self.stack, logical_id, name, self.value) if resource else None
        if result is None:
            return self._unknown(f"{self.stack.path(logical_id)}.{name}", _LATER)
        return result

    def _nested_output(self, logical_id: str, output: str) -> Json:
        for stack in self.resolver.stacks:
            if stack.parent and stack.parent[1] == logical_id and stack.parent[0].id == self.stack.id:
                outputs = mapping(stack.template.get("Outputs"))
                if output in outputs:
                    return self._within(stack).value(outputs[output]["Value"])
                return self._unknown(f"{stack.id}.Outputs.{output}", "the stack has no such output")
        return self._unknown(f"{logical_id}.Outputs.{output}", "the nested stack's template is not in the assembly")

    def _cross_region(self, name: str) -> Json:
        found = [
            (stack, exports[name])
            for stack in self.resolver.stacks
            for resource in stack.resources.values()
            if resource["Type"] == "Custom::CrossRegionExportWriter"
            if name in (exports := mapping(mapping(resource["Properties"].get("WriterProps")).get("exports")))
        ]
        return self._met(found, name)

    def _met(self, found: Sequence[tuple[Stack, Json]], what: str) -> Json:
        if met := only_near(self.stack, found, far=True):
            return self._within(met[0]).value(met[1])
        return self._unknown(what, "no stack of the assembly says it, or more than one")

    def _import_value(self, argument: Json) -> Json:
        found = self.resolver.exported(self.stack, argument)
        found = found or self.resolver.exported(self.stack, self.value(argument))
        if found:
            return self._within(found[0]).value(found[1])
        return self._unknown(f"import {self.value(argument)}", "no stack of the assembly exports it")

    def _stack_output(self, argument: Json) -> Json:
        given = self.value(argument)
        name, output = (given["StackName"], given["OutputName"]) if isinstance(given, dict) else given[:2]
        name = str(name).split("/")[1] if str(name).startswith("arn:") else name
        outputs = [(it, mapping(it.template.get("Outputs"))) for it in self.resolver.stacks if it.name == name]
        return self._met([(it, of[output]["Value"]) for it, of in outputs if output in of], f"output {name}.{output}")

    def _join(self, argument: Json) -> Json:
        delimiter, items = argument[0], as_items(self.value(argument[1]))
        return delimiter.join(as_text(item) for item in items)

    def _length(self, argument: Json) -> Json:
        items = self.value(argument)
        return symbol(f"length of {items}") if is_symbolic(items) else len(items)

    def _sub(self, argument: Json) -> Json:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def replaced(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                return as_text(self.value(variables[name]))
            return as_text(self._get_att(name) if "." in name else self._ref(name))

        return _VARIABLE.sub(replaced, _DYNAMIC.sub(self._dynamic, text))

    def _select(self, argument: Json) -> Json:
        index, items = self.value(argument[0]), self.value(argument[1])
        if is_symbolic(index) or is_symbol(items) or (isinstance(items, list) and [*map(is_symbol, items)] == [True]):
            return symbol(f"element {as_text(index)} of {' '.join(map(as_text, as_items(items)))}")
        if not isinstance(items, list) or not str(index).isdigit() or int(index) >= len(items):
            return self._unknown(f"Fn::Select {index} of {items}", "the list is not known")
        return items[int(index)]

    def _split(self, argument: Json) -> Json:
        text = as_text(self.value(argument[1]))
        # An unknown account or Region may hold the delimiter.
        for made_up, letters in ((UNKNOWN_ACCOUNT, r"\d"), (UNKNOWN_REGION, "[a-z0-9-]")):
            text = text.replace(made_up, symbol(made_up)) if re.search(letters, argument[0]) else text
        parts = text.split(argument[0])
        first = next((place for place, part in enumerate(parts) if is_symbolic(part)), len(parts))
        # An unknown value may hold the delimiter: what stands at its place and behind is not known.
        unknown = (symbol(f"element {place} of {text}") for place in range(first, len(parts)))
        return [text] if is_symbol(text) else [*parts[:first], *unknown]

    def _if_(self, argument: Json) -> Json:
        name, when_true, when_false = argument
        return self.value(when_true if self.condition(str(name)) else when_false)

    def _find_in_map(self, argument: Json) -> Json:
        name, first, second = place = self.value(argument[:3])
        tables = self.stack.template.get("Mappings", {})
        table = tables.get(name, {}).get(first, {})
        if second in table:
            return self.value(table[second])
        unknown = is_symbolic(place) or {UNKNOWN_ACCOUNT, UNKNOWN_REGION} & {*place} or "Fn::Transform" in str(tables)
        if len(argument) > 3 and not unknown:  # noqa: PLR2004
            return self.value(argument[3]["DefaultValue"])
        return self._unknown(f"Fn::FindInMap {name}.{first}.{second}", "the mapping has no such entry")

    def condition(self, name: str) -> bool:
        """Return whether a condition holds, as far as it is decided or assumed; what is not is noted."""
        asked = World({}) if self.world is None else self.world
        decided = decide(self.stack, name, replace(self, world=asked, compared=True).value)
        if decided is not None and not (self.world is None and asked.asked):
            return decided
        if self.world is None:
            self._unknown(f"condition {name}", "it cannot be decided before deployment; taken as true")
            return True
        proposition = f"condition {self._named(name)}"
        if proposition not in self.world.assumed:
            self._unknown(f"condition {name}", BOTH_WAYS)
            self.world.asked.append(proposition)
        return self.world.assumed.get(proposition, True)

    def _named(self, name: str) -> str:
        """Return a name of this stack's template that no other stack of the assembly has."""
        return name if len(self.resolver.stacks) == 1 else f"{self.stack.id}.{name}"

    def _assumed(self, what: str, why: str) -> None:
        self.resolver.unresolved.add(Unresolved(self.where, what, why))

    def _unknown(self, what: str, why: str) -> str:
        self.resolver.unresolved.add(Unresolved(self.where, what, why))
        name = what.removeprefix("Ref ")
        return symbol(name if name.startswith("import ") else self._named(name))
