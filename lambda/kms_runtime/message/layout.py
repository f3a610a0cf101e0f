"""Where the frames of a message lie, so that some can be read without the others."""

from dataclasses import dataclass
from typing import Self

from kms_runtime.errors import MessageFormatError
from kms_runtime.message.frames import FINAL_HEAD, REGULAR_HEAD
from kms_runtime.message.header import Header
from kms_runtime.message.suite import TAG_LENGTH

_FRAME_OVERHEAD = REGULAR_HEAD + TAG_LENGTH
_FINAL_OVERHEAD = FINAL_HEAD + TAG_LENGTH


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """Where the frames lie, by the frame length in the header and the size of the message.

    The size is not authenticated, so each frame must still prove that it is where this says.
    """

    header_size: int
    frame_length: int
    frames: int
    final_length: int

    @classmethod
    def of(cls, header: Header, size: int) -> Self:
        """Return the layout of a framed message of ``size`` bytes.

        Raises:
            MessageFormatError: No number of frames gives this size.
        """
        stride = header.frame_length + _FRAME_OVERHEAD
        regular, rest = divmod(size - header.size - _FINAL_OVERHEAD, stride)
        if regular < 0 or rest > header.frame_length:
            raise MessageFormatError(f"no message with such a header has {size} bytes")
        return cls(header.size, header.frame_length, regular + 1, rest)

    @property
    def plaintext_size(self) -> int:
        """Bytes of plaintext in all frames."""
        return (self.frames - 1) * self.frame_length + self.final_length

    def frame_of(self, byte: int) -> int:
        """Return the number of the frame, from 1, that holds this byte of plaintext."""
        return byte // self.frame_length + 1

    def extent(self, first: int, last: int) -> tuple[int, int]:
        """Return where the frames from ``first`` to ``last`` start and end in the message."""
        stride = self.frame_length + _FRAME_OVERHEAD
        start = self.header_size + (first - 1) * stride
        if last < self.frames:
            return start, self.header_size + last * stride
        return start, self.header_size + (last - 1) * stride + _FINAL_OVERHEAD + self.final_length
