"""What a public address serves: fetched once per period, and a failure kept as well."""

import logging
import time
from collections.abc import Callable
from typing import Final

from kms_runtime.errors import KmsRuntimeError

LOG = logging.getLogger("kms_runtime")
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
                    self._failure, self._until = error, time.monotonic() + FAILURE_KEPT
                    raise
                LOG.warning("what was published is kept", extra={"errorCode": error.code, "reason": str(error)})
            self._until = time.monotonic() + self._refresh_after
        if self._failure is not None:
            raise type(self._failure)(self._failure.message)
        return self._content
