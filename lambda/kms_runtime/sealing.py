"""From plaintext stream to message stream."""

import os
from collections.abc import Mapping

from kms_runtime.errors import InvalidRequest
from kms_runtime.keyring import Keyring
from kms_runtime.message import FrameSealer, MessageKeys, check_context, serialize_header
from kms_runtime.message.header import MAX_FRAME_LENGTH
from kms_runtime.message.suite import MESSAGE_ID_LENGTH, wipe
from kms_runtime.result import MessageResult
from kms_runtime.streams import Sink, Source, filler, write_all


def seal_message(
    source: Source,
    sink: Sink,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    frame_length: int,
    capacity: int,
) -> MessageResult:
    """Write one message; ``capacity`` (at most ``frame_length``) is how much plaintext is held at once."""
    if not 1 <= frame_length <= MAX_FRAME_LENGTH:
        raise InvalidRequest(f"frame length {frame_length}; 1 to {MAX_FRAME_LENGTH} bytes are allowed")
    check_context(encryption_context)
    context = dict(encryption_context)
    message_id = os.urandom(MESSAGE_ID_LENGTH)
    header, keys = _new_header(keyring, context, message_id, frame_length)
    write_all(sink, header)
    sealer = FrameSealer(keys.cipher, message_id, frame_length, capacity)
    read, written = _seal_frames(source, sink, sealer, capacity)
    return MessageResult(read, len(header) + written, context, keyring.key_arn)


def _new_header(
    keyring: Keyring, context: Mapping[str, str], message_id: bytes, frame_length: int
) -> tuple[bytes, MessageKeys]:
    data_key = keyring.generate_data_key(context)
    try:
        keys = MessageKeys.derive(data_key.plaintext, message_id)
    finally:
        wipe(data_key.plaintext)
    body = serialize_header(
        message_id=message_id,
        encryption_context=context,
        encrypted_data_keys=(data_key.encrypted,),
        frame_length=frame_length,
        commitment=keys.commitment,
    )
    return body + keys.header_tag(body), keys


def _seal_frames(source: Source, sink: Sink, sealer: FrameSealer, capacity: int) -> tuple[int, int]:
    """Seal to the end of ``source``; two buffers take turns, as a full frame is final only if nothing follows it."""
    fill = filler(source)
    current, following = bytearray(capacity), bytearray()
    read = written = 0
    try:
        length = fill(memoryview(current))
        while length == capacity:
            following = following or bytearray(capacity)
            next_length = fill(memoryview(following))
            if not next_length:
                break
            written += _emit(sink, sealer.seal(memoryview(current), final=False))
            read += length
            current, following, length = following, current, next_length
        written += _emit(sink, sealer.seal(memoryview(current)[:length], final=True))
        return read + length, written
    finally:
        wipe(current)
        wipe(following)


def _emit(sink: Sink, frame: memoryview) -> int:
    write_all(sink, frame)
    return len(frame)
