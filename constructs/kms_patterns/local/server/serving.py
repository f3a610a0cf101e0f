"""The emulator, changed at the seam, behind TLS on the socket that the process was given."""

import asyncio
import json
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config

from kms_patterns.local.inspection import recorded_calls
from kms_patterns.local.layout import Layout
from kms_patterns.local.server.emulator import seam
from kms_patterns.local.server.emulator.emulator import APP, EmulatorMismatch, reach
from kms_patterns.local.server.emulator.functions import provide_runtime_packages, provide_sdk_clients
from kms_patterns.local.server.http import application
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.kms_service import KmsService

KEEP_ALIVE_SECONDS = 75


def save_state() -> None:
    """Write what the emulator stores to the folder that it was given; the next start reads it."""
    reach(APP, "save_all")(reach(APP, "_build_persistence_save_dict")())


def serve_emulator(layout: Layout, listener: socket.socket) -> None:
    """Serve until the process ends. Announces port, process id and token once it serves."""
    provide_runtime_packages(layout.runtime_packages)
    provide_sdk_clients(layout.node_packages)
    try:
        seam.install(KmsService(CallLog(layout.calls)))
    except EmulatorMismatch as mismatch:
        sys.exit(f"kms-patterns: {mismatch}")
    state = {"port": listener.getsockname()[1], "pid": os.getpid(), "token": secrets.token_hex(32)}
    app = application(
        reach(APP, "app"),
        token=str(state["token"]),
        ready=lambda: layout.announce(json.dumps(state)),
        calls=lambda: recorded_calls(layout),
    )
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile, config.keyfile = str(layout.certificate), str(layout.private_key)
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    # Never triggered: the process ends as a whole, which is what removes the Lambda processes and the folder too.
    asyncio.run(serve(app, config, shutdown_trigger=asyncio.Event().wait))  # type: ignore[arg-type]


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
