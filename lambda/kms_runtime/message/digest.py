"""The hash of a signed message, computed on a second thread: it is many times slower than the encryption itself."""

import hashlib
from queue import SimpleQueue
from threading import Thread
from typing import Self

WORTH_A_THREAD = 256 * 1024
AHEAD = 3
_HASHES = {"secp256r1": "sha256", "secp384r1": "sha384"}


class MessageDigest:
    """Hashes what it is given, in order; use it as a context manager, so that no thread stays behind.

    Args:
        curve: The suite's curve, which has a hash that goes with it.
        size: Largest number of bytes given at once, about: below 256 KiB a thread costs more than it brings.
    """

    def __init__(self, curve: str, size: int) -> None:
        self._hash = hashlib.new(_HASHES[curve])
        self._tasks: SimpleQueue[bytes | memoryview | None] = SimpleQueue()
        # Room for AHEAD pieces, as a queue: a SimpleQueue takes a tenth of the time of a Semaphore.
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(AHEAD):
            self._room.put(None)
        self._error: BaseException | None = None
        self._thread: Thread | None = None
        if size >= WORTH_A_THREAD:
            self._thread = Thread(target=self._work, name="message-digest", daemon=True)
            self._thread.start()

    def update(self, data: bytes | memoryview) -> None:
        """Take ``data``, which must stay as it is until ``AHEAD`` further updates have returned."""
        if self._thread is None:
            self._hash.update(data)
            return
        self._room.get()
        self._tasks.put(data)

    def finish(self) -> bytes:
        """Return the digest of all that was given; raises what the thread met."""
        self.close()
        if self._error:
            raise self._error
        return self._hash.digest()

    def close(self) -> None:
        """End the thread."""
        thread, self._thread = self._thread, None
        if thread:
            self._tasks.put(None)
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while (data := self._tasks.get()) is not None:
            try:
                self._hash.update(data)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised by finish
                self._error = error
            self._room.put(None)  # whatever happened: ``update`` may be waiting for it
