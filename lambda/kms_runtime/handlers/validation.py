"""Events checked against the JSON Schema documents beside this module, each compiled when it is first needed."""

import base64
import binascii
import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import fastjsonschema

from kms_runtime.errors import InvalidRequest

Event = dict[str, Any]
Answer = dict[str, Any]


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema document ``name``, such as ``"envelope_request"``."""
    document: dict[str, Any] = json.loads(files(__package__).joinpath("schemas", f"{name}.json").read_text("utf-8"))
    return document


def validator(name: str) -> Callable[[object], Event]:
    """Return a function that gives back an event that is valid by the document ``name``.

    The function raises InvalidRequest, which names the field and the rule, never the value.
    """

    @cache
    def check() -> Callable[[object], Event]:
        # Each document takes a millisecond or more, and an event needs one of them: a cold start need not wait for all.
        compiled: Callable[[object], Event] = fastjsonschema.compile(schema(name), use_default=False)
        return compiled

    def validate(event: object) -> Event:
        try:
            valid = check()(event)
        except fastjsonschema.JsonSchemaValueException as error:
            raise InvalidRequest(f"event{error.message.removeprefix('data')}") from None
        return valid

    return validate


def decode_base64(event: Event, name: str) -> bytes:
    """Return the bytes of the Base64 field ``name``.

    Raises:
        InvalidRequest: It is not Base64.
    """
    try:
        return base64.b64decode(event[name], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"event.{name} is not Base64") from None


def encode_base64(data: bytes | bytearray) -> str:
    """Return ``data`` as Base64 text."""
    return base64.b64encode(data).decode()
