"""Events checked against the JSON Schema documents beside this module, each compiled when it is first needed."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

from kms_runtime.errors import InvalidRequest

Event = dict[str, Any]
Response = dict[str, Any]


def schema(name: str) -> dict[str, Any]:
    """Return one JSON Schema of the documents in ``schemas``, ready to be compiled by itself.

    Args:
        name: Document and definition, such as ``"envelope_cipher/request"`` for ``#/definitions/request`` of
            ``envelope_cipher.json``.
    """
    document, _, definition = name.partition("/")
    text = Path(__file__).with_name("schemas").joinpath(f"{document}.json").read_text("utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return {"$schema": parsed["$schema"], **parsed["definitions"][definition]}


def validator(name: str) -> Callable[[object], Event]:
    """Return a function that returns an event that is valid by the schema ``name``.

    A number such as ``5.0`` where the schema asks for an integer is returned as ``5``: JSON does not tell them apart.
    The function raises InvalidRequest, which names the field and the rule, never the value.
    """

    @cache
    def rule() -> tuple[dict[str, Any], Callable[[object], Event]]:
        # Each schema takes a millisecond or more, and an event needs one of them: a cold start need not wait for all.
        document = schema(name)
        return document, fastjsonschema.compile(document, use_default=False)

    def validate(event: object) -> Event:
        document, check = rule()
        _check_text(event)
        try:
            valid = check(event)
        except fastjsonschema.JsonSchemaValueException as error:
            raise InvalidRequest(f"event{error.message.removeprefix('data')}") from None
        normalized: Event = _with_integers(valid, document)
        return normalized

    return validate


def decode_base64(event: Event, name: str, default: str | None = None) -> bytes:
    """Return the bytes of the Base64 field ``name``, or of ``default`` if the event may leave it out.

    Raises:
        InvalidRequest: It is not Base64.
    """
    try:
        return base64.b64decode(event[name] if default is None else event.get(name, default), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"event.{name} is not Base64") from None


def encode_base64(data: bytes | bytearray) -> str:
    """Return ``data`` as Base64 text."""
    return base64.b64encode(data).decode()


def _check_text(event: object) -> None:
    """Refuse lone surrogates, which JSON can write (an escaped U+D800) and no AWS API takes.

    Without recursion: an event may be nested as deep as its sender likes.
    """
    pending = [event]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            pending += [*found, *found.values()]
        elif isinstance(found, list):
            pending += found
        elif isinstance(found, str) and not found.isascii():
            try:
                found.encode()
            except UnicodeEncodeError:
                raise InvalidRequest("event holds a lone surrogate, which is not Unicode text") from None


def _with_integers(value: Any, rule: Mapping[str, Any]) -> Any:
    """Return a valid ``value`` with an ``int`` wherever ``rule`` has the type integer."""
    if isinstance(value, float) and rule.get("type") == "integer":
        return int(value)
    if isinstance(value, dict) and (members := rule.get("properties")):
        return {name: _with_integers(item, members.get(name, {})) for name, item in value.items()}
    if isinstance(value, list) and (items := rule.get("items")):
        return [_with_integers(item, items) for item in value]
    return value
