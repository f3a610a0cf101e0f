import io
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_runtime import MessageResult, decrypt, decrypt_bytes, encrypt, encrypt_bytes
from kms_runtime.errors import (
    EncryptionContextInvalid,
    EncryptionContextMismatch,
    InvalidRequest,
    MessageTruncated,
)

CONTEXT = {"tenant": "a", "file": "b"}
FRAME = 32

names = st.text(min_size=1, max_size=20).filter(lambda name: not name.startswith("aws-crypto-"))
texts = names.filter(lambda text: all(not 0xD800 <= ord(char) < 0xE000 for char in text))
fixtures_are_stateless = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@fixtures_are_stateless
@given(
    plaintext=st.binary(max_size=300),
    context=st.dictionaries(texts, texts, max_size=5),
    frame_length=st.integers(min_value=1, max_value=100),
)
def test_what_was_encrypted_is_decrypted(plaintext, context, frame_length, keyring):
    source, message, restored = io.BytesIO(plaintext), io.BytesIO(), io.BytesIO()
    made = encrypt(source, message, keyring=keyring, encryption_context=context, frame_length=frame_length)
    back = decrypt(io.BytesIO(message.getvalue()), restored, keyring=keyring, encryption_context=context)
    assert restored.getvalue() == plaintext
    assert made == back
    assert made == MessageResult(len(plaintext), len(message.getvalue()), context, keyring.key_arn, 0x0478)
    assert decrypt_bytes(message.getvalue(), keyring=keyring, encryption_context=context) == plaintext


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 2 * FRAME + 1])
def test_last_full_frame_is_the_final_frame(size, keyring):
    message = encrypt_bytes(bytes(size), keyring=keyring, encryption_context={}, frame_length=FRAME)
    empty = encrypt_bytes(b"", keyring=keyring, encryption_context={}, frame_length=FRAME)
    frames = max(1, -(-size // FRAME))
    assert len(message) - len(empty) == size + (frames - 1) * 32


def test_streams_may_give_and_take_a_few_bytes_at_a_time(keyring):
    class Dribble(io.RawIOBase):
        def __init__(self, data=b""):
            self.data = io.BytesIO(data)

        def readinto(self, buffer):
            return self.data.readinto(memoryview(buffer)[:7])

        def write(self, data):
            return self.data.write(bytes(data[:5]))

    plaintext = os.urandom(1000)
    message, restored = Dribble(), Dribble()
    encrypt(Dribble(plaintext), message, keyring=keyring, encryption_context={}, frame_length=FRAME)
    decrypt(Dribble(message.data.getvalue()), restored, keyring=keyring, encryption_context={})
    assert restored.data.getvalue() == plaintext


def test_source_without_readinto_is_read(keyring):
    class Reader:
        def __init__(self, data):
            self.read = io.BytesIO(data).read

    message = io.BytesIO()
    encrypt(Reader(b"hello"), message, keyring=keyring, encryption_context={})
    assert decrypt_bytes(message.getvalue(), keyring=keyring, encryption_context={}) == b"hello"


@pytest.mark.parametrize("method", ["read", "readinto"])
def test_non_blocking_source_without_data_is_not_taken_for_an_empty_one(method, keyring):
    source = type("NonBlocking", (), {method: lambda *_: None})()
    with pytest.raises(BlockingIOError):
        encrypt(source, io.BytesIO(), keyring=keyring, encryption_context={})


def test_one_kms_call_each_way_with_the_messages_whole_context(keyring, kms, key_arn):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    decrypt_bytes(message, keyring=keyring, encryption_context={"tenant": "a"})
    (generated, request), (decrypted, second) = kms.calls
    assert (generated, decrypted) == ("GenerateDataKey", "Decrypt")
    assert request == {"KeyId": key_arn, "KeySpec": "AES_256", "EncryptionContext": CONTEXT}
    assert (second["KeyId"], second["EncryptionContext"]) == (key_arn, CONTEXT)


@pytest.mark.parametrize("expected", [{"tenant": "b"}, {"tenant": "b", "other": "x"}, {"Tenant": "a"}])
def test_different_expected_pair_is_refused_before_any_kms_call(expected, keyring, kms):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    with pytest.raises(EncryptionContextMismatch, match="AWS KMS was not called"):
        decrypt_bytes(message, keyring=keyring, encryption_context=expected)
    assert kms.calls == []


def test_missing_expected_pair_is_refused_by_what_the_message_is_bound_to(keyring, kms):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    with pytest.raises(EncryptionContextMismatch, match="lacks the expected other"):
        decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT | {"other": "x"})
    assert [request["EncryptionContext"] for _, request in kms.calls] == [CONTEXT | {"other": "x"}]


@pytest.mark.parametrize(
    "context",
    [
        {"aws-crypto-public-key": "x"},
        {"aws-crypto-": "x"},
        {"": "x"},
        {"x": ""},
        {"x": 1},
        {"x": "\ud800"},
        {"x": "y" * (65_535 - 2 - 4)},
    ],
)
def test_context_that_cannot_be_written_is_refused_before_any_kms_call(context, keyring, kms):
    with pytest.raises(EncryptionContextInvalid):
        encrypt_bytes(b"hello", keyring=keyring, encryption_context=context)
    assert kms.calls == []


def test_largest_context_round_trips(keyring):
    context = {"x": "y" * (65_535 - 2 - 4 - 1)}
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=context)
    assert decrypt_bytes(message, keyring=keyring, encryption_context=context) == b"hello"


@pytest.mark.parametrize("frame_length", [-1, 0, 16 * 1024 * 1024 + 1])
def test_frame_length_out_of_range_is_refused_before_any_kms_call(frame_length, keyring, kms):
    with pytest.raises(InvalidRequest, match=f"frame length {frame_length}; 1 to 16777216"):
        encrypt_bytes(b"hello", keyring=keyring, encryption_context={}, frame_length=frame_length)
    assert kms.calls == []


def test_only_whole_authenticated_frames_reach_the_sink(keyring):
    plaintext = os.urandom(10 * FRAME)
    message = encrypt_bytes(plaintext, keyring=keyring, encryption_context={}, frame_length=FRAME)
    sink = io.BytesIO()
    with pytest.raises(MessageTruncated):
        decrypt(io.BytesIO(message[:-100]), sink, keyring=keyring, encryption_context={})
    assert sink.getvalue() == plaintext[: len(sink.getvalue())]
    assert len(sink.getvalue()) % FRAME == 0


def test_messages_of_the_same_plaintext_share_nothing(keyring):
    first, second = (encrypt_bytes(bytes(64), keyring=keyring, encryption_context={}) for _ in range(2))
    assert first[3:35] != second[3:35]
    assert first[-80:] != second[-80:]
