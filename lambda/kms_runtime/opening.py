"""From message stream to plaintext stream, releasing authenticated frames only."""

from collections.abc import Mapping

from kms_runtime.errors import EncryptionContextMismatch, MessageFormatError
from kms_runtime.keyring import Keyring
from kms_runtime.message import FrameOpener, Header, MessageKeys, read_header
from kms_runtime.message.fields import Fill
from kms_runtime.message.frames import FRAME_OVERHEAD
from kms_runtime.message.suite import TAG_LENGTH, wipe
from kms_runtime.result import MessageResult
from kms_runtime.streams import Sink, Source, filler, write_all


def open_message(
    source: Source,
    sink: Sink,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    max_frame_length: int,
    capacity: int,
) -> MessageResult:
    """Read one message to its end; ``capacity`` is an upper bound of the bytes that ``source`` can still give."""
    fill = filler(source)
    header = read_header(fill, max_frame_length=max_frame_length)
    _check_expected(encryption_context, header.encryption_context)
    keys = _keys_of(header, keyring)
    buffer = bytearray(min(header.frame_length + FRAME_OVERHEAD, capacity + 1))
    plaintext = bytearray(min(header.frame_length, capacity))
    try:
        opener = FrameOpener(keys.cipher, header.message_id, header.frame_length, memoryview(plaintext))
        read, written = _open_frames(fill, sink, opener, memoryview(buffer))
    finally:
        wipe(plaintext)
    read += len(header.body) + TAG_LENGTH
    return MessageResult(written, read, header.encryption_context, keyring.key_arn)


def _check_expected(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    wrong = sorted(name for name, value in expected.items() if found.get(name) != value)
    if wrong:
        raise EncryptionContextMismatch(
            f"the message's encryption context lacks the expected value of {', '.join(wrong)}; AWS KMS was not called"
        )


def _keys_of(header: Header, keyring: Keyring) -> MessageKeys:
    data_key = keyring.decrypt_data_key(header.encrypted_data_keys, header.encryption_context)
    try:
        keys = MessageKeys.derive(data_key, header.message_id)
    finally:
        wipe(data_key)
    keys.verify_header(header.body, header.commitment, header.tag)
    return keys


def _open_frames(fill: Fill, sink: Sink, opener: FrameOpener, buffer: memoryview) -> tuple[int, int]:
    """Open frames to the final one; the few bytes read beyond a regular frame start the next."""
    read = written = buffered = 0
    final = False
    while not final:
        buffered += fill(buffer[buffered:])
        consumed, plaintext, final = opener.open(buffer[:buffered])
        left = buffered - consumed
        if final and (left or fill(buffer[:1])):
            raise MessageFormatError("bytes follow the message's final frame")
        if plaintext:
            write_all(sink, plaintext)
        buffer[:left] = buffer[consumed:buffered]
        read, written, buffered = read + consumed, written + len(plaintext), left
    return read, written
