"""Reads an object by several ranged requests at a time, in order, in bounded memory.

One connection to Amazon S3 carries some tens of megabytes a second; many carry what the network does.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kms_runtime.errors import InvalidRequest
from kms_runtime.message.suite import wipe
from kms_runtime.s3.location import S3Object
from kms_runtime.s3.parts import MEBIBYTE
from kms_runtime.s3.read_ahead import read_ahead
from kms_runtime.s3.source import S3Source
from kms_runtime.streams import PieceReader, Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RANGE: Final = 4 * MEBIBYTE
RANGE_OF_A_CALL: Final = 16 * MEBIBYTE
"""Size of a range, in bytes, where each costs a call to AWS KMS: under SSE-KMS without a Bucket Key."""


@dataclass(frozen=True, slots=True)
class S3Concurrency:
    """How many requests to Amazon S3 are under way at a time for one object.

    An object takes at most ``downloads`` ranges of 4 MiB and ``uploads + 1`` parts of 6 MiB (more above 58 GiB);
    under SSE-KMS without a Bucket Key, where each range is a ``kms:Decrypt``, ranges have 16 MiB. The client needs as
    many connections: ``botocore.config.Config(max_pool_connections=downloads + uploads)``.

    Several downloads lose Amazon S3's checksum of the whole object, which it sends with a whole object only; each
    range is bound to the ETag of the first.

    Attributes:
        downloads: 1 to 32; 1 reads the object as one stream.
        uploads: 1 to 32.

    Raises:
        InvalidRequest: A number is out of range.
    """

    downloads: int = 1
    uploads: int = 2

    def __post_init__(self) -> None:
        for name in ("downloads", "uploads"):
            if not 1 <= (number := getattr(self, name)) <= _MOST:
                raise InvalidRequest(f"{name}={number}: give 1 to {_MOST}")


_MOST: Final = 32
_PIECE: Final = 256 * 1024  # urllib3 reads into memory of its own first, so not a whole range at a time
ONE_STREAM: Final = S3Concurrency()
"""What a function of a few hundred MiB can bear."""
HOST: Final = S3Concurrency(downloads=16, uploads=14)
"""For a host of its own: some 150 MiB for one object, which fills a network as boto3's managed download does."""


@contextmanager
def opened(
    location: S3Object, *, s3_client: "S3Client", concurrency: S3Concurrency = ONE_STREAM
) -> Iterator[tuple[S3Source, Source]]:
    """Yield the object's first response, which says what it is, and its bytes from start to end.

    Raises:
        SourceNotReadable: Amazon S3 returned 403 or 404.
    """
    if concurrency.downloads == 1:
        with S3Source(location, s3_client=s3_client) as first, read_ahead(first) as stream:
            yield first, stream
        return
    with S3Source.beginning(location, RANGE, s3_client=s3_client) as first:
        if first.size <= RANGE:
            yield first, first
            return
        with RangedReads(first, concurrency.downloads, s3_client=s3_client) as stream:
            yield first, stream


class RangedReads(PieceReader):
    """A binary file object over ranges that are read at the same time; use it as a context manager.

    Buffers are used again and again, and overwritten with zeros at the end.

    Args:
        first: The first ``RANGE`` bytes of the object, not yet read.
        downloads: How many ranges are read at a time.
        s3_client: A ``boto3.client("s3")``.
    """

    def __init__(self, first: S3Source, downloads: int, *, s3_client: "S3Client") -> None:
        self._first = first
        self._s3 = s3_client
        self._size = RANGE_OF_A_CALL if first.call_per_request else RANGE
        self._next = RANGE
        self._threads = ThreadPoolExecutor(downloads, "ranged-read")
        self._pending: deque[Future[tuple[bytearray, int]]] = deque()
        self._buffers = [bytearray(RANGE)]
        self._closed = False
        self._sources = {first}
        self._pending.append(self._threads.submit(self._fill, first, self._buffers[0]))
        for _ in range(downloads - 1):
            self._ask(None)

    def close(self) -> None:
        """Ask for no further range, wait for those on their way, and wipe every buffer."""
        self._closed = True
        for source in list(self._sources):
            source.close()
        self._threads.shutdown(cancel_futures=True)
        self._pending.clear()
        for buffer in self._buffers:
            wipe(buffer)

    def _next_piece(self) -> bool:
        if self._end:
            self._ask(self._piece)
            self._position = self._end = 0
        if not self._pending:
            return False
        self._piece, self._end = self._pending[0].result()
        self._pending.popleft()
        return True

    def _ask(self, buffer: bytearray | None) -> None:
        """Start to read the range that follows, if there is one."""
        start, end = self._next, min(self._next + self._size, self._first.size)
        if start >= end:
            return
        if buffer is None or len(buffer) < self._size:
            buffer = bytearray(self._size)
            self._buffers.append(buffer)
        self._next = end
        self._pending.append(self._threads.submit(self._range, start, end, buffer))

    def _range(self, start: int, end: int, buffer: bytearray) -> tuple[bytearray, int]:
        source = S3Source(self._first.request, s3_client=self._s3, byte_range=(start, end), etag=self._first.etag)
        self._sources.add(source)
        try:
            with source:
                return self._fill(source, buffer)
        finally:
            self._sources.discard(source)

    def _fill(self, source: S3Source, buffer: bytearray) -> tuple[bytearray, int]:
        got = 0
        with memoryview(buffer) as view:
            while not self._closed and (more := source.readinto(view[got : got + _PIECE])):
                got += more
        return buffer, got
