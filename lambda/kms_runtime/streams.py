"""Binary file objects of any kind, read to the last byte that a buffer can take and written to the last byte given."""

from collections.abc import Callable
from io import BytesIO
from typing import Any, Protocol


class Source(Protocol):
    """A binary file object to read from; ``readinto`` is used where there is one."""

    def read(self, size: int = ..., /) -> bytes | None:
        """Return at most ``size`` bytes; none at the end."""


class Sink(Protocol):
    """A binary file object to write to. It must be done with the buffer when ``write`` returns."""

    def write(self, data: Any, /) -> int | None:
        """Write ``data`` and return how many bytes were taken; None means all."""


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
