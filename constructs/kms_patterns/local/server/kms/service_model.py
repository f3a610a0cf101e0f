"""KMS requests as AWS's own service model describes them: types, required members, lengths, ranges, patterns, enums.

The model is botocore's. A member that it does not have is refused, where AWS passes over it: AWS may know a newer one
that narrows what is asked for.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from kms_patterns.local.server.kms.kms_call import Request
from kms_patterns.local.server.kms.kms_errors import KmsError, constraints

if TYPE_CHECKING:
    from botocore.model import ServiceModel

# botocore's, of which few attributes are known to type checkers.
Shape = Any
TARGET = "TrentService."
# Enumerations that botocore's newest models have longer.
_ML_KEM: Mapping[str, tuple[str, ...]] = {
    "KeySpec": ("ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"),
    "KeyUsageType": ("ENCAPSULATE_DECAPSULATE",),
    "GrantOperation": ("Encapsulate", "Decapsulate"),
}
_LARGEST_TIMESTAMP = 253_402_300_799
_JSON_NAMES: Mapping[type, str] = {
    bool: "BOOLEAN_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE", str: "STRING_VALUE", list: "START_ARRAY",
    dict: "START_OBJECT", type(None): "NULL_VALUE",
}  # fmt: skip


def operation_of(target: str) -> str:
    """Return the operation that the header ``X-Amz-Target`` names.

    Raises:
        KmsError: UnknownOperationException.
    """
    operation = target.removeprefix(TARGET)
    if not target.startswith(TARGET) or operation not in kms_model().operation_names:
        raise KmsError("UnknownOperationException", "")
    return operation


def parsed(body: bytes) -> Request:
    """Return the JSON object of a request body; an empty body is an empty request.

    Raises:
        KmsError: SerializationException.
    """
    try:
        request = json.loads(body.decode() or "{}", parse_constant=_not_json)
    except (ValueError, RecursionError) as malformed:
        raise _not_serialized("The request body is not JSON.") from malformed
    if not isinstance(request, dict):
        raise _not_serialized("Start of structure or map expected.")
    return request


def validated(operation: str, request: Request) -> Request:
    """Return a request without its null members, once it is what the service model describes.

    Raises:
        KmsError: SerializationException for a type, ValidationException for the rest, in AWS's words.
    """
    shape = kms_model().operation_model(operation).input_shape
    if shape is None:
        return {}
    typed: Request = _typed(shape, request, operation)
    found = list(violations(shape, typed))
    if found:
        raise constraints(found)
    return typed


@cache
def kms_model() -> "ServiceModel":
    """Return botocore's model of KMS with what it does not have yet."""
    # botocore takes a third of the time that the server needs to start, and nothing asks for it until it serves.
    from botocore.model import ServiceModel  # noqa: PLC0415

    from kms_runtime.kms_model import kms_loader  # noqa: PLC0415

    description = kms_loader().load_service_model("kms", "service-2")
    for shape, values in _ML_KEM.items():
        listed = description["shapes"][shape]["enum"]
        listed += [value for value in values if value not in listed]
    return ServiceModel(description, "kms")


def _not_json(constant: str) -> None:
    raise ValueError(constant)


def _not_serialized(message: str) -> KmsError:
    return KmsError("SerializationException", message)


def _typed(shape: Shape, value: Any, name: str) -> Any:
    """Return ``value`` without null members, checked to be of the shape's type down to its leaves."""
    reader = _READERS.get(shape.type_name)
    if reader is None or not reader(value):
        json_name = _JSON_NAMES.get(type(value), "VALUE")
        raise _not_serialized(f"{json_name} can not be converted to {shape.type_name} at {name}")
    if shape.type_name == "structure":
        unknown = sorted(set(value) - set(shape.members))
        if unknown:
            raise KmsError("ValidationException", f"{shape.name} has no member {', '.join(unknown)}")
        return {
            member: _typed(shape.members[member], item, member) for member, item in value.items() if item is not None
        }
    if shape.type_name == "list":
        return [_typed(shape.member, item, name) for item in value]
    if shape.type_name == "map":
        return {_typed(shape.key, key, name): _typed(shape.value, item, name) for key, item in value.items()}
    return value


def _is_text(value: Any) -> bool:
    # JSON may escape half a surrogate pair, which no UTF-8 text has.
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= it <= "\udfff" for it in value))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_blob(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_instant(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= _LARGEST_TIMESTAMP


_READERS: Mapping[str, Callable[[Any], bool]] = {
    "string": _is_text,
    "integer": _is_whole,
    "boolean": lambda value: isinstance(value, bool),
    "blob": _is_blob,
    "timestamp": _is_instant,
    "list": lambda value: isinstance(value, list),
    "map": lambda value: isinstance(value, dict),
    "structure": lambda value: isinstance(value, dict),
}


def violations(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Yield each constraint of a service model that a value of the right types breaks, in AWS's words."""
    if shape.type_name == "structure":
        # In the order of the model, as AWS lists them.
        for name in (it for it in shape.members if it in value or it in shape.required_members):
            inner = f"{path}.{_lower(name)}" if path else _lower(name)
            if name in value:
                yield from violations(shape.members[name], value[name], inner)
            else:
                yield f"Value null at '{inner}' failed to satisfy constraint: Member must not be null"
    elif shape.type_name == "list":
        yield from _broken(shape, value, path)
        if shape.member.type_name == "structure":
            for position, item in enumerate(value, 1):
                yield from violations(shape.member, item, f"{path}.{position}.member")
        else:
            of_items = sorted({rule for item in value for rule in _rules(shape.member, item)})
            if of_items:
                joined = f"Member must satisfy constraint: [{', '.join(of_items)}]"
                yield f"Value '[{', '.join(map(str, value))}]' at '{path}' failed to satisfy constraint: {joined}"
    else:
        yield from _broken(shape, value, path)


def _broken(shape: Shape, value: Any, path: str) -> Iterator[str]:
    hidden = shape.type_name == "blob" or shape.metadata.get("sensitive") or shape.type_name == "list"
    shown = "" if hidden else f" '{value}'"
    for rule in _rules(shape, value):
        yield f"Value{shown} at '{path}' failed to satisfy constraint: {rule}"


def _rules(shape: Shape, value: Any) -> Iterator[str]:
    """Yield each rule of the shape that the value breaks."""
    if shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    pattern = _compiled(shape.metadata.get("pattern") or "")
    if pattern is not None and not pattern.fullmatch(value):
        pattern_text = shape.metadata["pattern"]
        yield f"Member must satisfy regular expression pattern: {pattern_text}"
    measured, noun = _measured(shape, value)
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if measured is not None and most is not None and measured > most:
        yield f"Member must have {noun} less than or equal to {most}"
    if measured is not None and least is not None and measured < least:
        yield f"Member must have {noun} greater than or equal to {least}"


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    # Some models have expressions of Java that Python has not.
    try:
        return re.compile(pattern, re.ASCII) if pattern else None
    except re.error:
        return None


def _measured(shape: Shape, value: Any) -> tuple[int | None, str]:
    if shape.type_name == "integer":
        return value, "value"
    if shape.type_name == "string":
        # Java's length of a string: UTF-16 code units.
        return len(value.encode("utf-16-le")) // 2, "length"
    if shape.type_name == "blob":
        return len(base64.b64decode(value)), "length"
    return (len(value), "length") if shape.type_name == "list" else (None, "")


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
