"""Messages as Base64 text (``--armor``), for places that take no bytes: encoded and decoded as a stream."""

import base64
import binascii
from typing import Any

from kms_runtime.errors import MessageFormatError
from kms_runtime.streams import Reader, write_all

_LINE = 57
"""Bytes of a line of 76 characters."""
_PIECE = _LINE * 1024
_READ = 64 * 1024


class Armored:
    """A binary file object that writes what it is given to ``sink`` as lines of Base64; call ``finish`` at the end."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._rest = bytearray()

    def write(self, data: bytes | memoryview) -> int:
        """Take all of ``data``."""
        self._rest += data
        whole = len(self._rest) // _PIECE * _PIECE
        if whole:
            self._emit(bytes(self._rest[:whole]))
            del self._rest[:whole]
        return len(data)

    def finish(self) -> None:
        """Write what is left."""
        self._emit(bytes(self._rest))
        self._rest.clear()

    def _emit(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            write_all(self._sink, base64.encodebytes(data[start : start + _PIECE]))


class Dearmored(Reader):
    """A binary file object with the bytes of the Base64 text in ``source``; white space is left out.

    Reading raises MessageFormatError for anything else.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._text, self._data = b"", b""
        self._ended = self._padded = False

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer`` and return how many bytes; 0 only at the end."""
        while not self._data and not self._ended:
            self._decode(self._source.read(_READ))
        taken = min(len(buffer), len(self._data))
        buffer[:taken] = self._data[:taken]
        self._data = self._data[taken:]
        return taken

    def _decode(self, read: bytes) -> None:
        self._ended = not read
        text = self._text + b"".join(read.split())
        whole = len(text) if self._ended else len(text) // 4 * 4
        self._text = text[whole:]
        piece = text[:whole]
        padding = whole - len(piece.rstrip(b"="))
        # Strict decoding lets a whole quartet of padding pass, and knows nothing of the pieces before this one.
        if (whole and self._padded) or padding > 2 or (padding and (whole - padding) % 4 + padding != 4):  # noqa: PLR2004
            raise MessageFormatError("not the Base64 text of a message (its padding)")
        self._padded = padding > 0
        try:
            self._data = binascii.a2b_base64(piece, strict_mode=True)
        except binascii.Error as error:
            raise MessageFormatError(f"not the Base64 text of a message ({error})") from None
