"""Reads a source on a thread of its own, so that the network and the encryption work at the same time."""

from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from threading import Thread

from kms_runtime.message.suite import wipe
from kms_runtime.s3.source import S3Source
from kms_runtime.streams import PIECE, PieceReader, Source, filler

PIECES = 4
WORTH_A_THREAD = PIECE * PIECES
_PATIENCE = 5.0

_Filled = tuple[bytearray, int] | BaseException | None


def read_ahead(source: S3Source) -> AbstractContextManager[Source]:
    """Return ``source``, read ahead if it is large enough for that to be worth a thread."""
    return ReadAhead(source) if source.size > WORTH_A_THREAD else nullcontext(source)


class ReadAhead(PieceReader):
    """A binary file object that has the next bytes of another one ready; use it as a context manager.

    At most ``PIECES`` pieces of 256 KiB are held, used again and again, and overwritten with zeros at the end.

    Args:
        source: Read by this object only, until it is closed.
    """

    def __init__(self, source: Source) -> None:
        self._fill = filler(source)
        self._free: SimpleQueue[bytearray | None] = SimpleQueue()
        self._filled: SimpleQueue[_Filled] = SimpleQueue()
        self._pieces = [bytearray(PIECE) for _ in range(PIECES)]
        for piece in self._pieces:
            self._free.put(piece)
        self._ended = self._closed = False
        self._thread = Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no further. A read that is under way is waited for, but not long: its thread ends by itself."""
        self._ended = self._closed = True
        self._free.put(None)
        self._thread.join(_PATIENCE)

    def _next_piece(self) -> bool:
        if self._ended:
            return False
        if self._piece is not None:
            self._free.put(self._piece)
            self._piece = None
        filled = self._filled.get()
        if isinstance(filled, tuple):
            self._piece, self._end = filled
            self._position = 0
            return True
        self._ended, self._position, self._end = True, 0, 0
        if filled is not None:
            raise filled
        return False

    def _run(self) -> None:
        """Fill what is free until nothing follows, wait for the end of use, and wipe."""
        more = True
        while (piece := self._free.get()) is not None:
            more = more and not self._closed and self._fill_piece(piece)
        for used in self._pieces:
            wipe(used)

    def _fill_piece(self, piece: bytearray) -> bool:
        """Fill ``piece`` and hand it over; return whether more may follow."""
        try:
            got = self._fill(memoryview(piece))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the bytes are asked for
            self._filled.put(error)
            return False
        if got:
            self._filled.put((piece, got))
        if got < PIECE:
            self._filled.put(None)
        return got == PIECE
