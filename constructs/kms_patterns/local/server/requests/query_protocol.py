"""Requests and errors of the services whose protocol is AWS's query protocol: STS and CloudFormation."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from kms_patterns.local.server.kms.kms_errors import Response

Params = Mapping[str, str]
_NAMESPACES = {
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "cloudformation": "http://cloudformation.amazonaws.com/doc/2010-05-15/",
}


def params_of(method: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]) -> Params:
    """Return a request's parameters, with its Action, as the emulator reads them."""
    found = {name: str(values[0] if isinstance(values, list) and values else values) for name, values in query.items()}
    target = headers.get("x-amz-target", "")
    if "amz-json" in headers.get("content-type", "") and target:
        try:
            sent = json.loads(body or b"{}")
        except ValueError:
            sent = {}
        members = sent.items() if isinstance(sent, dict) else ()
        return found | {name: str(value) for name, value in members} | {"Action": target.rpartition(".")[2]}
    if method == "POST":
        found |= {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    return found


def query_error(service: str, code: str, message: str, status: int = 400) -> Response:
    """Return an error as ``service`` answers it, in XML."""
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACES[service]}"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{escape(message)}</Message></Error></ErrorResponse>"
    )
    return status, {"Content-Type": "text/xml"}, body.encode()
