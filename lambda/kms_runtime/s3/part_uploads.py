"""The parts of one multipart upload: some on their way to Amazon S3 while the next is being filled.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from kms_runtime.s3.parts import PartBuffer

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
