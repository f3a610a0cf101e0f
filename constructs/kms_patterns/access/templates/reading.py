"""From a template file to the template that CloudFormation acts on: parsed, with values given, transforms applied."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kms_patterns.access.templates import language_extensions, serverless
from kms_patterns.access.templates.template_text import NotATemplate, checked, template_of

_LISTS = ("CommaDelimitedList", "List<")


@dataclass(frozen=True)
class Given:
    """What only a deployment decides, as far as the caller says it.

    Attributes:
        parameters: Values of template parameters by name; ``Stack:Name`` is about one stack.
        account: The account of environment-agnostic stacks; None if it is not known.
        region: Their Region; None if it is not known.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    region: str | None = None

    def of_stack(self, name: str) -> dict[str, str]:
        """Return the parameter values for one stack: those said of it before those said of all."""
        own = f"{name}:"
        everywhere = {key: value for key, value in self.parameters.items() if ":" not in key}
        return everywhere | {
            key.removeprefix(own): value for key, value in self.parameters.items() if key.startswith(own)
        }


@dataclass(frozen=True)
class ReadTemplate:
    """A template as CloudFormation acts on it.

    Attributes:
        template: The template, with every section, its transforms applied.
        given: Values of its parameters that the caller gave.
        notes: What of it was not read: logical id (empty for the whole template), what, and why.
    """

    template: Mapping[str, Any]
    given: Mapping[str, str]
    notes: Sequence[tuple[str, str, str]]


def read_template(path: Path, given: Mapping[str, str], *, region: str) -> ReadTemplate:
    """Read one template file.

    Args:
        path: A file in JSON or YAML.
        given: Values of its parameters; names that it does not declare are left to other templates.
        region: The Region that it is deployed in, or what stands for an unknown one.

    Raises:
        NotATemplate: It is not a template, a value is not allowed for its parameter, or a transform refuses it.
    """
    return applied(template_of(path), str(path), given, region=region)


def applied(template: dict[str, Any], file: str, given: Mapping[str, str], *, region: str) -> ReadTemplate:
    """Return a checked template with its transforms applied; see ``read_template``."""
    declared = template["Parameters"]
    own = {name: _allowed(file, name, value, declared[name]) for name, value in given.items() if name in declared}
    notes: list[tuple[str, str, str]] = []
    left = _transforms(template)
    if language_extensions.TRANSFORM in left:
        values = _values(declared, own)
        extensions = language_extensions.Extensions(template, file, values)
        template = checked(extensions.expanded(), file)
        notes += [(loop, "resources of a loop", why) for loop, why in extensions.loops.items()]
        notes += [_assumed(name, declared[name]) for name in sorted(extensions.used - set(own))]
        left.remove(language_extensions.TRANSFORM)
    if serverless.TRANSFORM in left:
        notes += [_assumed(name, declared[name]) for name in serverless.used(template) if name not in own]
        template = checked(serverless.translated(template, file, own, region), file)
        left.remove(serverless.TRANSFORM)
    return ReadTemplate({**template, "Transform": left}, own, notes)


def _assumed(name: str, parameter: Mapping[str, Any]) -> tuple[str, str, str]:
    return "", f"Ref {name}", f"the parameter's default is assumed: {parameter['Default']}"


def _transforms(template: Mapping[str, Any]) -> list[str]:
    value = template.get("Transform")
    items = value if isinstance(value, list) else [value]
    return [str(item.get("Name", item)) if isinstance(item, Mapping) else str(item) for item in items if item]


def _values(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for name, parameter in declared.items():
        kind = str(parameter.get("Type", ""))
        value = given.get(name, None if kind.startswith("AWS::SSM::") else parameter.get("Default"))
        if value is not None:
            found[name] = [item.strip() for item in str(value).split(",")] if kind.startswith(_LISTS) else str(value)
    return found


def _allowed(file: str, name: str, value: str, parameter: Mapping[str, Any]) -> str:
    allowed = parameter.get("AllowedValues")
    if isinstance(allowed, list) and value not in {str(item) for item in allowed}:
        raise NotATemplate(f"{file}: parameter {name} is {value!r}, the template allows {allowed}")
    return value


Unknown = Callable[[str, str], Any]


def default_of(name: str, parameter: Mapping[str, Any] | None, unknown: Unknown, assumed: Unknown) -> Any:
    """Return a parameter's default, split if it is a list; one without default is listed.

    Args:
        name: The parameter.
        parameter: Its declaration; None if the template has none.
        unknown: Lists what cannot be told, and why, and returns what stands for it.
        assumed: Lists what is only assumed.
    """
    if parameter is None:
        return unknown(f"Ref {name}", "the template defines no such resource or parameter")
    kind = str(parameter.get("Type", ""))
    if kind.startswith("AWS::SSM::"):
        return unknown(f"Ref {name}", "the parameter is read from Parameter Store at deployment")
    if "Default" not in parameter:
        value = unknown(f"Ref {name}", "the parameter has no default")
        return [value] if _is_list(kind) else value
    default = parameter["Default"]
    assumed(f"Ref {name}", f"the parameter's default is assumed: {default}")
    return [item.strip() for item in str(default).split(",")] if _is_list(kind) else default


def given_value(value: str, parameter: Mapping[str, Any]) -> Any:
    """Return a parameter value that the caller gave, split if the parameter is a list."""
    return [item.strip() for item in value.split(",")] if _is_list(str(parameter.get("Type", ""))) else value


def _is_list(kind: str) -> bool:
    return kind == "CommaDelimitedList" or kind.startswith("List<")
