"""The clients of examples/, as their users run them, outside of AWS: programs, and the page in a headless browser."""

import base64
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
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
from demo.principals import ask_until_published
from demo.scenario import Stage
from kms_patterns.local.aws_session import local_address
from kms_patterns.toolchain import node_executable
from tests.browser import Browser, started

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "examples" / "clients"
LIMIT = 318
pytestmark = pytest.mark.end_to_end

PYTHON = [sys.executable, str(CLIENTS / "encrypt.py")]
NODE = [str(node_executable()), str(CLIENTS / "encrypt.mjs")]
OPENSSL = ["sh", str(CLIENTS / "encrypt_openssl.sh")]
needs_openssl = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")), reason="no OpenSSL or curl: `apt-get install openssl curl`"
)
SECRETS = pytest.mark.parametrize(
    ("client", "form"),
    [
        pytest.param(PYTHON, "json", id="python"),
        pytest.param(NODE, "json", id="node"),
        pytest.param(OPENSSL, "pem", id="openssl", marks=needs_openssl),
    ],
)
FILES = pytest.mark.parametrize(
    "client",
    [
        pytest.param([sys.executable, str(CLIENTS / "encrypt_file.py")], id="python"),
        pytest.param([str(node_executable()), str(CLIENTS / "encrypt_file.mjs")], id="node"),
    ],
)


def address(stage: Stage, stack: str, form: str = "json") -> str:
    """The address of a published key on this machine, once the key is there."""
    url = stage.output(stack, "PublicKeyUrl")
    assert ask_until_published(stage, url).status == 200
    return local_address(url, stage.aws.endpoint_url).removesuffix("json") + form


def outside(stage: Stage, *command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a client that knows the certificate authority of the embedded AWS and nothing else of it."""
    trust = dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(stage.aws.ca_bundle))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "lambda"), "NO_PROXY": "127.0.0.1", **trust}
    return subprocess.run(command, input=given, env=environment, capture_output=True, check=False)


@SECRETS
def test_secret_encrypted_outside_aws_is_decrypted_by_the_function(client: list[str], form: str, stage: Stage) -> None:
    secret, where = os.urandom(LIMIT), address(stage, "PublicKey", form)
    before = len(stage.aws.kms_calls())
    done = outside(stage, *client, where, given=secret)
    assert done.returncode == 0, done.stderr
    assert len(stage.aws.kms_calls()) == before
    assert decrypt(stage, base64.b64decode(done.stdout)) == secret


@SECRETS
def test_client_refuses_a_secret_that_is_too_large(client: list[str], form: str, stage: Stage) -> None:
    done = outside(stage, *client, address(stage, "PublicKey", form), given=bytes(LIMIT + 1))
    assert done.returncode != 0
    assert done.stdout == b""
    assert b"318" in done.stderr or b"data too large for key size" in done.stderr


@SECRETS
def test_client_refuses_an_address_without_tls(client: list[str], form: str, stage: Stage) -> None:
    insecure = address(stage, "PublicKey", form).replace("https:", "http:")
    done = outside(stage, *client, insecure, given=b"secret")
    assert done.returncode != 0
    assert done.stdout == b""


@needs_openssl
def test_openssl_client_refuses_a_key_that_is_not_the_expected_one(stage: Stage) -> None:
    where = address(stage, "PublicKey", "pem")
    done = outside(stage, *OPENSSL, where, hashlib.sha256(b"another").hexdigest(), given=b"secret")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"is the key" in done.stderr


def test_python_client_needs_no_aws_sdk(stage: Stage) -> None:
    script = (
        "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
        "assert not {'boto3', 'botocore'} & set(sys.modules), 'the AWS SDK was loaded'"
    )
    done = outside(stage, sys.executable, "-c", script, PYTHON[1], address(stage, "PublicKey"), given=b"secret")
    assert done.returncode == 0, done.stderr


@FILES
@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 1_000_003])
def test_file_encrypted_outside_aws_is_opened_by_the_function(
    client: list[str], size: int, stage: Stage, tmp_path: Path
) -> None:
    file, message = tmp_path / "letter", tmp_path / "letter.encrypted"
    file.write_bytes(os.urandom(size))
    where, before = address(stage, "RsaEnvelope"), len(stage.aws.kms_calls())
    done = outside(stage, *client, where, str(file), str(message), "Zoë")
    assert done.returncode == 0, done.stderr
    assert len(stage.aws.kms_calls()) == before
    key = f"{Path(client[1]).suffix}-{size}"
    deliver(stage, f"{key}.encrypted", message.read_bytes())
    open_delivered(stage, f"{key}.encrypted", {"sender": "Zoë"})
    assert opened_digest(stage, key) == hashlib.sha256(file.read_bytes()).hexdigest()


def run_example(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "encrypt_file.py"), *arguments]
    environment = {**os.environ, **stage.aws.environment(), "PYTHONPATH": str(ROOT / "lambda")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_file_comes_back_and_its_message_is_ciphertext(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(b"Meet me at noon. " * 100_000)
    done = run_example(stage, stage.output("Envelope", "KeyArn"), str(file), "a")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "letter.txt.decrypted").read_bytes() == file.read_bytes()
    assert b"Meet me at noon" not in (tmp_path / "letter.txt.encrypted").read_bytes()
    last = [call["action"] for call in stage.aws.kms_calls()][-2:]
    assert last == ["kms:GenerateDataKey", "kms:Decrypt"]


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
