"""The page of examples/clients in a headless browser: what it encrypts, the deployed functions decrypt."""

import base64
import hashlib
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from demo.groups.rsa_envelopes import deliver, open_delivered, opened_digest
from demo.groups.rsa_secrets import decrypt
from demo.scenario import Stage
from demo.web import ask_until_published
from kms_patterns.local.function_urls import local_address

CLIENTS = Path(__file__).parents[2] / "examples" / "clients"
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: `apt-get install chromium`"),
]
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]

# The page runs in a frame as it is; this one fills its fields, presses its buttons and tells what it showed.
DRIVER = """<!doctype html><body><script type="module">
const given = GIVEN
const frame = document.createElement('iframe')
frame.src = '/encrypt.html'
await new Promise((resolve) => { frame.onload = resolve; document.body.append(frame) })
const page = frame.contentDocument
const at = (id) => page.getElementById(id)
at('address').value = given.address
at('secret').value = given.secret
at('sender').value = 'page'
if (given.file !== null) {
  const files = new frame.contentWindow.DataTransfer()
  files.items.add(new frame.contentWindow.File([Uint8Array.from(atob(given.file), (c) => c.charCodeAt(0))], 'letter'))
  at('file').files = files.files
}
at(given.file === null ? 'encrypt-secret' : 'encrypt-file').click()
const shown = () => at('ciphertext').textContent || at('error').textContent || !at('message').hidden
while (!shown()) await new Promise((resolve) => setTimeout(resolve, 20))
let message = null
if (!at('message').hidden) {
  const bytes = new Uint8Array(await (await fetch(at('message').href)).arrayBuffer())
  message = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
}
const answer = { ciphertext: at('ciphertext').textContent, error: at('error').textContent, message }
await fetch('/answer', { method: 'POST', body: JSON.stringify(answer) })
</script>"""


class Pages(SimpleHTTPRequestHandler):
    """Serves the clients as they are, the driver, and takes its answer."""

    driver = ""
    answers: Queue[dict[str, Any]]

    def do_GET(self) -> None:
        if self.path != "/driver.html":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.driver.encode())

    def do_POST(self) -> None:
        self.answers.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def pages() -> Iterator[tuple[str, type[Pages]]]:
    """A web site with the clients: pages from loopback are a secure context, which WebCrypto needs."""
    handler = type("TestedPages", (Pages,), {"answers": Queue()})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(CLIENTS))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


def certificate_pin(endpoint_url: str) -> str:
    """The only certificate that the browser is to trust besides those it knows: that of the embedded AWS."""
    where = urlsplit(endpoint_url)
    assert where.hostname
    assert where.port
    certificate = load_pem_x509_certificate(ssl.get_server_certificate((where.hostname, where.port)).encode())
    public_key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public_key).digest()).decode()


@pytest.fixture
def use_page(stage: Stage, pages: tuple[str, type[Pages]], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Fill in the page and return what it shows; without a file, the secret's button is pressed."""
    site, handler = pages

    def use(stack: str, *, secret: str = "", file: bytes | None = None) -> dict[str, Any]:
        url = stage.output(stack, "PublicKeyUrl")
        assert ask_until_published(stage, url).status == 200
        given = {
            "address": local_address(url, stage.aws.endpoint_url),
            "secret": secret,
            "file": None if file is None else base64.b64encode(file).decode(),
        }
        handler.driver = DRIVER.replace("GIVEN", json.dumps(given))
        pin = f"--ignore-certificate-errors-spki-list={certificate_pin(stage.aws.endpoint_url)}"
        command = [str(BROWSER), *OPTIONS, pin, f"--user-data-dir={tmp_path / 'profile'}", f"{site}/driver.html"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as browser:
            try:
                return handler.answers.get(timeout=60)
            finally:
                browser.terminate()

    return use


def test_secret_encrypted_in_the_page_is_decrypted_by_the_function(
    use_page: Callable[..., dict[str, Any]], stage: Stage
) -> None:
    secret = "größtes Geheimnis " * 15
    before = len(stage.aws.kms_calls())
    shown = use_page("PublicKey", secret=secret)
    assert shown["error"] == ""
    assert len(stage.aws.kms_calls()) == before
    assert decrypt(stage, base64.b64decode(shown["ciphertext"])).decode() == secret


def test_page_refuses_a_secret_that_is_too_large(use_page: Callable[..., dict[str, Any]]) -> None:
    shown = use_page("PublicKey", secret="x" * 319)
    assert shown == {
        "ciphertext": "",
        "error": "the secret has 319 bytes; this key takes 1 to 318: encrypt more as a file",
        "message": None,
    }


def test_file_encrypted_in_the_page_is_opened_by_the_function(
    use_page: Callable[..., dict[str, Any]], stage: Stage
) -> None:
    file = os.urandom(600_001)
    shown = use_page("RsaEnvelope", file=file)
    assert shown["error"] == ""
    deliver(stage, "page.encrypted", base64.b64decode(shown["message"]))
    open_delivered(stage, "page.encrypted", {"sender": "page"})
    assert opened_digest(stage, "page") == hashlib.sha256(file).hexdigest()
