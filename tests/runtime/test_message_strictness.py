"""A message is read strictly, on every path."""

import io
import os
import runpy
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import pytest
from aws_encryption_sdk.identifiers import Algorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CommitmentPolicy,
    KmsKeyring,
    KmsRuntimeError,
    decrypt,
    decrypt_bytes,
    decrypt_range,
    encrypt_bytes,
)
from kms_runtime.envelope import body as block
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.errors import (
    MessageAuthenticationFailed,
    MessageFormatError,
    MessageTruncated,
)
from kms_runtime.message import frames as frame_ciphers

CONTEXT = {"a": "1", "b": "2"}
PLAINTEXT = bytes(range(100))
FRAME = 32
VERSION, SUITE, CONTEXT_AT = 0, 1, 35
CONTEXT_LENGTH = 2 + 2 + 2 * 6


@pytest.fixture
def message(keyring):
    return encrypt_bytes(PLAINTEXT, keyring=keyring, encryption_context=CONTEXT, frame_length=FRAME)


@pytest.fixture
def refused(keyring):
    def refuse(altered):
        sink = io.BytesIO()
        with pytest.raises(KmsRuntimeError) as caught:
            decrypt(io.BytesIO(altered), sink, keyring=keyring, encryption_context={})
        assert PLAINTEXT.startswith(sink.getvalue())
        assert len(sink.getvalue()) % FRAME == 0
        return caught.value

    return refuse


@pytest.fixture
def refused_unseen(refused, kms):
    """Refused, and AWS KMS was not asked."""

    def refuse(altered):
        kms.calls.clear()
        error = refused(altered)
        assert kms.calls == []
        return error

    return refuse


def replaced(message, at, new):
    return message[:at] + new + message[at + len(new) :]


def test_flipping_any_bit_of_any_byte_is_refused(message, refused):
    for position in range(len(message)):
        for bit in (0, 3, 7):
            refused(replaced(message, position, bytes([message[position] ^ 1 << bit])))


def test_truncation_at_any_length_is_refused_as_truncated(message, refused):
    for length in range(len(message)):
        assert type(refused(message[:length])) is MessageTruncated


def test_bytes_after_the_final_frame_are_refused(message, refused):
    for extra in (b"\0", b"x" * 40, message):
        assert type(refused(message + extra)) is MessageFormatError


def test_bytes_after_a_full_final_frame_are_refused(keyring, refused):
    message = encrypt_bytes(PLAINTEXT[:64], keyring=keyring, encryption_context={}, frame_length=FRAME)
    for extra in (b"\0", message):
        assert "bytes follow" in str(refused(message + extra))


def test_reordered_repeated_and_dropped_frames_are_refused(message, refused):
    body = len(message) - (3 * (FRAME + 32) + 40 + 4)
    one, two = message[body : body + 64], message[body + 64 : body + 128]
    for frames in (two + one, one + one, one, two):
        assert "sequence number" in str(refused(message[:body] + frames + message[body + 128 :]))


def test_final_frame_alone_is_refused(message, refused):
    body = len(message) - (3 * (FRAME + 32) + 40 + 4)
    assert "sequence number" in str(refused(message[:body] + message[-44:]))


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_arbitrary_bytes_are_refused_with_a_typed_error(keyring, data):
    for candidate in (data, b"\x02\x04\x78" + data):
        with pytest.raises(MessageFormatError):
            decrypt_bytes(candidate, keyring=keyring, encryption_context={})


@pytest.mark.parametrize(
    ("at", "new", "reason"),
    [
        (VERSION, b"\x01", "message type 0x04; only 0x80 is defined"),
        (VERSION, b"\x03", "version 3"),
        (VERSION, b"AgR4", "Base64"),
        (SUITE, b"\x05\x78", "no aws-crypto-public-key in the encryption context of a message that is signed"),
        (SUITE, b"\x04\x79", "algorithm suite 0x0479"),
        (SUITE, b"\x01\x78", "algorithm suite 0x0178"),
        (CONTEXT_AT, b"\x00\x0f", "does not fill"),
        (CONTEXT_AT, b"\x00\x0d", "does not fill"),
        (CONTEXT_AT + 2, b"\x00\x01", "does not fill"),
        (CONTEXT_AT + 2, b"\x00\x00", "does not fill"),
        (CONTEXT_AT + 6, b"b", "not sorted, or one is repeated"),
        (CONTEXT_AT + 6, b"c", "not sorted, or one is repeated"),
        (CONTEXT_AT + 6, b"\xff", "not valid UTF-8"),
        (CONTEXT_AT + CONTEXT_LENGTH, b"\x00\x00", "0 encrypted data keys; this reader accepts 1 to 20"),
        (CONTEXT_AT + CONTEXT_LENGTH, b"\xff\xff", "65535 encrypted data keys"),
        (CONTEXT_AT + CONTEXT_LENGTH + 4, b"\xff", "key provider"),
    ],
)
def test_header_field_that_the_format_does_not_allow_is_named(at, new, reason, message, refused_unseen):
    error = refused_unseen(replaced(message, at, new))
    assert type(error) is MessageFormatError
    assert reason in str(error)


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (0, b"\x01", "frame length 32 in a message that is not framed"),
        (0, b"\x03", "content type 3; there are 1 (not framed) and 2 (framed)"),
        (1, b"\x00\x00\x00\x00", "frame length 0;"),
        (1, b"\xff\xff\xff\xff", "frame length 4294967295; this reader accepts 1 to 16777216"),
    ],
)
def test_content_type_and_frame_length_are_checked_before_any_kms_call(offset, new, reason, message, refused_unseen):
    at = message.index(b"\x02\x00\x00\x00\x20", CONTEXT_AT + CONTEXT_LENGTH) + offset
    error = refused_unseen(replaced(message, at, new))
    assert type(error) is MessageFormatError
    assert reason in str(error)


