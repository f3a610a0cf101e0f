"""JSON Web Key Sets: what is published, and what a reader takes."""

import base64
import json

import pytest

from kms_runtime.errors import TokenKeySetInvalid, TokenKeyUnknown
from kms_runtime.tokens import ALGORITHMS, Jwks, jwks_document, verify_token

SIGNED = [name for name, known in ALGORITHMS.items() if not known.is_mac]


@pytest.fixture
def document(public_key_of):
    return jwks_document([(public_key_of(name), name) for name in SIGNED])


@pytest.fixture
def entries(document):
    """The published keys by algorithm, to be damaged."""
    return {entry["alg"]: entry for entry in json.loads(document)["keys"]}


def parsed(*entries, **members):
    return Jwks.parse(json.dumps({"keys": list(entries), **members}))


def test_published_set_has_what_readers_need_and_nothing_else(entries):
    common = {"kty", "use", "kid", "alg"}
    members = {"RSA": common | {"n", "e"}, "EC": common | {"crv", "x", "y"}, "OKP": common | {"crv", "x"}}
    assert {name: set(entry) for name, entry in entries.items()} == {
        name: members[entry["kty"]] for name, entry in entries.items()
    }
    assert {entry["use"] for entry in entries.values()} == {"sig"}
    assert [entry["kid"] for entry in entries.values()] == [f"{name.lower()}-1" for name in SIGNED]


def test_same_keys_are_the_same_bytes(document, public_key_of):
    assert jwks_document([(public_key_of(name), name) for name in SIGNED]) == document


@pytest.mark.parametrize("algorithm", SIGNED)
def test_published_key_verifies(algorithm, document, issued, expected):
    assert verify_token(issued(algorithm), keys=Jwks.parse(document), **expected)


def test_unknown_key_id_is_said_to_be_unknown(document):
    with pytest.raises(TokenKeyUnknown, match="'es256-2'"):
        Jwks.parse(document).find("es256-2")


def test_keys_for_other_uses_and_of_newer_readers_are_left_out(entries):
    newer = [
        {"kty": "AKP", "alg": "ML-DSA-65", "kid": "new", "pub": "AAAA"},
        {**entries["RS256"], "kid": "oaep", "use": "enc", "alg": "RSA-OAEP-256"},
        {**entries["RS256"], "kid": "enc", "use": "enc"},
        {"kty": "EC", "kid": "no algorithm", "crv": "P-256"},
        {"kty": "oct", "alg": "HS256", "kid": "mac"},
        {**entries["RS256"], "kid": "signs", "key_ops": ["sign"]},
        {**entries["RS256"], "kid": "wraps", "key_ops": ["encrypt", "wrapKey"]},
        {**entries["RS256"], "kid": "no list", "key_ops": "verify"},
    ]
    keys = parsed(*newer, entries["ES256"], comment="ignored")
    assert keys.find("es256-1").algorithm == "ES256"
    for entry in newer:
        with pytest.raises(TokenKeyUnknown):
            keys.find(entry["kid"])


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{}", '{"keys": {}}', '{"keys": []}', '{"keys": [7]}', '{"keys": [], "keys": []}',
        '{"keys": [{"kty": "oct", "alg": "HS256", "kid": "k", "k": "AAAA"}]}', "<html>", "\ufeff{}",
        '{"a": "' + "a" * 66_000 + '"}',
    ],
)  # fmt: skip
def test_document_that_is_no_key_set_is_refused(text):
    with pytest.raises(TokenKeySetInvalid):
        Jwks.parse(text)


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        ("ES256", {"d": "AAAA"}),
        ("RS256", {"p": "AAAA"}),
        ("ES256", {"kid": None}),
        ("ES256", {"kid": 7}),
        ("ES256", {"alg": "ES384"}),
        ("ES256", {"alg": "RS256"}),
        ("ES256", {"alg": "EdDSA"}),
        ("RS256", {"alg": "ES256"}),
        ("EdDSA", {"alg": "ES256"}),
        ("ES256", {"kty": "RSA"}),
        ("ES256", {"crv": "P-384"}),
        ("ES256", {"crv": "secp256k1"}),
        ("ES256", {"x": None}),
        ("ES256", {"x": "AAAA"}),
        ("ES256", {"x": "A" * 43}),
        ("ES256", {"y": "AA=="}),
        ("ES256", {"y": "\u0435"}),
        ("EdDSA", {"x": "AAAA"}),
        ("EdDSA", {"crv": "X25519"}),
        ("RS256", {"e": "AQ"}),
        ("RS256", {"e": ""}),
        ("RS256", {"n": "AQAB"}),
    ],
)
def test_key_that_is_not_what_it_says_is_refused(algorithm, changes, entries):
    with pytest.raises(TokenKeySetInvalid):
        parsed({**entries[algorithm], **changes})


