"""A KMS in memory with real key pairs and HMAC keys, one per algorithm of tokens, its calls recorded; and HTTPS."""

import base64
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_patterns.local.layout import Layout
from kms_patterns.local.server_process import write_certificates
from kms_runtime.errors import TokenRefused
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.tokens import ALGORITHMS, Jwks, issue_token, verify_token


class HttpsServer:
    """A loopback HTTPS server; ``answers``: path -> status, headers and body, or a function that makes them.

    A body may be an iterator of pieces, which are sent as they come.
    """

    def __init__(self, folder: Path) -> None:
        layout = Layout(folder)
        write_certificates(layout)
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(layout.certificate, layout.private_key)
        self.server_context = context
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self.authority = layout.authority
        self.context = ssl.create_default_context(cafile=str(layout.authority))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                owner.requests.append((self.path, headers))
                answer = owner.answers[self.path]
                status, sent, body = answer(headers) if callable(answer) else answer
                self.send_response(status)
                whole = isinstance(body, bytes)
                for name, value in {**sent, **({"Content-Length": str(len(body))} if whole else {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):
                    for piece in [body] if whole else body:
                        self.wfile.write(piece)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://issuer.example", "orders"
SIGNED = [name for name, known in ALGORITHMS.items() if not known.is_mac]
MACS = [name for name, known in ALGORITHMS.items() if known.is_mac]
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
ML_DSA = {f"ML-DSA-{size}": getattr(mldsa, f"MLDSA{size}PrivateKey") for size in (44, 65, 87)}
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def arn_of(algorithm: str, generation: int = 1) -> str:
    return f"arn:aws:kms:eu-west-1:111122223333:key/{algorithm.lower()}-{generation}"


@cache
def pair_of(arn: str) -> Any:
    name = arn.rsplit("/", 1)[1].rpartition("-")[0].upper()
    if name in ML_DSA:
        return ML_DSA[name].generate()
    if name in CURVES:
        return ec.generate_private_key(CURVES[name])
    return ed25519.Ed25519PrivateKey.generate() if name == "EDDSA" else rsa.generate_private_key(65537, 2048)


def secret_of(arn: str) -> bytes:
    return arn.encode().ljust(64, b"\0")


class TokenKms:
    """Stands for ``boto3.client("kms")``; ``failures`` maps a key ARN or an operation to an error code."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failures: dict[str, str] = {}

    def sign(self, **request: Any) -> dict[str, Any]:
        self._record("Sign", request)
        key, algorithm, message = pair_of(request["KeyId"]), request["SigningAlgorithm"], request["Message"]
        assert request["MessageType"] == "RAW"
        assert 1 <= len(message) <= 4096
        return {"KeyId": request["KeyId"], "Signature": key.sign(message, *schemes(algorithm))}

    def get_public_key(self, **request: Any) -> dict[str, Any]:
        self._record("GetPublicKey", request)
        key = public_key(request["KeyId"])
        return {
            "KeyId": key.key_arn, "KeySpec": key.key_spec, "KeyUsage": key.key_usage, "PublicKey": key.der,
            "SigningAlgorithms": list(key.algorithms),
        }  # fmt: skip

    def generate_mac(self, **request: Any) -> dict[str, Any]:
        self._record("GenerateMac", request)
        return {"KeyId": request["KeyId"], "Mac": self._mac(request)}

    def verify_mac(self, **request: Any) -> dict[str, Any]:
        self._record("VerifyMac", request)
        if not hmac.compare_digest(request["Mac"], self._mac(request)):
            raise self.error("KMSInvalidMacException", "VerifyMac")
        return {"KeyId": request["KeyId"], "MacValid": True}

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    @staticmethod
    def error(code: str, operation: str) -> ClientError:
        return ClientError({"Error": {"Code": code, "Message": f"{code} from the fake"}}, operation)

    @staticmethod
    def _mac(request: dict[str, Any]) -> bytes:
        return hmac.digest(secret_of(request["KeyId"]), request["Message"], f"sha{request['MacAlgorithm'][-3:]}")

    def _record(self, operation: str, request: dict[str, Any]) -> None:
        self.calls.append((operation, request))
        code = self.failures.get(request["KeyId"]) or self.failures.get(operation)
        if code:
            raise self.error(code, operation)


def schemes(kms_name: str) -> tuple[Any, ...]:
    """The arguments of ``cryptography`` for an algorithm of KMS."""
    if kms_name.startswith("ML_DSA"):
        return ()
    digest = HASHES[kms_name[-3:]]
    if kms_name.startswith("ECDSA"):
        return (ec.ECDSA(digest),)
    if kms_name.startswith("RSASSA_PSS"):
        return padding.PSS(padding.MGF1(digest), digest.digest_size), digest
    return (padding.PKCS1v15(), digest) if kms_name.startswith("RSA") else ()


def public_key(arn: str) -> PublicKey:
    name = next(name for name in SIGNED if arn.rsplit("/", 1)[1].startswith(f"{name.lower()}-"))
    der = pair_of(arn).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    known = ALGORITHMS[name]
    names = tuple(ALGORITHMS[other].kms_name for other in SIGNED if ALGORITHMS[other].key_specs == known.key_specs)
    return PublicKey(arn, known.key_specs[0], "SIGN_VERIFY", names, der)


@pytest.fixture
def kms() -> TokenKms:
    return TokenKms()


@pytest.fixture
def issued(kms):
    """Issue a token at NOW, 900 seconds valid; keywords change what is issued."""

    def issue(algorithm="ES256", generation=1, claims=None, **changes):
        given = {"issuer": ISSUER, "subject": "customer-1", "audience": AUDIENCE, "lifetime": 900, "now": NOW}
        arn = arn_of(algorithm, generation)
        made = issue_token(claims or {}, key_arn=arn, algorithm=algorithm, kms_client=kms, **(given | changes))
        return made.token

    return issue


@pytest.fixture(scope="session")
def key_set():
    """The key set of the first key of every algorithm."""
    return Jwks.of([(public_key(arn_of(name)), name) for name in SIGNED])


@pytest.fixture(scope="session")
def expected():
    """What a reader expects of the tokens of ``issued``, at the time of their issuing."""
    return {"issuer": ISSUER, "audience": AUDIENCE, "now": NOW}


@pytest.fixture(scope="session")
def arns():
    return arn_of


@pytest.fixture(scope="session")
def public_key_of():
    return lambda algorithm, generation=1: public_key(arn_of(algorithm, generation))


@pytest.fixture(scope="session", name="pair_of")
def pair_of_fixture():
    return lambda algorithm, generation=1: pair_of(arn_of(algorithm, generation))


@pytest.fixture(scope="session")
def signed_by():
    """Sign any header and claims as whoever has the key would, whatever nonsense they are."""

    def sign(signing_input: bytes, algorithm="ES256", generation=1) -> bytes:
        from kms_runtime.signatures.elliptic_curves import der_to_raw  # noqa: PLC0415

        known = ALGORITHMS[algorithm]
        made = pair_of(arn_of(algorithm, generation)).sign(signing_input, *schemes(known.kms_name))
        return der_to_raw(made, key_spec=known.key_specs[0]) if known.kms_name.startswith("ECDSA") else made

    return sign


@pytest.fixture(scope="session")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsServer]:
    server = HttpsServer(tmp_path_factory.mktemp("https"))
    yield server
    server.stop()


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def as_json(members):
    return json.dumps(members, separators=(",", ":")).encode()


@pytest.fixture
def code_of(key_set, expected):
    """Verify a token that must be refused, and return the error's code."""

    def verify(token, **changes):
        with pytest.raises(TokenRefused) as caught:
            verify_token(token, keys=key_set, **(expected | changes))
        assert type(caught.value).__name__ == caught.value.code
        return caught.value.code

    return verify


@pytest.fixture
def made(signed_by):
    """A genuinely signed token of any header and claims, given as members or as bytes."""

    def make(header=None, claims=None, algorithm="ES256"):
        head = {"alg": algorithm, "kid": f"{algorithm.lower()}-1", "typ": "JWT"}
        head = header if isinstance(header, bytes) else as_json({**head, **(header or {})})
        body = {"iss": "https://issuer.example", "sub": "c", "aud": "orders", "iat": NOW, "exp": NOW + 900}
        body = claims if isinstance(claims, bytes) else as_json({**body, **(claims or {})})
        message = f"{text(head)}.{text(body)}"
        return f"{message}.{text(signed_by(message.encode(), algorithm))}"

    return make