def test_frame_length_limit_is_the_callers_to_lower(message, keyring):
    with pytest.raises(MessageFormatError, match="1 to 31 bytes"):
        decrypt_bytes(message, keyring=keyring, encryption_context={}, max_frame_length=FRAME - 1)
    assert decrypt_bytes(message, keyring=keyring, encryption_context={}, max_frame_length=FRAME) == PLAINTEXT


def test_verification_key_in_an_unsigned_message_is_refused(keyring, monkeypatch):
    monkeypatch.setattr("kms_runtime.envelope.encrypting.check_context", lambda _: None)
    forged = encrypt_bytes(b"", keyring=keyring, encryption_context={"aws-crypto-public-key": "x"})
    with pytest.raises(MessageFormatError, match="not signed"):
        decrypt_bytes(forged, keyring=keyring, encryption_context={})


def test_key_commitment_is_checked_before_the_tag(message, refused):
    at = message.index(b"\x02\x00\x00\x00\x20", CONTEXT_AT + CONTEXT_LENGTH) + 5
    error = refused(replaced(message, at, bytes(32)))
    assert type(error) is MessageAuthenticationFailed
    assert "key commitment" in str(error)


def test_final_frame_longer_than_the_frame_length_is_refused(message, refused):
    at = len(message) - 16 - 4 - 4
    assert "more than the frame length" in str(refused(replaced(message, at, (FRAME + 1).to_bytes(4))))


def test_too_many_frames_for_one_message_are_refused(keyring, monkeypatch):
    monkeypatch.setattr("kms_runtime.message.frames.MAX_FRAMES", 3)
    with pytest.raises(MessageFormatError, match="at most 3 frames"):
        encrypt_bytes(bytes(4 * FRAME), keyring=keyring, encryption_context={}, frame_length=FRAME)


def test_block_whose_tag_does_not_verify_is_wiped(monkeypatch):
    wiped = []
    monkeypatch.setattr(block, "wipe", lambda plaintext: wiped.append(bytes(plaintext)))
    cipher, iv, message_id = AESGCM(bytes(32)), bytes(12), bytes(32)
    aad = message_id + b"AWSKMSEncryptionClient Single Block" + (1).to_bytes(4) + (6).to_bytes(8)
    body = bytearray(iv + (6).to_bytes(8) + cipher.encrypt(iv, b"secret", aad))
    body[-1] ^= 1
    with pytest.raises(MessageAuthenticationFailed):
        block.read_block(io.BytesIO(body).read, cipher, message_id, limit=10)
    assert len(wiped) == 1


def test_frames_under_other_ivs_are_read_as_the_official_sdks_do(monkeypatch, keyring):
    following = frame_ciphers._FrameCipher._next

    def with_another_iv(self, length, *, final):
        aad = following(self, length, final=final)
        self._iv[:8] = b"\xff" * 8
        return aad

    monkeypatch.setattr(frame_ciphers._FrameCipher, "_next", with_another_iv)
    message = encrypt_bytes(PLAINTEXT, keyring=keyring, encryption_context=CONTEXT, frame_length=FRAME)
    monkeypatch.undo()
    assert b"\xff" * 8 + (2).to_bytes(4) in message
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == PLAINTEXT


PATH_FRAME = 128
PATH_PLAINTEXT = os.urandom(3 * PATH_FRAME + 9)
ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
SIGNED = AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384


@pytest.fixture
def two_keys(kms, key_arn, other_key_arn):
    return KmsKeyring(key_arn, kms_client=kms, additional_keys={other_key_arn: kms})