def test_key_for_verification_says_so_in_its_operations(entries):
    assert parsed({**entries["ES256"], "key_ops": ["verify"]}).find("es256-1")


@pytest.mark.parametrize(
    "leaked",
    [
        {"kty": "oct", "alg": "HS256", "kid": "mac", "k": "AAAA"},
        {"kty": "RSA", "use": "enc", "alg": "RSA-OAEP-256", "kid": "oaep", "n": "AAAA", "e": "AQAB", "d": "AAAA"},
        {"kty": "AKP", "alg": "ML-DSA-65", "kid": "new", "pub": "AAAA", "priv": "AAAA"},
    ],
    ids=lambda entry: entry["kid"],
)
def test_secret_of_a_key_that_is_left_out_is_an_alarm_too(leaked, entries):
    with pytest.raises(TokenKeySetInvalid, match=r"holds a private key \((k|d|priv)\)"):
        parsed(entries["ES256"], leaked)


@pytest.mark.parametrize("name", ["x", "y"])
def test_coordinate_has_the_length_of_the_curve(name, entries):
    coordinate = base64.urlsafe_b64decode(entries["ES384"][name])
    longer = base64.urlsafe_b64encode(b"\0" + coordinate).rstrip(b"=").decode()
    with pytest.raises(TokenKeySetInvalid, match="another length than 48 bytes"):
        parsed({**entries["ES384"], name: longer})


def test_document_has_a_limit(entries):
    assert parsed(entries["ES256"], comment="a" * 60_000)
    with pytest.raises(TokenKeySetInvalid, match="at most 65536"):
        parsed(entries["ES256"], comment="a" * 66_000)


@pytest.mark.parametrize("wrong", [{"kty": "FUTURE"}, {"kid": None}, {"x": "AAAA"}, {"crv": "P-999"}, {"y": 5}])
def test_key_that_cannot_be_used_is_left_out_and_the_others_stay(wrong, entries):
    other = {**entries["ES384"], **wrong}
    keys = parsed(entries["ES256"], other)
    assert keys.find("es256-1").algorithm == "ES256"
    with pytest.raises(TokenKeyUnknown):
        keys.find("es384-1")
    with pytest.raises(TokenKeySetInvalid, match="no key to verify tokens with"):
        parsed(other)


@pytest.mark.parametrize("around", ["{}\n", " {}", "\r\n\t {} \r\n"])
def test_white_space_around_a_key_set_is_read(around, entries):
    document = around.replace("{}", json.dumps({"keys": [entries["ES256"]]}, indent=2))
    assert Jwks.parse(document).find("es256-1")
    assert Jwks.parse(document.encode()).find("es256-1")


@pytest.mark.parametrize(
    "document", ['{"keys":["\ud800"]}', "\ud800", '{"keys":["\\ud800"]}', "", "\n", '{"keys":[]} x']
)
def test_document_that_is_no_key_set_is_refused_by_its_error(document):
    with pytest.raises(TokenKeySetInvalid):
        Jwks.parse(document)


def test_weak_rsa_key_is_refused(entries):
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    from kms_runtime.public_keys.jwk import parameters  # noqa: PLC0415

    weak = parameters(rsa.generate_private_key(65537, 1024).public_key())
    with pytest.raises(TokenKeySetInvalid, match="1024 bits"):
        parsed({**entries["RS256"], **weak})


def test_two_keys_with_one_id_are_refused(entries):
    with pytest.raises(TokenKeySetInvalid, match="2 keys with 1 key ids"):
        parsed(entries["ES256"], {**entries["ES384"], "kid": "es256-1"})


def test_rsa_key_has_the_one_algorithm_that_its_issuer_chose(public_key_of, issued, expected):
    keys = Jwks.of([(public_key_of("RS256"), "RS256"), (public_key_of("PS256"), "PS256")])
    assert verify_token(issued("RS256"), keys=keys, **expected).algorithm == "RS256"
    assert keys.find("ps256-1").algorithm == "PS256"
