"""Reading ahead gives the same bytes and errors, bounded; the header is read in one go with what follows it."""

import io
import os
import threading

import pytest

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    decrypt,
    encrypt_bytes,
)
from kms_runtime.errors import MessageFormatError, MessageTruncated, SourceChanged
from kms_runtime.message import FieldReader
from kms_runtime.s3 import read_ahead as module
from kms_runtime.s3.read_ahead import PIECE, PIECES, WORTH_A_THREAD, ReadAhead, read_ahead
from kms_runtime.streams import filler, taker

DATA = os.urandom(PIECE) * 5


class Slow:
    """Gives ``data`` in odd amounts and counts what was taken."""

    def __init__(self, data, *, error=None):
        self.data, self.position, self.error = memoryview(data), 0, error
        self.size = len(data)
        self.read_enough = threading.Event()

    def readinto(self, buffer):
        taken = min(len(buffer), 100_003, len(self.data) - self.position)
        if not taken and self.error:
            raise self.error
        buffer[:taken] = self.data[self.position : self.position + taken]
        self.position += taken
        if self.position >= PIECES * PIECE:
            self.read_enough.set()
        return taken


def read_all(source):
    fill, out = filler(source), bytearray()
    buffer = bytearray(99_991)
    while got := fill(memoryview(buffer)):
        out += buffer[:got]
    return bytes(out)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, len(DATA)])
def test_every_byte_arrives_in_order_and_the_end_is_the_end(size):
    with ReadAhead(Slow(DATA[:size])) as ahead:
        assert read_all(ahead) == DATA[:size]
        assert ahead.readinto(memoryview(bytearray(1))) == 0
        assert ahead.read(1) == b""
    assert threads() == []


def test_small_reads_and_large_ones_may_alternate():
    with ReadAhead(Slow(DATA)) as ahead:
        take = taker(ahead)
        assert take(3) == DATA[:3]
        assert read_all(ahead) == DATA[3:]


def test_reads_while_nobody_asks_but_no_more_than_the_pieces_hold():
    source = Slow(DATA)
    with ReadAhead(source) as ahead:
        assert source.read_enough.wait(10)
        assert source.position == PIECES * PIECE
        assert ahead.read(1) == DATA[:1]
        assert source.position == PIECES * PIECE
    assert source.position == PIECES * PIECE


def test_error_of_the_source_is_raised_where_its_bytes_are_asked_for():
    with ReadAhead(Slow(DATA[: PIECE + 5], error=SourceChanged("replaced"))) as ahead:
        assert taker(ahead)(PIECE) == DATA[:PIECE]
        with pytest.raises(SourceChanged, match="replaced"):
            ahead.read(1)
        assert ahead.read(1) == b""
    assert threads() == []


def test_closing_early_stops_the_thread_and_wipes_what_was_read(monkeypatch):
    wiped = []
    monkeypatch.setattr(module, "wipe", lambda piece: wiped.append(len(piece)))
    with ReadAhead(Slow(DATA)) as ahead:
        ahead.read(1)
    assert threads() == []
    assert wiped == [PIECE] * PIECES


def test_small_object_is_read_without_a_thread():
    small, large = Slow(DATA[:WORTH_A_THREAD]), Slow(DATA[: WORTH_A_THREAD + 1])
    with read_ahead(small) as source:
        assert source is small
    with read_ahead(large) as source:
        assert isinstance(source, ReadAhead)


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
