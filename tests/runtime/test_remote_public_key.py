"""RemotePublicKey and the clients without AWS: what they believe of an address, and how often they ask it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_patterns.toolchain import node_executable
from kms_runtime import PublicKey, RemotePublicKey
from kms_runtime.errors import InvalidRequest, PublicKeyInvalid, ServiceUnreachable
from kms_runtime.public_keys import remote_document
from tests.runtime.tokens.https_server import HttpsServer

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "examples" / "clients"
ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OAEP = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
PATH = "/partners.json"
PYTHON = [sys.executable, str(CLIENTS / "encrypt.py")]
NODE = [str(node_executable()), str(CLIENTS / "encrypt.mjs")]
ENVELOPE = [str(node_executable()), str(CLIENTS / "encrypt_file.mjs")]


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsServer]:
    server = HttpsServer(tmp_path_factory.mktemp("https"))
    yield server
    server.stop()


@pytest.fixture
def key(rsa_pair: rsa.RSAPrivateKey) -> PublicKey:
    der = rsa_pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(ARN, "RSA_2048", "ENCRYPT_DECRYPT", OAEP, der)


@pytest.fixture(autouse=True)
def says(https: HttpsServer, key: PublicKey) -> Any:
    """Have the address answer otherwise; ``says()`` makes it publish the key."""

    def answer(status: int = 200, body: bytes | None = None, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        https.answers[PATH] = status, named, json.dumps(key.document()).encode() if body is None else body

    https.requests.clear()
    answer(cache_control="public, max-age=60", etag='"one"')
    return answer


@pytest.fixture
def remote(https: HttpsServer) -> RemotePublicKey:
    return RemotePublicKey(https.url + PATH, ssl_context=https.context)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    made = Clock()
    monkeypatch.setattr(remote_document, "time", made)
    return made


def test_key_is_asked_for_once_within_its_age_and_then_by_its_etag(
    remote: RemotePublicKey, https: HttpsServer, clock: Any, says: Any, key: PublicKey
) -> None:
    assert [remote.get(), remote.get()] == [key, key]
    says(304, b"", cache_control="max-age=60", etag='"one"')
    clock.now += 61
    assert [remote.get(), remote.get()] == [key, key]
    assert [headers.get("if-none-match") for _, headers in https.requests] == [None, '"one"']


def test_known_key_outlives_an_outage_but_not_for_ever(
    remote: RemotePublicKey, clock: Any, says: Any, key: PublicKey
) -> None:
    remote.get()
    says(500, b"")
    clock.now += 3000
    assert remote.get() == key
    clock.now += 3000
    with pytest.raises(ServiceUnreachable, match="too old"):
        remote.get()


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"<html>", "is not JSON"), (b"[]", "is not a JSON object"), (b"{}", "keyArn"), (b" " * 70_000, "65536 bytes")],
)
def test_what_is_no_key_is_refused(remote: RemotePublicKey, says: Any, body: bytes, reason: str) -> None:
    says(200, body)
    with pytest.raises(PublicKeyInvalid, match=reason):
        remote.get()


def test_key_that_is_not_the_expected_one_is_refused(https: HttpsServer, key: PublicKey) -> None:
    options = {"ssl_context": https.context}
    assert RemotePublicKey(https.url + PATH, sha256=key.sha256, **options).get() == key
    with pytest.raises(PublicKeyInvalid, match=f"is the key {key.sha256}, not 00"):
        RemotePublicKey(https.url + PATH, sha256="00", **options).get()


def test_address_without_tls_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="does not start with https://"):
        RemotePublicKey("http://127.0.0.1/partners.json")


def client(https: HttpsServer, *command: str) -> subprocess.CompletedProcess[bytes]:
    trust = dict.fromkeys(("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), str(https.authority))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "lambda"), "NO_PROXY": "127.0.0.1", **trust}
    return subprocess.run(command, input=b"secret", env=environment, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("command", [PYTHON, NODE, ENVELOPE], ids=["python", "node", "envelope"])
def test_client_follows_no_redirect(https: HttpsServer, says: Any, command: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"secret")
    arguments = [str(tmp_path / "file"), str(tmp_path / "message"), "me"] if command is ENVELOPE else []
    says(302, b"", location=f"{https.url}/elsewhere.json")
    https.answers["/elsewhere.json"] = 200, {}, b"{}"
    done = client(https, *command, https.url + PATH, *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert [path for path, _ in https.requests] == [PATH]


@pytest.mark.parametrize("command", [PYTHON, NODE], ids=["python", "node"])
def test_client_encrypts_with_no_algorithm_that_the_key_is_not_for(
    https: HttpsServer, says: Any, key: PublicKey, command: list[str]
) -> None:
    says(200, json.dumps(key.limited_to("RSAES_OAEP_SHA_1").document()).encode())
    done = client(https, *command, https.url + PATH)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"RSAES_OAEP_SHA_256" in done.stderr
