"""How large the parts of a multipart upload must be, and the one buffer that holds the part being filled.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

import io

from kms_runtime.errors import ObjectTooLarge

MEBIBYTE = 1024 * 1024
PART_SIZE = 8 * MEBIBYTE
MAX_PARTS = 10_000
MAX_OBJECT_SIZE = 5 * 1024 * 1024 * MEBIBYTE


def part_size_for(size: int) -> int:
    """Return the part size, in bytes, for an object of at most ``size`` bytes: 8 MiB up to 78 GiB, then more.

    The upload holds one part in memory: 5 TiB take 525 MiB.

    Raises:
        ObjectTooLarge: More than 5 TiB.
    """
    if size > MAX_OBJECT_SIZE:
        raise ObjectTooLarge(f"an object of up to {size} bytes; at most {MAX_OBJECT_SIZE} (5 TiB) can be written")
    needed = -(-size // MAX_PARTS)
    return max(PART_SIZE, -(-needed // MEBIBYTE) * MEBIBYTE)


class PartBuffer(io.BytesIO):
    """A part of an upload, filled and sent again and again: the AWS SDK reads it without a further copy."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    @property
    def room(self) -> int:
        """Bytes that still fit."""
        return self.size - self.tell()

    def ready(self) -> io.BytesIO:
        """Cut at what was filled and return this as a file object at its start."""
        self.truncate()
        self.seek(0)
        return self

    def refill(self) -> None:
        """Start the next part, over the last one."""
        self.seek(0)
