"""Values of a template brought into the shape that a reader expects, whatever the template holds there."""

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """Return ``value`` if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Return a list as it is, one value as a list of one, nothing as an empty list; lists in lists are joined."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [value]
    return [item for part in value for item in (items(part) if isinstance(part, list) else [part])]


def text(value: Any) -> str:
    """Return a value as CloudFormation passes it on: everything is text there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def texts(value: Any) -> list[str]:
    """Return one text or several as a list of texts."""
    return [text(item) for item in items(value) if item is not None and not isinstance(item, Mapping)]
