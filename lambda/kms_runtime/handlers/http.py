"""Requests to a Lambda function URL, content kept for all of them, and responses that caches keep: ETag, max-age, 304.

See https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from kms_runtime.errors import KmsRuntimeError
from kms_runtime.handlers.outcome import LOG
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
FAILURE_KEPT: Final = 10.0
"""Seconds for which a failure is the response, as the header Retry-After says."""


class Publication:
    """Content that an execution environment fetches from AWS at most once per period, however many strangers ask.

    A failure is kept for ``FAILURE_KEPT`` seconds, so that requests of strangers do not become requests to AWS.

    Args:
        fetch: Returns the content; raises a ``KmsRuntimeError``.
        refresh_after: Seconds that the content is kept.
        gone: Errors after which the former content is no longer served. After any other one it stays.
    """

    def __init__(
        self, fetch: Callable[[], bytes], *, refresh_after: float, gone: tuple[type[KmsRuntimeError], ...]
    ) -> None:
        self._fetch, self._refresh_after, self._gone = fetch, refresh_after, gone
        self._content, self._until = b"", 0.0
        self._failure: KmsRuntimeError | None = None

    def content(self) -> bytes:
        """Return the content.

        Raises:
            KmsRuntimeError: What ``fetch`` raised, and nothing was fetched before; or the content is gone.
        """
        if time.monotonic() >= self._until:
            try:
                self._content, self._failure = self._fetch(), None
            except KmsRuntimeError as error:
                if not self._content or isinstance(error, self._gone):
                    self._content = b""
                    self._failure, self._until = error, time.monotonic() + FAILURE_KEPT
                    raise
                LOG.warning("what was published is kept", extra={"errorCode": error.code, "reason": str(error)})
            self._until = time.monotonic() + self._refresh_after
        if self._failure is not None:
            raise type(self._failure)(self._failure.message)
        return self._content


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


def served(
    event: Event, publication: Callable[[], Publication], content_type: str, *, max_age: int, otherwise: str
) -> Response:
    """Return what is published, to be cached for ``max_age`` seconds; 304 without content if the client has it already.

    ``otherwise`` is the text of the response that says that nothing is there, 503; the reason is logged.
    """
    try:
        content = publication().content()
    except KmsRuntimeError as error:
        LOG.warning("not published", extra={"errorCode": error.code, "reason": str(error)})
        return error_response(HTTPStatus.SERVICE_UNAVAILABLE, otherwise, retry_after=f"{FAILURE_KEPT:.0f}")
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
