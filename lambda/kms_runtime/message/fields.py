"""Strict, bounded reading of length-prefixed fields from a binary file object."""

from collections.abc import Callable

from kms_runtime.errors import MessageTruncated

Take = Callable[[int], bytes]
"""Returns as many bytes as asked for; fewer only at the end."""


class FieldReader:
    """Reads header fields one by one and remembers the exact bytes, which the header's tag authenticates.

    No field is longer than 65535 bytes, so a hostile length field cannot make it allocate more.

    Args:
        take: Gives bytes of the source.
        ahead: Fewest bytes to take at once, if there are so many; what was not used is in ``rest``.
    """

    def __init__(self, take: Take, *, ahead: int = 0) -> None:
        self._take = take
        self._ahead = ahead
        self._data = b""
        self.position = 0

    @property
    def consumed(self) -> bytes:
        """All fields read so far."""
        return self._data[: self.position]

    @property
    def rest(self) -> bytes:
        """What was taken from the source and belongs to no field."""
        return self._data[self.position :]

    def take(self, size: int, what: str) -> bytes:
        """Return the next ``size`` bytes; ``what`` names them in the error.

        Raises:
            MessageTruncated: The source ends first.
        """
        start = self.position
        end = self.position = start + size
        if end <= len(self._data):
            return self._data[start:end]
        self._data += self._take(max(end - len(self._data), self._ahead))
        if len(self._data) < end:
            raise MessageTruncated(f"the message ends after {len(self._data)} bytes, inside {what}")
        return self._data[start:end]

    def unsigned(self, size: int, what: str) -> int:
        """Return the next ``size`` bytes as an unsigned big-endian integer."""
        return int.from_bytes(self.take(size, what))

    def block(self, what: str) -> bytes:
        """Return the next bytes, whose length stands before them in two bytes."""
        start = self.position + 2
        end = start + int.from_bytes(self._data[self.position : start])
        if end <= len(self._data):  # nearly always, and twice as fast
            self.position = end
            return self._data[start:end]
        return self.take(int.from_bytes(self.take(2, what)), what)
