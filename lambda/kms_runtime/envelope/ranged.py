"""One byte range of a message's plaintext, without reading the rest of the message.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html#body-framed
"""

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Protocol, Self

from kms_runtime.envelope.decrypting import authenticate_header
from kms_runtime.errors import InvalidRequest, MessageFormatError, RangeNotSatisfiable
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.message import FieldReader, FrameDecryptor, Header, read_header
from kms_runtime.message.context import Take
from kms_runtime.message.frames import FINAL_HEAD, FRAME_OVERHEAD, REGULAR_HEAD
from kms_runtime.message.header import MAX_FRAME_LENGTH, MessageResult
from kms_runtime.message.suite import TAG_LENGTH, wipe
from kms_runtime.streams import Sink, Source, filler, taker, write_all

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


_HEADER_WINDOW = 16 * 1024


class RangeSource(Protocol):
    """Something with one message in it that can be read from any byte on."""

    def open_range(self, start: int, end: int) -> AbstractContextManager[Source]:
        """Return a source of the bytes from ``start`` up to, not with, ``end``; fewer if it is shorter."""

    @property
    def size(self) -> int:
        """Size of the message in bytes, known once a range was opened."""


def decrypt_range(
    source: RangeSource,
    sink: Sink,
    *,
    start: int,
    length: int,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    max_frame_length: int = MAX_FRAME_LENGTH,
) -> MessageResult:
    """Decrypt ``length`` bytes of plaintext from byte ``start`` on, reading the header and the frames that hold them.

    Every byte written was authenticated as being at its place in this message. A range that reaches beyond the end is
    cut there, and the end is authenticated too. **What lies outside of the range is not verified.** Signed messages
    (suite 0x0578) are refused, as their signature covers every byte.

    Args:
        source: Where the message is: ``FileRange``, or ``kms_runtime.s3.S3Range``.
        sink: Binary file object that receives the plaintext. If this raises, discard what it has received.
        start: First byte of the plaintext wanted, counted from 0.
        length: Number of bytes wanted, at least 1.
        keyring: Recovers the data key: one call.
        encryption_context: Pairs that the message's encryption context must contain: see ``kms_runtime.decrypt``.
        max_frame_length: Largest frame length accepted, in bytes; twice that much memory may be used.

    Returns:
        Facts about what was read; the counts are those of the range.

    Raises:
        InvalidRequest: The range is not one, or the message is signed or not framed.
        RangeNotSatisfiable: ``start`` is not before the end of the plaintext.
        EncryptionContextMismatch, MessageFormatError, MessageTruncated, MessageAuthenticationFailed: As ``decrypt``.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    if start < 0 or length < 1:
        raise InvalidRequest(
            f"{length} bytes from byte {start}; a range has at least one byte and starts at 0 or after"
        )
    header = read_header(FieldReader(_by_windows(source)), max_frame_length=max_frame_length)
    if header.suite.signed:
        raise InvalidRequest("a signed message is decrypted as a whole: its signature covers every byte")
    if not header.frame_length:
        raise InvalidRequest("a message that is not framed is decrypted as a whole: it has one tag at its end")
    layout = FrameLayout.of(header, source.size)
    wanted = _Wanted.of(layout, start, length)
    keys, context, key_arn = authenticate_header(header, keyring, encryption_context)
    first_byte, end_byte = layout.extent(wanted.first, wanted.last)
    plaintext = bytearray(layout.frame_length)
    decryptor = FrameDecryptor(
        keys.cipher, header.message_id, header.frame_length, memoryview(plaintext), first=wanted.first
    )
    try:
        with source.open_range(first_byte, end_byte) as body:
            written = _copy_frames(body, sink, decryptor, layout, wanted)
    finally:
        wipe(plaintext)
    read = header.size + end_byte - first_byte
    return MessageResult(written, read, context, key_arn, header.suite.suite_id)


def _by_windows(source: RangeSource) -> Take:
    """Return what takes the start of a message in windows, as the length of a header is not known in advance."""
    ahead, position, ended = b"", 0, False

    def take(size: int) -> bytes:
        nonlocal ahead, position, ended
        while len(ahead) < size and not ended:
            with source.open_range(position, position + _HEADER_WINDOW) as opened:
                window = taker(opened)(_HEADER_WINDOW)
            ahead, position = ahead + window, position + len(window)
            ended = position >= source.size or not window
        taken, ahead = ahead[:size], ahead[size:]
        return taken

    return take


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Bytes of the plaintext, and the frames, by number, that must be decrypted for them."""

    start: int
    end: int
    first: int
    last: int

    @classmethod
    def of(cls, layout: FrameLayout, start: int, length: int) -> Self:
        end = min(start + length, layout.plaintext_size)
        if start >= end:
            raise RangeNotSatisfiable(f"byte {start} of a plaintext of {layout.plaintext_size} bytes")
        # Only the final frame proves where the end is.
        cut = start + length > layout.plaintext_size
        return cls(start, end, layout.frame_of(start), layout.frames if cut else layout.frame_of(end - 1))


def _copy_frames(source: Source, sink: Sink, decryptor: FrameDecryptor, layout: FrameLayout, wanted: _Wanted) -> int:
    """Decrypt the wanted frames, one after the other, and write the wanted bytes of each."""
    buffer = memoryview(bytearray(layout.frame_length + FRAME_OVERHEAD))
    fill, written = filler(source), 0
    for number in range(wanted.first, wanted.last + 1):
        first_byte, end_byte = layout.extent(number, number)
        got = fill(buffer[: end_byte - first_byte])
        consumed, plaintext, final = decryptor.decrypt(buffer[:got])
        if final != (number == layout.frames) or consumed != got:
            raise MessageFormatError(f"frame {number} is not where the size of the message puts it")
        base = (number - 1) * layout.frame_length
        part = plaintext[max(0, wanted.start - base) : max(0, wanted.end - base)]
        if part:
            write_all(sink, part)
        written += len(part)
    return written


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
        """Return the file, moved to ``start``; the caller reads no more than it asked for."""
        self._file.seek(start)
        return nullcontext(self._file)
