"""One byte range of a message: exact, authenticated, and without reading the rest."""

import io
import os

import pytest
from aws_encryption_sdk.identifiers import Algorithm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_runtime import AES_256_GCM_HKDF_SHA512_COMMIT_KEY as SUITE
from kms_runtime import AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384, decrypt_range, encrypt_bytes
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.errors import (
    EncryptionContextMismatch,
    InvalidRequest,
    MessageAuthenticationFailed,
    MessageFormatError,
    MessageTruncated,
    RangeNotSatisfiable,
)
from kms_runtime.message import FrameEncryptor, MessageKeys, serialize_context, serialize_header

CONTEXT = {"tenant": "a"}
FRAME = 50


class Watched(FileRange):
    """Remembers which ranges were opened."""

    def __init__(self, message):
        super().__init__(io.BytesIO(message))
        self.opened = []

    def open_range(self, start, end):
        self.opened.append((start, end))
        return super().open_range(start, end)


@pytest.fixture
def read(keyring):
    def call(message, start, length, **options):
        sink, source = io.BytesIO(), Watched(message)
        arguments = {"keyring": keyring, "encryption_context": CONTEXT} | options
        result = decrypt_range(source, sink, start=start, length=length, **arguments)
        assert result.plaintext_bytes == len(sink.getvalue())
        return sink.getvalue(), source.opened

    return call


@pytest.fixture
def message_of(keyring):
    def make(plaintext, **options):
        return encrypt_bytes(plaintext, keyring=keyring, encryption_context=CONTEXT, frame_length=FRAME, **options)

    return make


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=st.integers(1, 260), start=st.integers(0, 259), length=st.integers(1, 300))
def test_range_is_the_slice(size, start, length, message_of, read):
    plaintext = os.urandom(size)
    if start < size:
        assert read(message_of(plaintext), start, length)[0] == plaintext[start : start + length]
    else:
        with pytest.raises(RangeNotSatisfiable, match=f"byte {start} of a plaintext of {size} bytes"):
            read(message_of(plaintext), start, length)


def test_only_the_header_and_the_frames_of_the_range_are_read_with_one_kms_call(message_of, read, kms, monkeypatch):
    monkeypatch.setattr("kms_runtime.envelope.ranged._HEADER_WINDOW", 100)
    message = message_of(os.urandom(20 * FRAME))
    header = len(message) - 20 * (FRAME + 32) - 8
    kms.calls.clear()
    _, opened = read(message, 3 * FRAME + 7, FRAME)
    windows = [(at, at + 100) for at in range(0, header, 100)]
    assert opened == [*windows, (header + 3 * (FRAME + 32), header + 5 * (FRAME + 32))]
    assert kms.operations == ["Decrypt"]


@pytest.fixture
def with_empty_final_frame(keyring):
    """A message whose last full frame is a regular one, as some official SDKs write it."""
    data_key, message_id = keyring.generate_data_key(CONTEXT), bytes(32)
    keys = MessageKeys.derive(SUITE, data_key.plaintext, message_id)
    body = serialize_header(
        suite=SUITE,
        message_id=message_id,
        context=serialize_context(CONTEXT),
        encrypted_data_keys=data_key.encrypted,
        frame_length=FRAME,
        commitment=keys.commitment,
    )
    encryptor = FrameEncryptor(keys.cipher, message_id, FRAME, FRAME, buffers=2)
    frames = encryptor.encrypt(memoryview(bytes(FRAME)), final=False), encryptor.encrypt(memoryview(b""), final=True)
    return b"".join((body, keys.header_tag(body), *frames))


def test_range_beyond_the_end_opens_the_final_frame_even_if_it_is_empty(with_empty_final_frame, read):
    assert read(with_empty_final_frame, 10, FRAME)[0] == bytes(FRAME - 10)
    forged = bytearray(with_empty_final_frame)
    forged[-1] ^= 1
    assert read(forged, 10, FRAME - 10)[0] == bytes(FRAME - 10)
    with pytest.raises(MessageAuthenticationFailed, match="frame 2"):
        read(forged, 10, FRAME - 9)


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, 0), (0, -5)])
def test_what_is_not_a_range_is_refused(start, length, message_of, read, kms):
    message = message_of(b"hello")
    kms.calls.clear()
    with pytest.raises(InvalidRequest, match=f"{length} bytes from byte {start}"):
        read(message, start, length)
    assert kms.calls == []


def test_wrong_context_and_start_beyond_the_end_cost_no_kms_call(message_of, read, kms):
    message = message_of(b"hello")
    kms.calls.clear()
    with pytest.raises(EncryptionContextMismatch):
        read(message, 0, 1, encryption_context={"tenant": "b"})
    with pytest.raises(RangeNotSatisfiable):
        read(message, 5, 1)
    assert kms.calls == []


def test_signed_message_is_refused(message_of, read):
    message = message_of(b"hello", algorithm_suite=AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384)
    with pytest.raises(InvalidRequest, match="signature covers every byte"):
        read(message, 0, 1)


@pytest.mark.parametrize("official", ["legacy"], indirect=True)
def test_message_that_is_not_framed_is_refused(official, client, read):
    algorithm = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    message, _ = client.encrypt(
        source=b"hello", encryption_context=CONTEXT, algorithm=algorithm, frame_length=0, **official
    )
    with pytest.raises(InvalidRequest, match="not framed"):
        read(message, 0, 1)


def test_regular_frame_where_the_size_says_final_is_refused(message_of, read):
    message = message_of(os.urandom(3 * FRAME))
    header = len(message) - 3 * (FRAME + 32) - 8
    # Cut so that the size is that of two frames: the second is a whole regular one, its last 8 bytes garbage.
    with pytest.raises(MessageFormatError, match="frame 2"):
        read(message[: header + 2 * (FRAME + 32) + 8], FRAME, FRAME)


def test_empty_file_is_truncated(read):
    with pytest.raises(MessageTruncated):
        read(b"", 0, 1)
