"""The server ends with the one who started it, and takes its Lambda processes and its folder along."""

import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

GRACE_SECONDS = 2.0
LOOK_SECONDS = 1.0


def follow_parent(end: Callable[[], None]) -> None:
    """Call ``end`` once standard input is closed: the parent holds its other end, and a killed parent lets go.

    A process that the parent forked may hold that end too, so the parent itself is looked for every second.
    """
    parent = os.getppid()

    def wait() -> None:
        while os.getppid() == parent:
            readable, _, _ = select.select([sys.stdin], [], [], LOOK_SECONDS)
            if readable and not os.read(sys.stdin.fileno(), 1):
                break
        end()

    threading.Thread(target=wait, name="follow-parent", daemon=True).start()


def follow_signals(end: Callable[[], None]) -> None:
    """Call ``end`` on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end())


def end_of(folder: Path, save: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """Return a function that saves, ends this process group and removes ``folder``; it does not return."""
    ending = threading.Lock()

    def end() -> None:
        if not ending.acquire(blocking=False):
            return
        save()
        # The server leads its own process group: this reaches its Lambda processes, and itself, where it is ignored.
        os.killpg(os.getpgrp(), signal.SIGTERM)
        ended = _children_ended(GRACE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
        if not ended:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(0)

    return end


def _children_ended(seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return True
    return False
