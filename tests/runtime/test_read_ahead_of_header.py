"""The header is read in one go, with what follows it: no byte of the body is lost, doubled or left unchecked."""

import io
import os

import pytest

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    decrypt,
    encrypt_bytes,
)
from kms_runtime.errors import MessageFormatError, MessageTruncated
from kms_runtime.message import FieldReader

CONTEXT = {"tenant": "a"}
SUITES = [AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384]


class Dribble(io.RawIOBase):
    """Gives ``amount`` bytes at a time."""

    def __init__(self, data, amount):
        self.data, self.amount = io.BytesIO(data), amount

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.data.readinto(memoryview(buffer)[: self.amount])


SOURCES = [
    io.BytesIO,
    lambda data: io.BufferedReader(io.BytesIO(data)),
    *(lambda data, amount=amount: Dribble(data, amount) for amount in (1, 7, 2047, 2048, 2049)),
]


def read(message, keyring, source):
    sink = io.BytesIO()
    result = decrypt(source(message), sink, keyring=keyring, encryption_context=CONTEXT)
    return sink.getvalue(), result


@pytest.mark.parametrize("suite", SUITES, ids=str)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("frame_length", [1, 40, 2048])
def test_body_of_any_frames_is_read_whole_from_any_source(frame_length, source, suite, keyring):
    for size in (0, 1, frame_length, 700, 5000):
        plaintext = os.urandom(min(size, 300 * frame_length))
        options = {"frame_length": frame_length, "algorithm_suite": suite}
        message = encrypt_bytes(plaintext, keyring=keyring, encryption_context=CONTEXT, **options)
        found, result = read(message, keyring, source)
        assert found == plaintext
        assert (result.plaintext_bytes, result.ciphertext_bytes) == (len(plaintext), len(message))
        with pytest.raises(MessageFormatError, match="bytes follow the end"):
            read(message + b"x", keyring, source)
        with pytest.raises(MessageTruncated):
            read(message[:-1], keyring, source)


def test_reader_takes_no_more_from_the_source_than_it_was_told_to_take_ahead():
    data = io.BytesIO(bytes(range(100)))
    fields = FieldReader(data.read, ahead=10)
    assert fields.take(3, "a") == bytes([0, 1, 2])
    assert (data.tell(), fields.rest, fields.consumed) == (10, bytes(range(3, 10)), bytes([0, 1, 2]))
    assert fields.take(20, "b") == bytes(range(3, 23))
    assert (data.tell(), fields.rest, fields.position) == (23, b"", 23)
    exact = FieldReader(data.read)
    assert (exact.unsigned(2, "c"), data.tell()) == (23 * 256 + 24, 25)
    with pytest.raises(MessageTruncated, match="the message ends after 77 bytes, inside the field"):
        exact.take(100, "the field")


def test_block_whose_length_field_or_content_is_cut_is_truncated():
    for cut in (b"", b"\x00", b"\x00\x05", b"\x00\x05abcd"):
        with pytest.raises(MessageTruncated, match=f"after {len(cut)} bytes, inside the block"):
            FieldReader(io.BytesIO(cut).read, ahead=64).block("the block")
