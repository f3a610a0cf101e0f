"""The body of a message and what must follow it: its signature, if it has one, and nothing else."""

from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_runtime.errors import MessageAuthenticationFailed, MessageFormatError, MessageTruncated
from kms_runtime.message import FrameDecryptor, Header
from kms_runtime.message.context import VERIFICATION_KEY_NAME, FieldReader, Take
from kms_runtime.message.frames import FRAME_OVERHEAD
from kms_runtime.message.suite import IV_LENGTH, TAG_LENGTH, wipe
from kms_runtime.streams import AHEAD, SMALL, MessageDigest, Sink, Source, filler, taker, write_all

if TYPE_CHECKING:
    from kms_runtime.message.signature import MessageVerifier


_AAD = b"AWSKMSEncryptionClient Single Block" + (1).to_bytes(4)


class MessageEnd:
    """Checks how the message ends; the last plaintext is released only after that.

    Args:
        header: The message's header, authenticated.
        capacity: Upper bound of the message's size, in bytes.
    """

    def __init__(self, header: Header, capacity: int) -> None:
        self._digest: MessageDigest | None = None
        if header.suite.curve:
            self._verifier = _verifier(header.suite.curve, header.encryption_context[VERIFICATION_KEY_NAME])
            self._digest = MessageDigest(header.suite.curve, min(header.frame_length, capacity))
            self.cover(header.body + header.authentication)

    @property
    def buffers(self) -> int:
        """How many buffers the body's bytes need, so that none is overwritten before it is hashed."""
        return AHEAD + 1 if self._digest else 1

    def cover(self, data: bytes | memoryview) -> None:
        """Take the next bytes that the signature covers."""
        if self._digest:
            self._digest.update(data)

    def check(self, take: Take) -> int:
        """Check what follows the body and return how many bytes that is.

        Raises:
            MessageFormatError: Bytes follow the message.
            MessageTruncated: The message ends before its signature does.
            MessageAuthenticationFailed: The signature does not verify.
        """
        size = 0
        if self._digest:
            fields = FieldReader(take)
            signature = fields.block("the signature")
            self._verifier.verify(self._digest.finish(), signature)
            size = fields.position
        if take(1):
            raise MessageFormatError("bytes follow the end of the message")
        return size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._digest:
            self._digest.close()


def _verifier(curve: str, verification_key: str) -> "MessageVerifier":
    # Most messages are not signed, and elliptic curves take a while to import.
    from kms_runtime.message.signature import MessageVerifier  # noqa: PLC0415

    return MessageVerifier(curve, verification_key)


def decrypt_frames(
    source: Source, sink: Sink, header: Header, cipher: AESGCM, end: MessageEnd, *, head: bytes, capacity: int
) -> tuple[int, int]:
    """Decrypt the frames up to the final one and release each; return bytes read and written.

    ``head`` is what was read of the body already.
    """
    if min(header.frame_length, capacity) > SMALL:
        begun = bytearray(SMALL)
        begun[: len(head)] = head
        length = len(head) + filler(source)(memoryview(begun)[len(head) :])
        head, capacity = bytes(memoryview(begun)[:length]), length if length < SMALL else capacity
    size = max(min(header.frame_length + FRAME_OVERHEAD, capacity + 1), len(head))
    buffers = [memoryview(bytearray(size)) for _ in range(end.buffers)]
    plaintext = bytearray(min(header.frame_length, capacity))
    decryptor = FrameDecryptor(cipher, header.message_id, header.frame_length, memoryview(plaintext))
    try:
        return _decrypt_each(source, sink, decryptor, buffers, end, head=head)
    finally:
        wipe(plaintext)


def _decrypt_each(
    source: Source, sink: Sink, decryptor: FrameDecryptor, buffers: list[memoryview], end: MessageEnd, *, head: bytes
) -> tuple[int, int]:
    """The few bytes read beyond a regular frame start the next, in the next buffer."""
    fill = filler(source)
    read = written = turn = 0
    buffered = len(head)
    buffers[0][:buffered] = head
    final = False
    while not final:
        buffer = buffers[turn]
        buffered += fill(buffer[buffered:])
        consumed, plaintext, final = decryptor.decrypt(buffer[:buffered])
        end.cover(buffer[:consumed])
        rest = buffer[consumed:buffered]
        if final:
            read += end.check(_continued(rest, taker(source)))
        if plaintext:
            write_all(sink, plaintext)
        turn = (turn + 1) % len(buffers)
        buffers[turn][: len(rest)] = rest
        read, written, buffered = read + consumed, written + len(plaintext), len(rest)
    return read, written


def decrypt_block(
    source: Source, sink: Sink, header: Header, cipher: AESGCM, end: MessageEnd, *, head: bytes, limit: int
) -> tuple[int, int]:
    """Decrypt a body that is not framed and release it; arguments and result as for ``decrypt_frames``."""
    take = _continued(head, taker(source))
    body, plaintext = read_block(take, cipher, header.message_id, limit=limit)
    try:
        end.cover(body)
        read = len(body) + end.check(take)
        if plaintext:
            write_all(sink, memoryview(plaintext))
        return read, len(plaintext)
    finally:
        wipe(plaintext)


def _continued(rest: bytes | memoryview, take: Take) -> Take:
    """Return a function that gives the bytes of ``rest`` first."""
    if not rest:
        return take

    def take_from_both(size: int) -> bytes:
        nonlocal rest
        head, rest = bytes(rest[:size]), rest[size:]
        return head + take(size - len(head)) if len(head) < size else head

    return take_from_both


def read_block(take: Take, cipher: AESGCM, message_id: bytes, *, limit: int) -> tuple[bytes, bytearray]:
    """Read and authenticate the block.

    Args:
        take: Gives bytes of the source.
        cipher: AES-GCM under the message's derived key.
        message_id: The header's message id.
        limit: Largest plaintext accepted, in bytes: all of it is held in memory, twice.

    Returns:
        The bytes of the body as the signature covers them, and the plaintext.

    Raises:
        MessageFormatError: The plaintext would be larger than ``limit``.
        MessageTruncated: The message ends inside the block.
        MessageAuthenticationFailed: The block's tag does not verify.
    """
    fields = FieldReader(take)
    iv = fields.take(IV_LENGTH, "the IV of its body")
    length = fields.unsigned(8, "the length of its body")
    if length > limit:
        raise MessageFormatError(f"a body of {length} bytes that is not framed; this reader accepts {limit}")
    ciphertext = take(length + TAG_LENGTH)
    if len(ciphertext) < length + TAG_LENGTH:
        raise MessageTruncated("the message ends inside its body")
    plaintext = bytearray(length)
    try:
        cipher.decrypt_into(iv, ciphertext, message_id + _AAD + length.to_bytes(8), plaintext)
    except InvalidTag:
        wipe(plaintext)  # AES-GCM decrypts before it compares the tag
        raise MessageAuthenticationFailed("the tag of the body does not verify") from None
    return fields.consumed + ciphertext, plaintext
