"""Run the embedded AWS until the parent, which holds the other end of standard input, is gone."""

import argparse
import fcntl
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from kms_patterns.local.layout import MALLOC, Layout

GRACE_SECONDS = 2.0
LOOK_SECONDS = 1.0


def main() -> None:
    """Start the emulator with our KMS in it; the folder is removed at the end, however it comes."""
    arguments = _arguments()
    layout = Layout(arguments.folder)
    with layout.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run(layout, port=arguments.port, detached=arguments.detached)


def _run(layout: Layout, *, port: int, detached: bool) -> None:
    end = end_of(layout.folder, _save)
    follow_signals(end)
    if not detached:
        follow_parent(end)
    listener = _listener(port)
    _prepare_environment(layout, listener.getsockname()[1])
    # A failure to start ends with its message and status; the parent reads the message, then removes the folder.
    _serve(layout, listener)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kms_patterns.local.server", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="the loopback port, 0 for a free one")
    parser.add_argument("--detached", action="store_true", help="do not end with the parent")
    return parser.parse_args()


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A server that was just stopped leaves connections behind that would keep the port for a minute.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        sys.exit(f"kms-patterns: port {port} cannot be used ({error.strerror}): choose another with --port")
    listener.listen(512)
    return listener


def _prepare_environment(layout: Layout, port: int) -> None:
    # Lambda functions inherit this environment: it must lead them here, and hide what is this process's own.
    for own in ("PYTHONPATH", *MALLOC):
        os.environ.pop(own, None)
    os.environ |= {
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": f"https://127.0.0.1:{port}",
        "AWS_CA_BUNDLE": str(layout.authority),
        "NODE_EXTRA_CA_CERTS": str(layout.authority),
        "SSL_CERT_FILE": str(layout.trust_store),
        "REQUESTS_CA_BUNDLE": str(layout.trust_store),
    }


def _save() -> None:
    # A server that never came to serve has nothing to save.
    serving = sys.modules.get("kms_patterns.local.server.http")
    if os.environ.get("PERSIST_STATE") == "1" and serving is not None:
        serving.save_state()


def _serve(layout: Layout, listener: socket.socket) -> None:
    # The server signs nothing: without its native library botocore is imported in half the time.
    sys.modules["awscrt"] = None  # type: ignore[assignment]
    # Imported only now: the emulator reads its settings from the environment when it is imported.
    from kms_patterns.local.server.http import serve_emulator  # noqa: PLC0415

    serve_emulator(layout, listener)


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


if __name__ == "__main__":
    main()
