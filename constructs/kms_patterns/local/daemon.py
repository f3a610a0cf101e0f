"""Embedded AWSes of this user in the background, by name, for any boto3 program or CDK app, until they are stopped."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kms_patterns.local.layout import Layout
from kms_patterns.local.local_aws import ACCOUNT, REGION, new_root_key, root_session
from kms_patterns.local.server_process import STOP_SECONDS, ServerOptions, ServerState, StartFailed, launch

DEFAULT = "default"


class NotOurs(RuntimeError):
    """The folder that should hold the state belongs to another user."""


@dataclass(frozen=True)
class Running:
    """A server that was started in the background."""

    name: str
    folder: str
    region: str
    account: str
    root_key: str
    delay: float = 0

    @property
    def layout(self) -> Layout:
        """Its folder."""
        return Layout(Path(self.folder))

    @property
    def server(self) -> ServerState | None:
        """Its port, process id and token; None if it ended."""
        layout = self.layout
        if not _locked(layout.lock) or not layout.state.exists():
            return None
        return ServerState(**json.loads(layout.state.read_text(encoding="utf-8")))

    def environment(self) -> dict[str, str]:
        """Return the variables that lead a program to it as the account root.

        Raises:
            StartFailed: It ended.
        """
        server = self.server
        if server is None:
            raise StartFailed(f"the embedded AWS {self.name!r} has ended: `kms-patterns local start` starts it again")
        return root_session(self.layout, port=server.port, region=self.region, root_key=self.root_key).environment()


def start(
    name: str = DEFAULT,
    *,
    port: int = 0,
    region: str = REGION,
    account: str = ACCOUNT,
    persist: Path | None = None,
    delay: float = 0,
) -> dict[str, str]:
    """Start one, or find it running, and return the variables that lead a program to it as the account root.

    Args:
        name: Which one; each has keys, buckets and stacks of its own.
        port: The loopback port; 0 for a free one. With a port, address and credentials are the same at every start.
        region: The Region of its resources.
        account: The 12 digits of its account.
        persist: A folder that keeps what it stores until the next start. Defaults to nothing being kept.
        delay: For how many seconds what was just made does not work yet, as on AWS. Defaults to none.

    Raises:
        StartFailed: It could not start, or it runs with other options.
        NotOurs: Another user made the state's folder.
    """
    with _alone():
        found = running(name)
        if found is not None and found.server is not None:
            _same(found, port, region, account, delay)
            return found.environment()
        _stop(name)
        root_key = _stable_key(name, port, region, account) if port else new_root_key()
        options = ServerOptions(
            region=region,
            account=account,
            root_key=root_key,
            port=port,
            folder=_home() / name,
            persist=_kept(persist),
            delay=delay,
        )
        if port:
            # Asked for to be the same at every start: programs of other users of this machine can compute it.
            options = replace(options, root_secret=hashlib.sha256(root_key.encode()).hexdigest()[:40])
        server = launch(options, detached=True)
        started = Running(name, str(server.layout.folder), region, account, root_key, delay)
        _record(name).write_text(json.dumps(asdict(started)), encoding="utf-8")
        return started.environment()


def _kept(persist: Path | None) -> Path | None:
    if persist is not None:
        persist.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kept in sorted(persist.glob("*.json")):
            # The emulator would begin with nothing instead, and write that over what could be restored.
            try:
                json.loads(kept.read_bytes())
            except ValueError as damaged:
                raise StartFailed(f"{kept} cannot be read ({damaged}): restore it, or give another folder") from damaged
    return persist.resolve() if persist else None


def running(name: str = DEFAULT) -> Running | None:
    """Return the server that was started under ``name``, running or ended; None if none was, or it was stopped."""
    record = _record(name)
    return Running(**json.loads(record.read_text(encoding="utf-8"))) if record.exists() else None


def names() -> list[str]:
    """Return the names of all that were started and not stopped, sorted."""
    return sorted(record.stem for record in _home().glob("*.json"))


def env(name: str = DEFAULT) -> dict[str, str] | None:
    """Return the variables that lead a program to the running one, None if none is running."""
    found = running(name)
    return found.environment() if found is not None and found.server is not None else None


def stop(name: str = DEFAULT) -> bool:
    """Stop it and remove all that it stored; return whether it was running."""
    with _alone():
        return _stop(name)


def _stop(name: str) -> bool:
    found = running(name)
    if found is None:
        return False
    server = found.server
    if server is not None:
        _end(server.pid, found.layout.lock)
    shutil.rmtree(found.folder, ignore_errors=True)
    _record(name).unlink(missing_ok=True)
    return server is not None


def _same(found: Running, port: int, region: str, account: str, delay: float) -> None:
    server = found.server
    differs = [
        f"{option} {has} (asked for: {asked})"
        for option, has, asked in (
            ("Region", found.region, region),
            ("account", found.account, account),
            ("delay", found.delay, delay),
            ("port", server.port if server else 0, port or (server.port if server else 0)),
        )
        if has != asked
    ]
    if differs:
        raise StartFailed(
            f"the embedded AWS {found.name!r} runs with {', '.join(differs)}: stop it, or start another with --name"
        )


def _stable_key(name: str, port: int, region: str, account: str) -> str:
    # The CDK's command line remembers the account of an access key: another account must have another key.
    digest = hashlib.sha256(f"{os.getuid()} {name} {port} {region} {account}".encode()).hexdigest()
    return f"AKIA{digest[:16].upper()}"


def _home() -> Path:
    folder = Path(tempfile.gettempdir()).resolve() / f"kms-patterns-user-{os.getuid()}"
    found = folder.lstat() if os.path.lexists(folder) else None
    if found and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022):
        raise NotOurs(f"{folder} belongs to another user, or others may write in it; remove it or set TMPDIR")
    return folder


def _record(name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise StartFailed(f"the name {name!r} may have up to 64 letters, digits, - and _ only: it names a folder")
    return _home() / f"{name}.json"


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of the folder: of starts at the same time one starts the server, the others find it running."""
    home = _home()
    while True:
        home.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(home, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Who held the lock before may have removed the folder, and another may have made a new one.
        if home.exists() and home.stat().st_ino == os.fstat(lock).st_ino:
            break
        os.close(lock)
    try:
        yield
    finally:
        with suppress(OSError):
            home.rmdir()
        os.close(lock)


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
