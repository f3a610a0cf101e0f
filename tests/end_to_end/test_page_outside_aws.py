"""The page of examples/clients in a headless browser: what it encrypts, the deployed functions decrypt."""

import base64
import hashlib
import json
import os
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
from tests.browser import Browser, started

CLIENTS = Path(__file__).parents[2] / "examples" / "clients"
pytestmark = pytest.mark.end_to_end

# Fills the fields of the page, presses its button, and returns what it shows.
FILL_IN = """(async (given) => {
  const at = (id) => document.getElementById(id)
  at('address').value = given.address
  at('secret').value = given.secret
  at('sender').value = 'page'
  if (given.file !== null) {
    const files = new DataTransfer()
    files.items.add(new File([Uint8Array.from(atob(given.file), (c) => c.charCodeAt(0))], 'letter'))
    at('file').files = files.files
  }
  // The policy of the page forbids it to fetch what it offers for download.
  const offered = []
  const create = URL.createObjectURL
  URL.createObjectURL = (blob) => { offered.push(blob); return create.call(URL, blob) }
  at(given.file === null ? 'encrypt-secret' : 'encrypt-file').click()
  const shown = () => at('ciphertext').textContent || at('error').textContent || !at('message').hidden
  while (!shown()) await new Promise((resolve) => setTimeout(resolve, 20))
  let message = null
  if (!at('message').hidden) {
    const bytes = new Uint8Array(await offered.at(-1).arrayBuffer())
    message = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
  }
  return { ciphertext: at('ciphertext').textContent, error: at('error').textContent, message }
})(GIVEN)"""


class Pages(SimpleHTTPRequestHandler):
    """Serves the clients as they are."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """A web site with the clients: pages from loopback are a secure context, which WebCrypto needs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=str(CLIENTS))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def certificate_pin(endpoint_url: str) -> str:
    """The only certificate that the browser is to trust besides those it knows: that of the embedded AWS."""
    where = urlsplit(endpoint_url)
    assert where.hostname
    assert where.port
    certificate = load_pem_x509_certificate(ssl.get_server_certificate((where.hostname, where.port)).encode())
    public_key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public_key).digest()).decode()


@pytest.fixture(scope="module")
def browser(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pin = f"--ignore-certificate-errors-spki-list={certificate_pin(stage.aws.endpoint_url)}"
    with started(tmp_path_factory.mktemp("profile"), [pin]) as browser:
        yield browser


@pytest.fixture
def use_page(stage: Stage, site: str, browser: Browser) -> Callable[..., dict[str, Any]]:
    """Fill in the page and return what it shows; without a file, the secret's button is pressed."""

    def use(stack: str, *, secret: str = "", file: bytes | None = None) -> dict[str, Any]:
        url = stage.output(stack, "PublicKeyUrl")
        assert ask_until_published(stage, url).status == 200
        given = {
            "address": local_address(url, stage.aws.endpoint_url),
            "secret": secret,
            "file": None if file is None else base64.b64encode(file).decode(),
        }
        shown: dict[str, Any] = browser.run(f"{site}/encrypt.html", FILL_IN.replace("GIVEN", json.dumps(given)))
        return shown

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
