"""Reading ahead gives the same bytes and errors, keeps a bounded number of pieces, and leaves no thread or data."""

import os
import threading

import pytest

from kms_runtime.errors import SourceChanged
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
