"""Byte ranges of a file that can be sought in."""

import io
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

from kms_runtime.streams import Source


class FileRange:
    """A binary file object with a message in it, for ``decrypt_range``.

    Args:
        file: Open for reading, seekable, and not closed by this.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self._size

    def open_range(self, start: int, end: int) -> AbstractContextManager[Source]:  # noqa: ARG002
        """Return the file, moved to ``start``; whoever reads takes no more than was asked for."""
        self._file.seek(start)
        return nullcontext(self._file)
