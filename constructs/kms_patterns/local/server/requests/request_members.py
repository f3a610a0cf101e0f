"""The members of a request of any protocol, by name, however deep: what side doors are looked for in."""

import json
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from xml.etree.ElementTree import Element, ParseError, fromstring

Members = Iterator[tuple[str, str]]
_TEXTS = (b"{", b"[", b"<")
_OF_CONTENT = frozenset({"partNumber", "uploadId", "x-id"})


@dataclass(frozen=True)
class Served:
    """An HTTP request to an AWS service, as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, Any]

    def members(self) -> Members:
        """Yield name and value of every member that is text, from the query, the headers and the body."""
        yield from members_of(self.query)
        yield from members_of({name: value for name, value in self.headers.items() if name.startswith("x-amz-")})
        form = "x-www-form-urlencoded" in self.headers.get("content-type", "")
        if form or self.body[:64].lstrip()[:1] in _TEXTS:
            yield from _read(self.body.decode("utf-8", "replace").strip(), form=form)

    @property
    def is_object(self) -> bool:
        """Whether the body is an object's content, in which nothing is looked for."""
        return self.method == "PUT" and "x-amz-target" not in self.headers and set(self.query) <= _OF_CONTENT


serving: ContextVar[Served | None] = ContextVar("served", default=None)
"""The request whose permissions are being checked."""


def members_of(value: Any, name: str = "") -> Members:
    """Yield name and value of every text in nested objects and lists."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            # Members of the query protocol are paths: Rules.member.1.RoleArn.
            yield from members_of(item, _last(str(key), name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from members_of(item, name)
    elif isinstance(value, str):
        yield name, value


def _read(text: str, *, form: bool) -> Members:
    if form:
        yield from members_of(parse_qs(text))
    elif text.startswith("<"):
        yield from _xml(text)
    else:
        yield from _json(text)


def _last(key: str, outer: str) -> str:
    parts = [part for part in key.split(".") if not part.isdigit() and part not in {"member", "entry"}]
    return parts[-1] if parts else outer


def _json(text: str) -> Members:
    try:
        yield from members_of(json.loads(text))
    except ValueError:
        return


def _xml(text: str) -> Members:
    if re.search(r"<!DOCTYPE|<!ENTITY", text):
        return
    try:
        root = fromstring(text)  # noqa: S314 - without a document type there are no entities to expand
    except ParseError:
        return
    yield from ((_tag(element), (element.text or "").strip()) for element in root.iter())


def _tag(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
