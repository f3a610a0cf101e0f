"""Start the server as a child process, wait until it serves, and end it with nothing left behind."""

import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from kms_patterns.local.layout import DELAY_VARIABLE, MALLOC, NODE_MODULES_VARIABLE, Layout

START_SECONDS = 60.0
STOP_SECONDS = 10.0
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH")


class StartFailed(RuntimeError):
    """The server did not start; the message ends with what it printed."""


@dataclass(frozen=True)
class ServerState:
    """Where a running server is."""

    port: int
    pid: int
    token: str


@dataclass(frozen=True)
class ServerProcess:
    """One server and its folder."""

    layout: Layout
    state: ServerState
    process: "subprocess.Popen[bytes]"

    def stop(self) -> None:
        """End the server and remove its folder. May be called again."""
        if self.process.stdin:
            self.process.stdin.close()
        end_process(self.process, STOP_SECONDS)
        shutil.rmtree(self.layout.folder, ignore_errors=True)


@dataclass(frozen=True)
class ServerOptions:
    """How a server is started.

    Args:
        region: The Region of its resources.
        account: The 12 digits of its account.
        root_key: The access key id of its account root.
        directory: Where to make its temporary folder. Defaults to where Python makes temporary folders.
        port: Its loopback port; 0 for a free one.
        folder: The folder itself, instead of a new temporary one; removed if it exists.
        persist: Where to keep what it stores from one start to the next. Defaults to nowhere.
        delay: For how many seconds what was just made does not work yet, as on AWS. Defaults to none.
        root_secret: The secret access key of its account root. Defaults to one that is not guessable.
    """

    region: str
    account: str
    root_key: str
    directory: Path | None = None
    port: int = 0
    folder: Path | None = None
    persist: Path | None = None
    delay: float = 0
    root_secret: str = field(default_factory=lambda: secrets.token_urlsafe(30))

    def make_folder(self) -> Path:
        """Return the server's new, empty folder."""
        if self.folder is None:
            return Path(tempfile.mkdtemp(prefix="kms-patterns-", dir=self.directory)).resolve()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700)
        return self.folder


def write_certificates(layout: Layout) -> None:
    """Write an authority of its own, and the server's certificate with its key. The authority's key is not kept."""
    import trustme  # noqa: PLC0415 - of the extra "local", without which a start says what is missing

    authority = trustme.CA(
        organization_name="kms-patterns embedded AWS", organization_unit_name="authority of one server"
    )
    server = authority.issue_cert("localhost", "127.0.0.1")
    paths = ssl.get_default_verify_paths()
    system = Path(paths.cafile or paths.openssl_cafile)
    authority.cert_pem.write_to_path(layout.authority)
    layout.trust_store.write_bytes(
        (system.read_bytes() + b"\n" if system.is_file() else b"") + authority.cert_pem.bytes()
    )
    server.cert_chain_pems[0].write_to_path(layout.certificate)
    layout.private_key.touch(mode=0o600)
    server.private_key_pem.write_to_path(layout.private_key)


def launch(options: ServerOptions, *, detached: bool = False) -> ServerProcess:
    """Start a server; ``detached``: it does not end with this process.

    Raises:
        StartFailed: It is not installed, it ended, or it did not serve within a minute.
    """
    if find_spec("ministack") is None:
        raise StartFailed("the embedded AWS is not installed: pip install 'cdk-kms-patterns[local]'")
    layout = Layout(options.make_folder())
    layout.home.mkdir()
    layout.temporary.mkdir()
    write_certificates(layout)
    layout.write_secret(options.root_secret)
    command = [sys.executable, "-P", "-m", "kms_patterns.local.server", str(layout.folder), "--port", str(options.port)]
    with layout.output.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--detached"] if detached else command,
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=layout.folder,
            env=server_environment(layout, options),
            # What it keeps may lie in a folder that others may read, and holds keys.
            umask=0o077,
            # Its own group: Ctrl-C reaches the parent only, and the server's end reaches its children only.
            start_new_session=True,
        )
    try:
        return ServerProcess(layout, _wait(layout, process), process)
    except BaseException:
        end_process(process, 0)
        shutil.rmtree(layout.folder, ignore_errors=True)
        raise


def server_environment(layout: Layout, options: ServerOptions) -> dict[str, str]:
    """Return the server's whole environment; Lambda functions inherit it, so nothing of the user's leaks in."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": options.root_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SECRET_ACCESS_KEY": options.root_secret,
        # The emulator removes Docker containers that it takes for its own, at its start and end.
        "DOCKER_HOST": f"unix://{layout.folder / 'no-docker.sock'}",
        "HOME": str(layout.home),
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.2",
        "LOG_LEVEL": "WARNING",
        **MALLOC,
        "MINISTACK_ACCOUNT_ID": options.account,
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": options.region,
        "MINISTACK_SSL_CERT": str(layout.certificate),
        "MINISTACK_SSL_KEY": str(layout.private_key),
        **({DELAY_VARIABLE: str(options.delay)} if options.delay else {}),
        NODE_MODULES_VARIABLE: str(_node_modules() or ""),
        "PYTHONDONTWRITEBYTECODE": "1",
        **({"PERSIST_STATE": "1", "S3_PERSIST": "1"} if options.persist else {}),
        # By default the emulator reads and writes these below /tmp, where other servers and users find them.
        "S3_DATA_DIR": str((options.persist or layout.emulator_state) / "s3"),
        "STATE_DIR": str(options.persist or layout.emulator_state),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TMPDIR": str(layout.temporary),
        "USE_SSL": "1",
    }


def _node_modules() -> Path | None:
    # The project's, or, in a checkout of ours, ours: what `npm install` put there.
    here = [Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents]
    return next((folder / "node_modules" for folder in here if (folder / "node_modules/@aws-sdk").is_dir()), None)


def _wait(layout: Layout, process: "subprocess.Popen[bytes]") -> ServerState:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if layout.state.exists():
            return ServerState(**json.loads(layout.state.read_text(encoding="utf-8")))
        if process.poll() is not None:
            break
        time.sleep(0.02)
    printed = layout.output.read_text(encoding="utf-8", errors="replace") if layout.output.exists() else ""
    raise StartFailed(f"the embedded AWS did not start: {printed.strip()[-2000:] or 'it printed nothing'}")


def end_process(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Let a server end by itself for ``seconds``, then end its whole process group."""
    if seconds and process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
