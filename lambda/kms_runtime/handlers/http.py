"""Requests to a Lambda function URL, and responses that caches keep: ETag, max-age, 304.

See https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from kms_runtime.handlers.validation import Event, Response, encode_base64, validator

_request = validator("http/request")
_METHODS = ("GET", "HEAD")
_ALWAYS = {
    # What is served is public: pages of any origin may read it.
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "etag",
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
}


def path_of(event: Event) -> str | Response:
    """Return the path of a GET or HEAD request; without TLS or with another method, the response that refuses it.

    AWS documents function URLs as HTTP(S) endpoints. A response to a request without TLS can be replaced on its way,
    and its reader would believe it: so there is none.

    Raises:
        InvalidRequest: ``event`` is not valid by ``schemas/http.json``.
    """
    valid = _request(event)
    if valid.get("headers", {}).get("x-forwarded-proto", "https") != "https":
        return error_response(HTTPStatus.FORBIDDEN, "this address is served over HTTPS only")
    if _method(valid) not in _METHODS:
        return error_response(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are served", allow=", ".join(_METHODS))
    return str(valid["rawPath"])


def content_response(event: Event, content: bytes, content_type: str, *, max_age: int) -> Response:
    """Return ``content`` to be cached for ``max_age`` seconds; 304 without content if the client has it already."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"content-type": content_type, "cache-control": f"public, max-age={max_age}", "etag": etag}
    if _has(event.get("headers", {}), etag):
        return _response(HTTPStatus.NOT_MODIFIED, headers)
    return _response(HTTPStatus.OK, headers, b"" if _method(event) == "HEAD" else content)


def error_response(status: HTTPStatus, message: str, **headers: str) -> Response:
    """Return an error that no cache keeps; ``message`` says what to do. Underscores in header names become hyphens."""
    plain = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _response(status, plain | named, f"{message}\n".encode())


def _response(status: HTTPStatus, headers: Mapping[str, str], content: bytes = b"") -> Response:
    return {
        "statusCode": int(status),
        "headers": {**_ALWAYS, **headers},
        "body": encode_base64(content),
        "isBase64Encoded": True,
    }


def _method(event: Event) -> str:
    return str(event["requestContext"]["http"]["method"])


def _has(headers: Mapping[str, str], etag: str) -> bool:
    """Tell whether If-None-Match names ``etag``, by weak comparison, as RFC 9110, section 13.1.2 has it."""
    named = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
    return etag in named or "*" in named