@pytest.fixture
def ours(keyring, two_keys, rsa_keyring):
    def make(kind):
        chosen = {"two keys": two_keys, "RSA": rsa_keyring}.get(kind, keyring)
        suite = {"algorithm_suite": SIGNED} if kind == "signed" else {}
        common = {"keyring": chosen, "encryption_context": CONTEXT}
        return encrypt_bytes(PATH_PLAINTEXT, frame_length=PATH_FRAME, **common, **suite), chosen

    return make


@pytest.fixture
def theirs(official, forbidding_client, client, keyring):
    def make(suite_id, frame_length):
        algorithm = Algorithm.get_by_id(suite_id)
        sdk = client if algorithm.message_format_version == 2 else forbidding_client
        message, _ = sdk.encrypt(
            source=PATH_PLAINTEXT,
            encryption_context=CONTEXT,
            algorithm=algorithm,
            frame_length=frame_length,
            **official,
        )
        return message, keyring

    return make


def check_every_flip_and_cut(message, keyring, whole_frames):
    assert attempt(message, keyring) == (None, PATH_PLAINTEXT)
    for position in range(len(message)):
        altered = bytearray(message)
        altered[position] ^= 1 << position % 8
        error, released = attempt(bytes(altered), keyring)
        assert isinstance(error, KmsRuntimeError), position
        assert released in whole_frames, position
    for length in range(len(message)):
        error, released = attempt(message[:length], keyring)
        assert type(error) is MessageTruncated, length
        assert released in whole_frames, length


def attempt(message, keyring):
    sink = io.BytesIO()
    try:
        decrypt(io.BytesIO(message), sink, keyring=keyring, encryption_context=CONTEXT, commitment_policy=ALLOW)
    except KmsRuntimeError as error:
        return error, sink.getvalue()
    return None, sink.getvalue()


FRAMES_BUT_THE_LAST = [PATH_PLAINTEXT[: n * PATH_FRAME] for n in range(4)]


@pytest.mark.parametrize("kind", ["signed", "two keys", "RSA"])
def test_framed_messages_of_ours(kind, ours):
    check_every_flip_and_cut(*ours(kind), FRAMES_BUT_THE_LAST)


@pytest.mark.parametrize("official", ["legacy"], indirect=True)
@pytest.mark.parametrize("suite_id", [0x0478, 0x0578, 0x0014, 0x0178, 0x0214, 0x0378], ids=lambda each: f"0x{each:04X}")
@pytest.mark.parametrize("frame_length", [0, PATH_FRAME])
def test_messages_of_the_official_sdk(suite_id, frame_length, theirs):
    check_every_flip_and_cut(*theirs(suite_id, frame_length), FRAMES_BUT_THE_LAST if frame_length else [b""])


@pytest.mark.parametrize(
    ("start", "length", "frames"),
    [
        (0, 1, (1, 1)),
        (PATH_FRAME - 1, 2, (1, 2)),
        (PATH_FRAME, PATH_FRAME, (2, 2)),
        (2 * PATH_FRAME + 5, 4 * PATH_FRAME, (3, 4)),
    ],
)
def test_range_is_true_whatever_is_done_to_the_message(start, length, frames, ours):
    message, keyring = ours("unsigned")
    expected = PATH_PLAINTEXT[start : start + length]
    body = len(message) - len(PATH_PLAINTEXT) - 4 * 32 - 8
    first, last = body + (frames[0] - 1) * (PATH_FRAME + 32), body + frames[1] * (PATH_FRAME + 32)
    for position in range(len(message)):
        altered = bytearray(message)
        altered[position] ^= 1 << position % 8
        found = range_of(bytes(altered), start, length, keyring)
        assert found == (None if position < body or first <= position < last else expected), position
    for size in range(len(message)):
        assert range_of(message[:size], start, length, keyring) in (None, expected), size


def range_of(message, start, length, keyring):
    """Return the range, or None if it was refused."""
    sink = io.BytesIO()
    with suppress(KmsRuntimeError):
        source = FileRange(io.BytesIO(message))
        decrypt_range(source, sink, start=start, length=length, keyring=keyring, encryption_context=CONTEXT)
        return sink.getvalue()
    return None


with ZipFile(Path(__file__).with_name("corpus.zip")) as packed:
    CORPUS = {name[:8]: packed.read(name) for name in sorted(packed.namelist())}
check = runpy.run_path(str(Path(__file__).with_name("fuzz_reader.py")))["check"]


def test_corpus_is_there():
    assert len(CORPUS) > 40


@pytest.mark.parametrize("data", CORPUS.values(), ids=CORPUS)
def test_input_of_the_corpus_raises_nothing_but_a_typed_error(data):
    check(data)
