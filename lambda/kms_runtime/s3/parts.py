"""The parts of one multipart upload: their size, their buffers, and some on their way while the next is being filled.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

import base64
import io
import mmap
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kms_runtime.errors import ObjectTooLarge

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

try:  # what botocore[crt] brings, and three times as fast
    from awscrt.checksums import crc32  # type: ignore[import-untyped]
except ImportError:
    from zlib import crc32

MEBIBYTE = 1024 * 1024
PART_SIZE = 6 * MEBIBYTE
MAX_PARTS = 10_000
MAX_OBJECT_SIZE = 5 * 1024 * 1024 * MEBIBYTE

_SMALL = 2 * MEBIBYTE
_ZEROS = bytes(64 * 1024)


def part_size_for(size: int) -> int:
    """Return the part size, in bytes, for an object of at most ``size`` bytes: 6 MiB up to 58 GiB, then more.

    The upload holds three parts in memory: 5 TiB take 1575 MiB.

    Raises:
        ObjectTooLarge: More than 5 TiB.
    """
    if size > MAX_OBJECT_SIZE:
        raise ObjectTooLarge(f"an object of up to {size} bytes; at most {MAX_OBJECT_SIZE} (5 TiB) can be written")
    needed = -(-size // MAX_PARTS)
    return max(PART_SIZE, -(-needed // MEBIBYTE) * MEBIBYTE)


class PartBuffer(io.RawIOBase):
    """A part of an upload: filled, read by the AWS SDK to sign it, sent (again, if it retries), and used once more.

    What is not filled is not touched and takes no memory. Only a small object that turns out to be a large one moves,
    and leaves zeros behind.

    Args:
        size: Capacity in bytes.
        expected: How much will be filled, as far as is known.
    """

    def __init__(self, size: int, *, expected: int | None = None) -> None:
        super().__init__()
        self._size = size
        # Fresh pages of the operating system cost a small object a millisecond; a bytearray has memory that was used
        # before. For a large part it would be filled with zeros in vain.
        small = expected is not None and expected <= min(_SMALL, size)
        self._memory = memoryview(bytearray(expected or 0) if small else mmap.mmap(-1, size))
        self._used = self._high_water = self._position = 0

    @property
    def filled(self) -> memoryview:
        """What was filled, as it lies in memory."""
        return self._memory[: self._used]

    @property
    def room(self) -> int:
        """Bytes that still fit."""
        return self._size - self._used

    def fill(self, data: memoryview) -> int:
        """Take as much of ``data`` as fits and return how much that was."""
        taken = min(len(data), self.room)
        if self._used + taken > len(self._memory):
            self._grow()
        self._memory[self._used : self._used + taken] = data[:taken]
        self._used += taken
        self._high_water = max(self._high_water, self._used)
        return taken

    def refill(self) -> None:
        """Start the next part, over the last one."""
        self._used = self._position = 0

    def wipe(self) -> None:
        """Overwrite all that was ever filled with zeros, and give the memory back; nothing can be filled any more."""
        self._erase()
        # Not left to the garbage collector: a warm function would hold the parts of many objects until it runs.
        self._memory = memoryview(b"")
        self._size = self._high_water = 0
        self.refill()

    def _erase(self) -> None:
        for start in range(0, self._high_water, len(_ZEROS)):
            end = min(start + len(_ZEROS), self._high_water)
            self._memory[start:end] = _ZEROS[: end - start]

    def _grow(self) -> None:
        memory = memoryview(mmap.mmap(-1, self._size))
        memory[: self._used] = self._memory[: self._used]
        self._erase()
        self._memory = memory

    def readable(self) -> bool:
        """Return True: the AWS SDK reads this."""
        return True

    def seekable(self) -> bool:
        """Return True: the AWS SDK goes back to the start before it tries again."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to ``offset`` from the start, the current position or the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._used}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Read into ``buffer`` and return how many bytes."""
        target = memoryview(buffer).cast("B")
        taken = min(len(target), max(0, self._used - self._position))
        target[:taken] = self._memory[self._position : self._position + taken]
        self._position += taken
        return taken


