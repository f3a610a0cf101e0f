"""Public keys: read, checked, used, and fetched from where they are published."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from kms_patterns.toolchain import node_executable
from kms_runtime import PublicKey, RemotePublicKey
from kms_runtime.aws_errors import IncorrectKeyException, InvalidArnException, InvalidKeyUsageException
from kms_runtime.errors import InvalidRequest, PublicKeyInvalid, ServiceUnreachable
from kms_runtime.public_keys import remote_document
from kms_runtime.public_keys.jwk import parameters, thumbprint
from tests.runtime.tokens.conftest import HttpsServer

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OAEP = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")


def der_of(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


RSA_DER = der_of(rsa.generate_private_key(65537, 2048))
KEYS = {
    "RSA_2048": ("ENCRYPT_DECRYPT", OAEP, RSA_DER),
    "ECC_NIST_P256": ("SIGN_VERIFY", ("ECDSA_SHA_256",), der_of(ec.generate_private_key(ec.SECP256R1()))),
    "ECC_NIST_P521": ("SIGN_VERIFY", ("ECDSA_SHA_512",), der_of(ec.generate_private_key(ec.SECP521R1()))),
    "ECC_SECG_P256K1": ("SIGN_VERIFY", ("ECDSA_SHA_256",), der_of(ec.generate_private_key(ec.SECP256K1()))),
    "ECC_NIST_EDWARDS25519": (
        "SIGN_VERIFY",
        ("ED25519_SHA_512", "ED25519_PH_SHA_512"),
        der_of(ed25519.Ed25519PrivateKey.generate()),
    ),
    "ML_DSA_65": ("SIGN_VERIFY", ("ML_DSA_SHAKE_256",), der_of(mldsa.MLDSA65PrivateKey.generate())),
    "ECC_NIST_P384": ("KEY_AGREEMENT", ("ECDH",), der_of(ec.generate_private_key(ec.SECP384R1()))),
}
EVERY_KEY = pytest.mark.parametrize("spec", KEYS)


def key_of(spec: str) -> PublicKey:
    usage, algorithms, der = KEYS[spec]
    return PublicKey(ARN, spec, usage, algorithms, der)


class Kms:
    """Answers GetPublicKey."""

    def __init__(self, **answer: Any) -> None:
        self.answer = {
            "KeyId": ARN,
            "KeySpec": "RSA_2048",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "EncryptionAlgorithms": list(OAEP),
            "PublicKey": RSA_DER,
        } | answer

    def get_public_key(self, *, KeyId: str) -> Mapping[str, Any]:  # noqa: N803
        assert KeyId == ARN
        return self.answer


def test_fetched_key_says_what_kms_says() -> None:
    assert PublicKey.fetch(ARN, kms_client=Kms()) == PublicKey(ARN, "RSA_2048", "ENCRYPT_DECRYPT", OAEP, RSA_DER)


def test_answer_about_another_key_is_refused() -> None:
    with pytest.raises(IncorrectKeyException, match="the response of GetPublicKey is for"):
        PublicKey.fetch(ARN, kms_client=Kms(KeyId=ARN[:-1] + "c"))


def test_alias_is_refused_before_any_call() -> None:
    with pytest.raises(InvalidArnException):
        PublicKey.fetch("alias/partners", kms_client=Kms())


@EVERY_KEY
def test_document_is_read_back(spec: str) -> None:
    key = key_of(spec)
    assert PublicKey.from_document(key.document()) == key


def test_document_names_everything_that_an_outsider_needs() -> None:
    key = key_of("RSA_2048")
    document = key.document()
    assert document == {
        "keyArn": ARN,
        "keySpec": "RSA_2048",
        "keyUsage": "ENCRYPT_DECRYPT",
        "algorithms": list(OAEP),
        "plaintextLimits": {"RSAES_OAEP_SHA_1": 214, "RSAES_OAEP_SHA_256": 190},
        "sha256": hashlib.sha256(RSA_DER).hexdigest(),
        "der": base64.b64encode(RSA_DER).decode(),
        "pem": key.pem,
        "jwk": key.jwk(),
    }
    assert load_pem_public_key(document["pem"].encode()) == key.key


def test_signing_key_has_no_plaintext_limits() -> None:
    assert "plaintextLimits" not in key_of("ECC_NIST_P256").document()


@pytest.mark.parametrize("name", ["keyArn", "keySpec", "keyUsage", "algorithms", "sha256", "der"])
def test_document_without_a_member_is_refused(name: str) -> None:
    document = {key: value for key, value in key_of("RSA_2048").document().items() if key != name}
    with pytest.raises(PublicKeyInvalid, match=name):
        PublicKey.from_document(document)


@pytest.mark.parametrize("name", ["pem", "jwk", "plaintextLimits"])
def test_document_whose_parts_disagree_is_refused(name: str) -> None:
    other = PublicKey(ARN, "RSA_3072", "ENCRYPT_DECRYPT", OAEP, der_of(rsa.generate_private_key(65537, 3072)))
    with pytest.raises(PublicKeyInvalid, match=f"{name} does not agree"):
        PublicKey.from_document(key_of("RSA_2048").document() | {name: other.document()[name]})


def test_damaged_document_is_refused() -> None:
    damaged = bytearray(RSA_DER)
    damaged[100] ^= 1
    with pytest.raises(PublicKeyInvalid, match="sha256 is not that of der: the document is damaged"):
        PublicKey.from_document(key_of("RSA_2048").document() | {"der": base64.b64encode(damaged).decode()})


def test_document_with_another_usage_is_refused() -> None:
    with pytest.raises(PublicKeyInvalid, match="keyUsage 'ANY' is not one of"):
        PublicKey.from_document(key_of("RSA_2048").document() | {"keyUsage": "ANY"})


def test_der_that_is_no_base64_is_refused() -> None:
    with pytest.raises(PublicKeyInvalid, match="not Base64"):
        PublicKey.from_document(key_of("RSA_2048").document() | {"der": "!"})


@pytest.mark.parametrize("spec", [spec for spec in KEYS if spec != "RSA_2048"])
def test_key_of_another_spec_than_the_document_says_is_refused(spec: str) -> None:
    usage, algorithms, _ = KEYS[spec]
    document = key_of("RSA_2048").document() | {"keySpec": spec, "keyUsage": usage, "algorithms": list(algorithms)}
    for name in ("pem", "jwk", "plaintextLimits"):
        del document[name]
    with pytest.raises(PublicKeyInvalid, match=f"is of RSA_2048, not of {spec}"):
        PublicKey.from_document(document)


def test_bytes_that_are_no_key_are_refused() -> None:
    with pytest.raises(PublicKeyInvalid, match="cannot be read"):
        PublicKey(ARN, "RSA_2048", "ENCRYPT_DECRYPT", OAEP, b"no key").document()


def test_limited_key_knows_fewer_algorithms() -> None:
    limited = key_of("RSA_2048").limited_to("RSAES_OAEP_SHA_256")
    assert limited.document()["plaintextLimits"] == {"RSAES_OAEP_SHA_256": 190}
    assert limited.jwk()["alg"] == "RSA-OAEP-256"
    with pytest.raises(InvalidKeyUsageException, match="RSAES_OAEP_SHA_1 is not an algorithm of"):
        limited.plaintext_limit("RSAES_OAEP_SHA_1")


@pytest.mark.parametrize(("spec", "bits"), [("RSA_2048", 2048), ("RSA_3072", 3072), ("RSA_4096", 4096)])
def test_plaintext_limit_is_that_of_kms(spec: str, bits: int) -> None:
    key = PublicKey(ARN, spec, "ENCRYPT_DECRYPT", OAEP, der_of(rsa.generate_private_key(65537, bits)))
    limits = {"RSA_2048": (214, 190), "RSA_3072": (342, 318), "RSA_4096": (470, 446)}
    assert tuple(map(key.plaintext_limit, OAEP)) == limits[spec]


def test_signing_algorithm_has_no_plaintext_limit() -> None:
    with pytest.raises(InvalidKeyUsageException, match="does not encrypt"):
        key_of("ECC_NIST_P256").plaintext_limit("ECDSA_SHA_256")


@pytest.mark.parametrize(
    ("spec", "algorithm", "expected"),
    [
        ("RSA_2048", None, None),
        ("RSA_2048", "RSAES_OAEP_SHA_1", "RSA-OAEP"),
        ("ECC_NIST_P256", None, "ES256"),
        ("ECC_NIST_P521", None, "ES512"),
        ("ECC_SECG_P256K1", None, "ES256K"),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "EdDSA"),
        ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", None),
        ("ML_DSA_65", None, "ML-DSA-65"),
        ("ECC_NIST_P384", None, None),
    ],
)
def test_jwk_states_an_algorithm_that_is_certain(spec: str, algorithm: str | None, expected: str | None) -> None:
    jwk = key_of(spec).jwk(algorithm)
    assert jwk.get("alg") == expected
    assert jwk["use"] == ("sig" if KEYS[spec][0] == "SIGN_VERIFY" else "enc")
    assert jwk["kid"] == thumbprint(parameters(key_of(spec).key))


def test_coordinates_keep_their_leading_zeros() -> None:
    small = next(key for key in map(_small_x, range(1, 5000)) if key.public_numbers().x < 1 << 248)
    assert len(parameters(small)["x"]) == 43


def _small_x(number: int) -> ec.EllipticCurvePublicKey:
    return ec.derive_private_key(number, ec.SECP256R1()).public_key()


def test_thumbprint_is_that_of_rfc_7638() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
        "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZH"
        "zu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEg"
        "U8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_thumbprint_of_something_else_is_refused() -> None:
    with pytest.raises(PublicKeyInvalid, match="RSA, EC, OKP, AKP"):
        thumbprint({"kty": "oct", "k": "AA"})


ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "examples" / "clients"
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


def test_envelope_client_refuses_a_context_that_kms_or_the_message_format_refuses() -> None:
    contexts = [{"sender": ""}, {"": "acme"}, {"aws-crypto-public-key": "a"}, {"sender": None}]
    script = (
        f"import {{ encryptStream }} from {(CLIENTS / 'envelope.mjs').as_uri()!r};"
        f"for (const context of {json.dumps(contexts)})"
        " await encryptStream([], {}, context).next().catch((error) => console.log(error.message))"
    )
    command = [str(node_executable()), "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    why = "a pair has a name, not of aws-crypto-, and a value"
    assert done.stdout.splitlines() == [
        f"{pair}: {why}" for pair in ("sender=", "=acme", "aws-crypto-public-key=a", "sender=")
    ]


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
