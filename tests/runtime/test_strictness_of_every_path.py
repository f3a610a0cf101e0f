"""Every kind of message, altered or cut anywhere, and every input that fuzzing kept: refused with a typed error."""

import io
import os
import runpy
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import pytest
from aws_encryption_sdk.identifiers import Algorithm

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CommitmentPolicy,
    KmsKeyring,
    KmsRuntimeError,
    decrypt,
    decrypt_range,
    encrypt_bytes,
)
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.errors import MessageTruncated

CONTEXT = {"a": "1", "b": "2"}
FRAME = 128
PLAINTEXT = os.urandom(3 * FRAME + 9)
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
        return encrypt_bytes(PLAINTEXT, frame_length=FRAME, **common, **suite), chosen

    return make


@pytest.fixture
def theirs(official, forbidding_client, client, keyring):
    def make(suite_id, frame_length):
        algorithm = Algorithm.get_by_id(suite_id)
        sdk = client if algorithm.message_format_version == 2 else forbidding_client
        message, _ = sdk.encrypt(
            source=PLAINTEXT, encryption_context=CONTEXT, algorithm=algorithm, frame_length=frame_length, **official
        )
        return message, keyring

    return make


def check_every_flip_and_cut(message, keyring, whole_frames):
    assert attempt(message, keyring) == (None, PLAINTEXT)
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


FRAMES_BUT_THE_LAST = [PLAINTEXT[: n * FRAME] for n in range(4)]


@pytest.mark.parametrize("kind", ["signed", "two keys", "RSA"])
def test_framed_messages_of_ours(kind, ours):
    check_every_flip_and_cut(*ours(kind), FRAMES_BUT_THE_LAST)


@pytest.mark.parametrize("official", ["legacy"], indirect=True)
@pytest.mark.parametrize("suite_id", [0x0478, 0x0578, 0x0014, 0x0178, 0x0214, 0x0378], ids=lambda each: f"0x{each:04X}")
@pytest.mark.parametrize("frame_length", [0, FRAME])
def test_messages_of_the_official_sdk(suite_id, frame_length, theirs):
    check_every_flip_and_cut(*theirs(suite_id, frame_length), FRAMES_BUT_THE_LAST if frame_length else [b""])


@pytest.mark.parametrize(
    ("start", "length", "frames"),
    [(0, 1, (1, 1)), (FRAME - 1, 2, (1, 2)), (FRAME, FRAME, (2, 2)), (2 * FRAME + 5, 4 * FRAME, (3, 4))],
)
def test_range_is_true_whatever_is_done_to_the_message(start, length, frames, ours):
    message, keyring = ours("unsigned")
    expected = PLAINTEXT[start : start + length]
    body = len(message) - len(PLAINTEXT) - 4 * 32 - 8
    first, last = body + (frames[0] - 1) * (FRAME + 32), body + frames[1] * (FRAME + 32)
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
