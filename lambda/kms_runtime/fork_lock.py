"""A lock that a child process of ``os.fork`` does not inherit locked.

Of all threads only the one that forks lives on in the child. A lock that another thread held would stay locked there.
"""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any


class ForkLock:
    """A lock between threads, which is free in a new child process; use it as a context manager.

    Args:
        in_child: Called in each child process, with the lock free.
    """

    def __init__(self, in_child: Callable[[], object] | None = None) -> None:
        self._lock = threading.Lock()
        self._in_child = weakref.WeakMethod(in_child) if in_child else None
        if hasattr(os, "register_at_fork"):  # Windows has no fork
            _ALL.add(self)

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock; return whether it was taken."""
        return self._lock.acquire(blocking=blocking)

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Start anew in a child process."""
        self._lock = threading.Lock()
        call: Any = self._in_child and self._in_child()
        if call:
            call()


_ALL: "weakref.WeakSet[ForkLock]" = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_ALL):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
