"""Encryption of streams and bytes into AWS Encryption SDK messages, in constant memory.

Any official AWS Encryption SDK reads what this writes.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/how-it-works.html
"""

import io
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Self

from kms_runtime.errors import InvalidRequest
from kms_runtime.keyrings.keyring import DataKey, Keyring, new_data_key
from kms_runtime.message import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AlgorithmSuite,
    FrameEncryptor,
    MessageKeys,
    check_context,
    serialize_context,
    serialize_header,
)
from kms_runtime.message.context import VERIFICATION_KEY_NAME
from kms_runtime.message.header import DEFAULT_FRAME_LENGTH, MAX_FRAME_LENGTH, MessageResult
from kms_runtime.message.suite import WRITABLE, wipe
from kms_runtime.streams import AHEAD, SMALL, MessageDigest, Sink, Source, Whole, filler, write_all

if TYPE_CHECKING:
    from kms_runtime.message.signature import MessageSigner


def encrypt(
    source: Source,
    sink: Sink,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    algorithm_suite: AlgorithmSuite = AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    frame_length: int = DEFAULT_FRAME_LENGTH,
    required_encryption_context_keys: Collection[str] = (),
) -> MessageResult:
    """Encrypt ``source`` to its end into one message on ``sink``.

    Args:
        source: Binary file object with the plaintext.
        sink: Binary file object that receives the message.
        keyring: Makes the data key: one call.
        encryption_context: Bound to the message and stored in it **in plaintext**: never put a secret here.
        algorithm_suite: ``AES_256_GCM_HKDF_SHA512_COMMIT_KEY``, or the same with ``_ECDSA_P384`` to sign the message.
        frame_length: Plaintext bytes per frame, 1 to 16777216, and about half of the memory used.
        required_encryption_context_keys: Names of ``encryption_context`` whose pairs are authenticated and not stored:
            readers must know them. It is what AWS's required encryption context CMM writes.

    Raises:
        InvalidRequest: ``frame_length`` is out of range, a required key is not in ``encryption_context``, or the
            keyring cannot serve ``algorithm_suite``.
        EncryptionContextInvalid: The encryption context cannot be written.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    if not 1 <= frame_length <= MAX_FRAME_LENGTH:
        raise InvalidRequest(f"frame length {frame_length}; 1 to {MAX_FRAME_LENGTH} bytes are allowed")
    if algorithm_suite not in WRITABLE:
        raise InvalidRequest(f"algorithm suite {algorithm_suite}; this writes {' and '.join(map(str, WRITABLE))}")
    check_context(encryption_context)
    size = source.size if isinstance(source, Whole) else None
    capacity = frame_length if size is None else min(frame_length, size + 1)
    context = dict(encryption_context)
    signer = _signer(algorithm_suite, context)
    # Before AWS KMS is called, as they may turn out to be too large.
    contexts = _serialized(context, required_encryption_context_keys)
    message_id = os.urandom(algorithm_suite.message_id_length)
    data_key = new_data_key(keyring, context, algorithm_suite, size)
    header, keys = _new_header(data_key, algorithm_suite, contexts, message_id, frame_length)
    with _Output(sink, MessageDigest(str(algorithm_suite.curve), capacity) if signer else None) as out:
        out.emit(header)
        new_encryptor = partial(
            FrameEncryptor, keys.cipher, message_id, frame_length, buffers=AHEAD + 1 if signer else 1
        )
        read = _encrypt_frames(source, out, new_encryptor, capacity)
        if signer:
            out.sign(signer)
    return MessageResult(read, out.written, context, data_key.key_arn, algorithm_suite.suite_id)


def encrypt_bytes(
    plaintext: bytes | bytearray | memoryview,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    algorithm_suite: AlgorithmSuite = AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    frame_length: int = DEFAULT_FRAME_LENGTH,
    required_encryption_context_keys: Collection[str] = (),
) -> bytes:
    """Encrypt ``plaintext`` and return the message; arguments and errors as for ``encrypt``."""
    message = io.BytesIO()
    encrypt(
        Whole(plaintext),
        message,
        keyring=keyring,
        encryption_context=encryption_context,
        algorithm_suite=algorithm_suite,
        frame_length=frame_length,
        required_encryption_context_keys=required_encryption_context_keys,
    )
    return message.getvalue()


class _Output:
    """The sink, and what is to be signed."""

    def __init__(self, sink: Sink, digest: MessageDigest | None) -> None:
        self._sink = sink
        self._digest = digest
        self.written = 0

    def emit(self, data: bytes | memoryview) -> None:
        """Write a part of the message that the signature covers."""
        if self._digest:
            self._digest.update(data)
        write_all(self._sink, data)
        self.written += len(data)

    def sign(self, signer: "MessageSigner") -> None:
        """Write the footer."""
        if self._digest:
            footer = signer.footer(self._digest.finish())
            write_all(self._sink, footer)
            self.written += len(footer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._digest:
            self._digest.close()


def _serialized(context: Mapping[str, str], required_keys: Collection[str]) -> tuple[bytes, bytes]:
    """Return the pairs that the header stores, and those that are only authenticated, without their length."""
    if isinstance(required_keys, str) or not context.keys() >= set(required_keys):
        raise InvalidRequest(
            f"required_encryption_context_keys={required_keys!r}: give a list of names of the encryption context, "
            f"which has {', '.join(sorted(context)) or 'none'}"
        )
    stored = {name: value for name, value in context.items() if name not in required_keys}
    not_stored = {name: value for name, value in context.items() if name in required_keys}
    return serialize_context(stored), serialize_context(not_stored)[2:]


def _signer(suite: AlgorithmSuite, context: dict[str, str]) -> "MessageSigner | None":
    """Return the signer of a signed suite, with its public key added to ``context``."""
    if not suite.signed:
        return None
    # Most messages are not signed, and elliptic curves take a while to import.
    from kms_runtime.message.signature import MessageSigner  # noqa: PLC0415

    signer = MessageSigner()
    context[VERIFICATION_KEY_NAME] = signer.verification_key
    return signer


def _new_header(
    data_key: DataKey, suite: AlgorithmSuite, contexts: tuple[bytes, bytes], message_id: bytes, frame_length: int
) -> tuple[bytes, MessageKeys]:
    stored, not_stored = contexts
    try:
        keys = MessageKeys.derive(suite, data_key.plaintext, message_id)
    finally:
        wipe(data_key.plaintext)
    body = serialize_header(
        suite=suite,
        message_id=message_id,
        context=stored,
        encrypted_data_keys=data_key.encrypted,
        frame_length=frame_length,
        commitment=keys.commitment,
    )
    return body + keys.header_tag(body + not_stored), keys


def _encrypt_frames(source: Source, out: _Output, new_encryptor: Callable[[int], FrameEncryptor], capacity: int) -> int:
    """Encrypt to the end of ``source``; a byte beyond each frame is read, as a full one is final if nothing follows."""
    fill, read = filler(source), 0
    buffer = bytearray(min(capacity, SMALL) + 1)
    try:
        length = fill(memoryview(buffer))
        if length > SMALL and capacity > SMALL:
            begun, buffer = buffer, bytearray(capacity + 1)
            buffer[:length] = begun
            wipe(begun)
            length += fill(memoryview(buffer)[length:])
        capacity = len(buffer) - 1
        encryptor, whole = new_encryptor(min(length, capacity)), memoryview(buffer)
        while length > capacity:
            out.emit(encryptor.encrypt(whole[:capacity], final=False))
            read += capacity
            buffer[0] = buffer[capacity]
            length = 1 + fill(whole[1:])
        out.emit(encryptor.encrypt(whole[:length], final=True))
        return read + length
    finally:
        wipe(buffer)
