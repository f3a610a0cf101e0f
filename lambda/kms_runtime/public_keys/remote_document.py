"""A document at an HTTPS address, fetched and cached for the readers of published keys.

See https://www.rfc-editor.org/rfc/rfc9111
"""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from functools import partial
from typing import Any, Final, Generic, TypeVar
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from kms_runtime.errors import InvalidRequest, KmsRuntimeError, ServiceUnreachable
from kms_runtime.fork_lock import ForkLock

DEFAULT_MAX_AGE: Final = 300
LONGEST_MAX_AGE: Final = 86_400
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=([0-9]{1,9})(?:$|[,\s])")
_NOT_MODIFIED = 304
# While nothing is known, waiting for long would refuse what is good after a moment's failure at the start.
_FIRST_INTERVAL: Final = 1.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """What was made of a document, and when.

    Args:
        content: What ``parse`` returned.
        etag: The document's ETag.
        until: Until when it is fresh, by ``time.monotonic``.
        at: When it came.
    """

    content: T
    etag: str | None
    until: float
    at: float


class _NoRedirects(HTTPRedirectHandler):
    """Keys come from the address that the reader trusts, or not at all."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


class _Connection(http.client.HTTPSConnection):
    def __init__(self, opened: list[socket.socket], host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._opened, self._tls = opened, options["context"]

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        # A handle of its own: TLS takes the socket over.
        self._opened.append(self.sock.dup())
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=getattr(self, "_tunnel_host", None) or self.host)


class _HttpsWithDeadline(HTTPSHandler):
    """Ends a connection after a time, whatever comes meanwhile: a time-out alone begins anew with every byte."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._tls = context
        self._opened: list[socket.socket] = []

    def https_open(self, request: Request) -> http.client.HTTPResponse:
        """Open a connection that ``ending_after`` ends."""
        return self.do_open(partial(_Connection, self._opened), request, context=self._tls)

    @contextmanager
    def ending_after(self, seconds: float) -> Iterator[None]:
        """Shut down what is opened inside after ``seconds``."""
        timer = threading.Timer(seconds, self._shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            while self._opened:
                self._opened.pop().close()

    def _shut_down(self) -> None:
        for opened in list(self._opened):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)


class RemoteDocument(Generic[T]):
    """A document at an HTTPS address; ``RemoteJwks`` and ``RemotePublicKey`` say when it is fetched.

    While one thread fetches, the others use the cached copy if it has what they need.

    Args:
        url: ``https://`` only. Redirects are not followed.
        parse: Makes of the document what is kept; raises a ``KmsRuntimeError``.
        largest: Bytes that are read, at most, and one more, for ``parse`` to refuse.
        accept: The header Accept.
        ssl_context: None for the one that trusts the machine's authorities.
        timeout: Seconds to wait for the connection, and for the whole request: TLS, headers and body.
        shortest_interval: Seconds between two requests, at least; 1 while nothing is cached.
        longest_outage: Seconds after ``max-age`` for which the cached copy is used without a response.

    Raises:
        InvalidRequest: ``url`` does not start with ``https://``.
    """

    def __init__(
        self,
        url: str,
        parse: Callable[[bytes], T],
        *,
        largest: int,
        accept: str,
        ssl_context: ssl.SSLContext | None,
        timeout: float,
        shortest_interval: float,
        longest_outage: float,
    ) -> None:
        if url[:8].lower() != "https://":
            raise InvalidRequest(
                f"{url!r} does not start with https://: another server could respond with keys of its own"
            )
        self._url, self._parse, self._largest = url, parse, largest
        self._accept, self._timeout = accept, timeout
        self._shortest_interval, self._longest_outage = shortest_interval, longest_outage
        context = ssl_context or ssl.create_default_context()
        self._https = _HttpsWithDeadline(context)
        self._opener = build_opener(_NoRedirects, self._https)
        self._lock = ForkLock()
        self._fetched: Fetched[T] | None = None
        self._tried = float("-inf")
        self._failure: KmsRuntimeError | None = None

    def current(self, lacking_since: float | None = None) -> Fetched[T]:
        """Return the document, refetched if stale, or if the cached copy lacked what the caller needs.

        Raises:
            ServiceUnreachable: The address did not respond, and nothing is cached, or for too long.
            KmsRuntimeError: What ``parse`` raises, if nothing is cached.
        """
        known, now = self._fetched, time.monotonic()
        if known and lacking_since is None and now < known.until:
            return known
        waits = known is None or lacking_since is not None
        if not self._lock.acquire(blocking=waits):
            return self._known_instead(known, now)
        try:
            return self._asked(lacking_since)
        finally:
            self._lock.release()

    def _asked(self, lacking_since: float | None) -> Fetched[T]:
        """Fetch, unless another thread did while this one waited, or too short a time ago."""
        known, now = self._fetched, time.monotonic()
        if known and (now < known.until if lacking_since is None else known.at > lacking_since):
            return known
        if now - self._tried < (self._shortest_interval if known else min(_FIRST_INTERVAL, self._shortest_interval)):
            return self._known_instead(known, now)
        self._tried = now
        try:
            self._fetched = self._fetch(known)
        except KmsRuntimeError as error:
            self._failure = error
            return self._known_instead(known, now)
        return self._fetched

    def _known_instead(self, known: Fetched[T] | None, now: float) -> Fetched[T]:
        if not known:
            assert self._failure  # noqa: S101 - nothing is known only if the address was asked in vain
            raise type(self._failure)(self._failure.message) from self._failure.__cause__
        if now < known.until + self._longest_outage:
            return known
        raise ServiceUnreachable(f"{self._url} has not responded for {int(now - known.at)} s; its keys are too old")

    def _fetch(self, known: Fetched[T] | None) -> Fetched[T]:
        headers = {"Accept": self._accept}
        if known and known.etag:
            headers["If-None-Match"] = known.etag
        end = time.monotonic() + self._timeout
        try:
            request = Request(self._url, headers=headers)  # noqa: S310
            with (
                self._https.ending_after(self._timeout),
                self._opener.open(request, timeout=self._timeout) as response,
            ):
                return _kept(self._parse(self._body(response, end)), response.headers)
        except HTTPError as error:
            error.close()
            if known and error.code == _NOT_MODIFIED:
                return _kept(known.content, error.headers)
            raise ServiceUnreachable(f"{self._url} returned {error.code}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceUnreachable(f"{self._url}: {error}") from error

    def _body(self, response: http.client.HTTPResponse, end: float) -> bytes:
        body = bytearray()
        while time.monotonic() < end and len(body) <= self._largest:
            part = response.read1(self._largest + 1 - len(body))
            if not part:
                break
            body += part
        # What was cut off may look complete: the end of the stream ends headers and bodies without a length.
        if time.monotonic() >= end:
            raise ServiceUnreachable(f"{self._url} took more than {self._timeout} s for its response")
        return bytes(body)


def _kept(content: T, headers: Message) -> Fetched[T]:
    found = _MAX_AGE.search(headers.get("Cache-Control", ""))
    max_age = min(int(found[1]), LONGEST_MAX_AGE) if found else DEFAULT_MAX_AGE
    now = time.monotonic()
    return Fetched(content, headers.get("ETag"), now + max_age, now)
