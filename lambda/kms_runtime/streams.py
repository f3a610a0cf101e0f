"""Binary file objects of any kind, read to the last byte that a buffer can take and written to the last byte given."""

import hashlib
from collections.abc import Callable
from io import BytesIO
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, Self


class Whole(BytesIO):
    """Bytes that are all at hand, as a source whose size is known: buffers need not be larger.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        super().__init__(data)
        self.size = memoryview(data).nbytes


class Source(Protocol):
    """A binary file object to read from; ``readinto`` is used where there is one."""

    def read(self, size: int = ..., /) -> bytes | None:
        """Return at most ``size`` bytes; none at the end."""


class Sink(Protocol):
    """A binary file object to write to. It must be done with the buffer when ``write`` returns."""

    def write(self, data: Any, /) -> int | None:
        """Write ``data`` and return how many bytes were taken; None means all."""


PIECE = 256 * 1024


class Reader:
    """A binary file object that is read by its ``readinto``."""

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer`` and return how many bytes; 0 only at the end."""
        raise NotImplementedError

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, at least one unless this is the end; a negative size is that of a piece."""
        buffer = bytearray(PIECE if size < 0 else size)
        with memoryview(buffer) as view:
            return bytes(view[: self.readinto(view)])


class Closing:
    """What ``close`` ends is used as a context manager."""

    def close(self) -> None:
        """End what is under way."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PieceReader(Reader, Closing):
    """A binary file object over pieces that come one after the other: see ``_next_piece``."""

    _piece: bytearray | None = None
    _position = _end = 0

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer`` and return how many bytes; 0 only at the end. Raises what the source raised."""
        if self._position == self._end and not self._next_piece():
            return 0
        taken = min(len(buffer), self._end - self._position)
        with memoryview(self._piece or b"") as piece:
            buffer[:taken] = piece[self._position : self._position + taken]
        self._position += taken
        return taken

    def _next_piece(self) -> bool:
        """Give the piece that was used back and take the next; return False at the end."""
        raise NotImplementedError


def filler(source: Source) -> Callable[[memoryview], int]:
    """Return a function that fills a buffer from ``source`` and tells how much it wrote; less only at the end.

    The function raises BlockingIOError if ``source`` is non-blocking and has nothing to give: taking that for the end
    of the data would cut it short.
    """
    readinto: Callable[[memoryview], int | None] = getattr(source, "readinto", None) or _readinto_by_read(source)

    def fill(buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            got = readinto(buffer[filled:])
            if got is None:
                raise BlockingIOError("the source is non-blocking and has no data yet")
            if got == 0:
                break
            filled += got
        return filled

    return fill


def taker(source: Source) -> Callable[[int], bytes]:
    """Return a function that reads as many bytes from ``source`` as it is asked for; fewer only at the end.

    For small fields: it makes new objects. It raises BlockingIOError as the function that ``filler`` returns does.
    """
    read = source.read
    if isinstance(source, BytesIO):  # never gives less than it has
        return source.read

    def take(size: int) -> bytes:
        data = read(size)
        if data is not None and len(data) == size:
            return data
        parts = bytearray()
        while data:
            parts += data
            data = read(size - len(parts)) if len(parts) < size else b""
        if data is None:
            raise BlockingIOError("the source is non-blocking and has no data yet")
        return bytes(parts)

    return take


def _readinto_by_read(source: Source) -> Callable[[memoryview], int | None]:
    def readinto(buffer: memoryview) -> int | None:
        data = source.read(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    return readinto


def write_all(sink: Sink, data: bytes | memoryview) -> None:
    """Write all of ``data``, also to a raw file object that takes less at a time."""
    written = sink.write(data)
    while written is not None and written < len(data):
        data = data[written:]
        written = sink.write(data)


SMALL = 16 * 1024
"""Bytes that are read before memory for a whole frame is taken: new memory costs more than a small message."""
WORTH_A_THREAD = 256 * 1024
AHEAD = 3
_HASHES = {"secp256r1": "sha256", "secp384r1": "sha384"}


class MessageDigest(Closing):
    """Hashes what a signed message consists of, in order, on a second thread: it is slower than the encryption.

    Use it as a context manager, so that no thread stays behind. This is not beside the signature, as most messages are
    not signed, and elliptic curves take a while to import.

    Args:
        curve: The suite's curve, which has a hash that goes with it.
        size: Largest number of bytes given at once, about: below 256 KiB a thread costs more than it brings.
    """

    def __init__(self, curve: str, size: int) -> None:
        self._hash = hashlib.new(_HASHES[curve])
        self._tasks: SimpleQueue[bytes | memoryview | None] = SimpleQueue()
        # Room for AHEAD pieces, as a queue: a SimpleQueue takes a tenth of the time of a Semaphore.
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(AHEAD):
            self._room.put(None)
        self._error: BaseException | None = None
        self._thread: Thread | None = None
        if size >= WORTH_A_THREAD:
            self._thread = Thread(target=self._work, name="message-digest", daemon=True)
            self._thread.start()

    def update(self, data: bytes | memoryview) -> None:
        """Take ``data``, which must stay as it is until ``AHEAD`` further updates have returned."""
        if self._thread is None:
            self._hash.update(data)
            return
        self._room.get()
        self._tasks.put(data)

    def finish(self) -> bytes:
        """Return the digest of all that was given; raises what the thread met."""
        self.close()
        if self._error:
            raise self._error
        return self._hash.digest()

    def close(self) -> None:
        """End the thread."""
        thread, self._thread = self._thread, None
        if thread:
            self._tasks.put(None)
            thread.join()

    def _work(self) -> None:
        while (data := self._tasks.get()) is not None:
            try:
                self._hash.update(data)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised by finish
                self._error = error
            self._room.put(None)  # whatever happened: ``update`` may be waiting for it
