"""A process that forks while one of its threads fetches: the child does not wait for a thread that it does not have."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from kms_runtime import CachingKeyring, RawAesKeyring, encrypt_bytes
from kms_runtime.errors import ServiceUnreachable
from kms_runtime.fork_lock import ForkLock
from kms_runtime.public_keys.remote_document import RemoteDocument

RAW = RawAesKeyring("ns", "n", wrapping_key=bytes(32))


@contextmanager
def busy(work, started, release):
    """Let another thread be in the middle of ``work``."""
    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        release.set()
        thread.join()


def in_child(work):
    """Return whether ``work`` was true in a child process."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    end = time.monotonic() + 20
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return found[1] == 0


def test_child_gets_data_keys_of_its_own_while_the_parent_waits_for_one():
    started, release = threading.Event(), threading.Event()

    class Slow:
        def generate_data_key(self, *arguments):
            if threading.current_thread() is not threading.main_thread():
                started.set()
                release.wait(20)
            return RAW.generate_data_key(*arguments)

    cache = CachingKeyring(Slow(), capacity=3, max_age=60)
    encrypt_bytes(b"x", keyring=cache, encryption_context={"known": "x"})

    def encrypted():
        empty = not cache._entries
        return bool(encrypt_bytes(b"x", keyring=cache, encryption_context={})) and empty

    with busy(lambda: encrypt_bytes(b"x", keyring=cache, encryption_context={}), started, release):
        assert in_child(encrypted)
    assert len(cache._entries) == 2


def test_child_asks_for_a_document_that_the_parent_is_asking_for(monkeypatch):
    started, release = threading.Event(), threading.Event()

    def fetch(self, known):
        if threading.current_thread() is not threading.main_thread():
            started.set()
            release.wait(20)
        raise ServiceUnreachable("nothing there")

    monkeypatch.setattr(RemoteDocument, "_fetch", fetch)
    document = RemoteDocument(
        "https://localhost/",
        bytes,
        largest=1,
        accept="*/*",
        ssl_context=None,
        timeout=1,
        shortest_interval=0,
        longest_outage=1,
    )

    def refused():
        with pytest.raises(ServiceUnreachable):
            document.current()
        return True

    with busy(refused, started, release):
        assert in_child(refused)


def test_lock_excludes_threads_and_is_free_in_a_child():
    lock = ForkLock()
    with lock:
        assert not lock.acquire(blocking=False)
        assert in_child(lambda: lock.acquire(blocking=False))
    assert lock.acquire(blocking=False)
    lock.release()
