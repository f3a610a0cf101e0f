"""One embedded AWS of this user in the background, for any boto3 program or CDK app, until it is stopped."""

import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kms_patterns.local.layout import Layout
from kms_patterns.local.local_aws import ACCOUNT, REGION, new_root_key, root_session
from kms_patterns.local.server_process import STOP_SECONDS, ServerState, launch


class NotOurs(RuntimeError):
    """The folder that should hold the state belongs to another user."""


@dataclass(frozen=True)
class _Running:
    folder: str
    region: str
    root_key: str

    @property
    def layout(self) -> Layout:
        return Layout(Path(self.folder))


def start() -> dict[str, str]:
    """Start it, or find it running, and return the variables that lead a program to it as the account root.

    Raises:
        StartFailed: It could not start.
        NotOurs: Another user made the state's folder.
    """
    running = env()
    if running is not None:
        return running
    stop()
    root_key = new_root_key()
    server = launch(region=REGION, account=ACCOUNT, root_key=root_key, detached=True)
    _state().write_text(
        json.dumps({"folder": str(server.layout.folder), "region": REGION, "root_key": root_key}), encoding="utf-8"
    )
    return root_session(server.layout, port=server.state.port, region=REGION, root_key=root_key).environment()


def env() -> dict[str, str] | None:
    """Return the variables that lead a program to the running one, None if none is running."""
    running = _remembered()
    server = _alive(running) if running else None
    if running is None or server is None:
        return None
    return root_session(
        running.layout, port=server.port, region=running.region, root_key=running.root_key
    ).environment()


def stop() -> bool:
    """Stop it and remove all that it stored; return whether it was running."""
    running = _remembered()
    if running is None:
        return False
    server = _alive(running)
    if server is not None:
        _end(server.pid, running.layout.lock)
    shutil.rmtree(running.folder, ignore_errors=True)
    shutil.rmtree(_state().parent, ignore_errors=True)
    return server is not None


def _state() -> Path:
    folder = Path(tempfile.gettempdir()) / f"kms-patterns-user-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise NotOurs(f"{folder} belongs to another user; remove it or set TMPDIR")
    return folder / "daemon.json"


def _remembered() -> _Running | None:
    state = _state()
    if not state.exists():
        state.parent.rmdir()
        return None
    return _Running(**json.loads(state.read_text(encoding="utf-8")))


def _alive(running: _Running) -> ServerState | None:
    layout = running.layout
    if not _locked(layout.lock) or not layout.state.exists():
        return None
    return ServerState(**json.loads(layout.state.read_text(encoding="utf-8")))


def _locked(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _end(pid: int, lock: Path) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _locked(lock) and time.monotonic() < deadline:
        time.sleep(0.02)
    if _locked(lock):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        # The caller may be the one who started it: collect it.
        os.waitpid(pid, 0)