def checksum(part: PartBuffer) -> str:
    """Return the CRC-32 of ``part`` as Amazon S3's parameter ChecksumCRC32 has it.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
    """
    return base64.b64encode(crc32(part.filled).to_bytes(4)).decode()


def send_at_once(client: "S3Client") -> None:
    """Let ``client`` send the memory of a part in one call, which leaves the other threads running.

    It would read a file in pieces of 16 KiB, copy each, and first wait for the response ``100 Continue``.
    """
    client.meta.events.register("before-send.s3.*", _with_memory, unique_id="kms-runtime-part")


def _with_memory(request: Any, **_: object) -> None:
    if isinstance(request.body, PartBuffer):
        request.body = _InOnePiece(request.body)
        del request.headers["Expect"]


class _InOnePiece:
    """A body that http.client iterates over, as it is not a file, and that the SDK may send again."""

    def __init__(self, part: PartBuffer) -> None:
        self._part = part

    def __iter__(self) -> Iterator[memoryview]:
        yield self._part.filled

    def seek(self, offset: int) -> int:
        """Go to the start, the only place that iteration begins at."""
        return offset


def sign_no_payload_over_tls(client: "S3Client") -> "S3Client":
    """Return ``client``, which hashes no payload for its signature if TLS protects it.

    The CRC-32 of each upload is in a signed header; SHA-256 as well would cost more than the encryption.
    See https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    if client.meta.endpoint_url.startswith("https:"):
        config: Any = client.meta.config
        config.s3 = {**(config.s3 or {}), "payload_signing_enabled": False}
    return client


IN_FLIGHT = 2

Upload = Callable[[int, PartBuffer], dict[str, Any]]


class PartUploads:
    """Uploads parts on threads of its own, at most ``in_flight`` at a time, in buffers that go round.

    Args:
        upload: Uploads the part with the given number and returns its entry for CompleteMultipartUpload.
        part_size: Size of a part in bytes; ``in_flight + 1`` times as much is held in memory.
        expected: How many bytes there will be in all, as far as is known.
        in_flight: How many parts are on their way at a time.
    """

    def __init__(
        self, upload: Upload, part_size: int, *, expected: int | None = None, in_flight: int = IN_FLIGHT
    ) -> None:
        self._upload = upload
        self._part_size = part_size
        self._expected = expected
        self._in_flight = in_flight
        self._buffers: list[PartBuffer] = []
        self._pending: deque[tuple[Future[dict[str, Any]], PartBuffer]] = deque()
        self._done: list[dict[str, Any]] = []
        self._threads: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        """Return how many parts were sent."""
        return len(self._done) + len(self._pending)

    def spare(self) -> PartBuffer:
        """Return an empty buffer; waits for the oldest part if all are on their way, and raises what it raised."""
        if len(self._buffers) <= self._in_flight:
            self._buffers.append(PartBuffer(self._part_size, expected=self._expected))
            return self._buffers[-1]
        part = self._collect_oldest()
        part.refill()
        return part

    def send(self, part: PartBuffer) -> None:
        """Start to upload ``part``, which must not be touched until ``spare`` gives it out again."""
        self._threads = self._threads or ThreadPoolExecutor(self._in_flight, "part-upload")
        part.seek(0)
        self._pending.append((self._threads.submit(self._upload, len(self) + 1, part), part))

    def finish(self) -> list[dict[str, Any]]:
        """Wait for every part and return their entries in order, or raise what the first that failed raised."""
        while self._pending:
            self._collect_oldest()
        return self._done

    def close(self) -> None:
        """Start no further part, wait for those on their way, and wipe every buffer."""
        if self._threads:
            self._threads.shutdown(cancel_futures=True)
        self._pending.clear()
        for part in self._buffers:
            part.wipe()

    def _collect_oldest(self) -> PartBuffer:
        upload, part = self._pending[0]
        self._done.append(upload.result())
        self._pending.popleft()
        return part
