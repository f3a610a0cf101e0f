"""The keys of an issuer, fetched from its JWKS address and kept: what a reader of tokens needs of it.

See https://www.rfc-editor.org/rfc/rfc9111
"""

import http.client
import re
import ssl
import threading
import time
from dataclasses import dataclass
from email.message import Message
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from kms_runtime.errors import InvalidRequest, ServiceUnreachable, TokenKeySetInvalid, TokenKeyUnknown
from kms_runtime.tokens.key_set import LARGEST_DOCUMENT, Jwks, TokenKey

DEFAULT_MAX_AGE: Final = 300
LONGEST_MAX_AGE: Final = 86_400
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=([0-9]{1,9})(?:$|[,\s])")
_NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class _Fetched:
    keys: Jwks
    etag: str | None
    until: float
    at: float


class _NoRedirects(HTTPRedirectHandler):
    """Keys come from the address that the reader trusts, or not at all."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


class RemoteJwks:
    """A key set at an HTTPS address, for ``verify_token``.

    It is asked for when first needed, again after ``max-age`` (with its ETag, so that mostly nothing is sent), and
    when a token names a key that it lacks, but never more than once in ``shortest_interval``: forged tokens cannot
    make a reader hammer the issuer. While the address does not answer, the keys that are known stay in use for up to
    ``longest_outage``. Safe to share between threads.

    Args:
        url: Such as ``TokenIssuer.jwks_url``; ``https://`` only. Redirects are not followed.
        ssl_context: Left out, the one that trusts the machine's authorities.
        timeout: Seconds to wait for an answer.
        shortest_interval: Seconds between two requests, at least.
        longest_outage: Seconds after ``max-age`` for which keys are used without an answer.

    Raises:
        InvalidRequest: ``url`` does not start with ``https://``.
    """

    def __init__(
        self,
        url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = 5,
        shortest_interval: float = 30,
        longest_outage: float = 3600,
    ) -> None:
        if urlsplit(url).scheme != "https":
            raise InvalidRequest(f"{url!r} does not start with https://: who answers could hand out keys of their own")
        self._url, self._timeout = url, timeout
        self._shortest_interval, self._longest_outage = shortest_interval, longest_outage
        context = ssl_context or ssl.create_default_context()
        self._opener = build_opener(_NoRedirects, HTTPSHandler(context=context))
        self._lock = threading.Lock()
        self._fetched: _Fetched | None = None
        self._tried = float("-inf")

    def find(self, key_id: str) -> TokenKey:
        """Return the key with this id.

        Raises:
            TokenKeyUnknown: The issuer has no such key.
            ServiceUnreachable: The address did not answer, and no keys are known.
            TokenKeySetInvalid: It answered with something else than a key set, and no keys are known.
        """
        fetched = self._current()
        try:
            return fetched.keys.find(key_id)
        except TokenKeyUnknown:
            return self._current(unknown_since=fetched.at).keys.find(key_id)

    def _current(self, unknown_since: float | None = None) -> _Fetched:
        """Return the keys, asked for anew if they are old, or if a key was missing in those fetched back then."""
        with self._lock:
            known, now = self._fetched, time.monotonic()
            if known and unknown_since is None and now < known.until:
                return known
            if known and unknown_since is not None and known.at > unknown_since:
                return known
            if known and now - self._tried < self._shortest_interval:
                return self._still_good(known, now)
            self._tried = now
            try:
                self._fetched = self._fetch(known)
            except (ServiceUnreachable, TokenKeySetInvalid):
                if known is None:
                    raise
                return self._still_good(known, now)
            return self._fetched

    def _still_good(self, known: _Fetched, now: float) -> _Fetched:
        if now < known.until + self._longest_outage:
            return known
        raise ServiceUnreachable(f"{self._url} has not answered for {int(now - known.at)} s; its keys are too old")

    def _fetch(self, known: _Fetched | None) -> _Fetched:
        headers = {"Accept": "application/jwk-set+json, application/json"}
        if known and known.etag:
            headers["If-None-Match"] = known.etag
        try:
            with self._opener.open(Request(self._url, headers=headers), timeout=self._timeout) as answer:  # noqa: S310
                body = answer.read(LARGEST_DOCUMENT + 1)
                return self._kept(Jwks.parse(body), answer.headers)
        except HTTPError as error:
            error.close()
            if known and error.code == _NOT_MODIFIED:
                return self._kept(known.keys, error.headers)
            raise ServiceUnreachable(f"{self._url} answered {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            raise ServiceUnreachable(f"{self._url}: {error}") from error

    @staticmethod
    def _kept(keys: Jwks, headers: Message) -> _Fetched:
        found = _MAX_AGE.search(headers.get("Cache-Control", ""))
        max_age = min(int(found[1]), LONGEST_MAX_AGE) if found else DEFAULT_MAX_AGE
        now = time.monotonic()
        return _Fetched(keys, headers.get("ETag"), now + max_age, now)
