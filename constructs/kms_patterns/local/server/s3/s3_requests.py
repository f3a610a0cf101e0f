"""The S3 request being served: who asks, for which object, by which operation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller, caller_of


@dataclass(frozen=True)
class S3Request:
    """A request to an object, as S3's dispatcher sees it."""

    method: str
    bucket: str
    key: str
    headers: Mapping[str, str]
    query: Mapping[str, Any]

    @property
    def caller(self) -> Caller:
        """The principal for whom S3 asks KMS.

        Raises:
            KmsError: AccessDeniedException: an anonymous request cannot use a KMS key.
        """
        return caller_of(self.headers, self.query)

    @property
    def object_arn(self) -> str:
        """The ARN of the object."""
        return f"arn:aws:s3:::{self.bucket}/{self.key}"

    @property
    def reads_checksum(self) -> bool:
        """Whether the answer is to contain the object's checksum."""
        return self.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"


_current: ContextVar[S3Request | None] = ContextVar("s3_request", default=None)


@contextmanager
def serving(request: S3Request) -> Iterator[None]:
    """Remember ``request`` while it is being served."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def current_request() -> S3Request | None:
    """Return the request being served, None inside the emulator's own accesses."""
    return _current.get()
