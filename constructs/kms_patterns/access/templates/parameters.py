"""Values that a deployment takes for a template's parameters, as far as the template tells."""

from collections.abc import Callable, Mapping
from typing import Any

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
