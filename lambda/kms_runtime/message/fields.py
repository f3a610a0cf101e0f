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
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self.consumed = bytearray()

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return len(self.consumed)

    def take(self, size: int, what: str) -> bytes:
        """Return the next ``size`` bytes; ``what`` names them in the error.

        Raises:
            MessageTruncated: The source ends first.
        """
        field = self._take(size)
        self.consumed += field
        if len(field) < size:
            raise MessageTruncated(f"the message ends after {self.position} bytes, inside {what}")
        return field

    def unsigned(self, size: int, what: str) -> int:
        """Return the next ``size`` bytes as an unsigned big-endian integer."""
        return int.from_bytes(self.take(size, what))

    def block(self, what: str) -> bytes:
        """Return the next bytes, whose length stands before them in two bytes."""
        return self.take(int.from_bytes(self.take(2, what)), what)
