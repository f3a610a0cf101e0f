"""A token has one spelling; verify_token refuses every other input with an error of its own."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_runtime.errors import TokenKeySetInvalid, TokenRefused
from kms_runtime.tokens import Jwks, jwks_document, verify_token

HEADER = b'"alg":"ES256","kid":"es256-1","typ":"JWT"'
CLAIMS = b'"iss":"https://issuer.example","aud":"orders","exp":1800000900'


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (b"{" + HEADER + b',"kid":"es256-1"}', None),
        (b"{" + HEADER + b"}\n", None),
        (b"[" + HEADER + b"]", None),
        (b'"ES256"', None),
        (b"", None),
        ("{" + HEADER.decode() + "}").encode("utf-16") and (b"\xef\xbb\xbf{" + HEADER + b"}", None),
        (None, b"{" + CLAIMS + b',"exp":1900000000}'),
        (None, b"{" + CLAIMS + b',"a":{"b":1,"b":2}}'),
        (None, b"{" + CLAIMS + b',"a":[{"b":1,"b":2}]}'),
        (None, b"{" + CLAIMS + b',"a":NaN}'),
        (None, b"{" + CLAIMS + b',"a":-Infinity}'),
        (None, b"{" + CLAIMS + b',"a":1e999}'),
        (None, b"{" + CLAIMS + b',"a":"\\ud800"}'),
        (None, b"{" + CLAIMS + b',"a":"\xff"}'),
        (None, b"{" + CLAIMS + b',"a":"\n"}'),
        (None, b"{" + CLAIMS + b'}{"a":1}'),
        (None, b"{" + CLAIMS + b"} "),
        (None, b"{" + CLAIMS + b",}"),
        (None, b"{" + CLAIMS),
        (None, b"[" * 3000),
        (None, b"{" + CLAIMS + b',"a":' + b"9" * 2900 + b"x}"),
        (None, b"[1]"),
        (None, b"null"),
        (None, b""),
    ],
)
def test_json_that_is_not_strict_is_refused_though_signed(header, claims, made, code_of):
    assert code_of(made(header, claims)) in {"TokenMalformed", "TokenAlgorithmRefused"}


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token + "=",
        lambda token: token.replace(".", "=.", 1),
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token[:-20] + "+" + token[-19:],
        lambda token: token[:-20] + "/" + token[-19:],
        lambda token: token[:-20] + "!" + token[-19:],
        lambda token: token[:-20] + "!!!!" + token[-20:],
        lambda token: token[:-20] + "\n\n\n\n" + token[-20:],
        lambda token: token[:-20] + "====" + token[-20:],
        lambda token: token + "B",
        lambda token: token + ".",
        lambda token: f"{token}.{token}",
        lambda token: token.rpartition(".")[0],
        lambda token: token.replace(".", ""),
        lambda token: "",
        lambda token: "..",
        lambda token: token.replace("e", "\u0435", 1),
        lambda token: token.replace("e", "\ud800", 1),
        lambda token: token.encode(),
        lambda token: None,
    ],
)
def test_text_that_is_not_canonical_is_refused(change, issued, code_of):
    assert code_of(change(issued("ES256"))) == "TokenMalformed"


def test_last_character_has_one_spelling(issued, code_of):
    message, _, signature = issued("ES256").rpartition(".")  # 64 bytes: the last character holds two bits
    assert signature[-1] in "AQgw"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(signature[-1]) + 1]
    assert base64.urlsafe_b64decode(signature + "==") == base64.urlsafe_b64decode(signature[:-1] + twin + "==")
    assert code_of(f"{message}.{signature[:-1]}{twin}") == "TokenMalformed"


def test_token_larger_than_kms_signs_is_refused(made, code_of):
    assert code_of(made(claims={"a": "a" * 3100})) == "TokenTooLarge"
    assert code_of("A" * 4781) == "TokenTooLarge"


RUNS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def document(public_key_of):
    return jwks_document([(public_key_of("ES256"), "ES256"), (public_key_of("EdDSA"), "EdDSA")])


@RUNS
@given(text=st.text(alphabet=ALPHABET, max_size=300) | st.text(max_size=50))
def test_any_text_is_refused(text, key_set, expected):
    with pytest.raises(TokenRefused):
        verify_token(text, keys=key_set, **expected)


@RUNS
@given(
    place=st.integers(0, 10_000), character=st.sampled_from(ALPHABET), kind=st.sampled_from(["put", "insert", "cut"])
)
def test_any_single_change_is_refused(place, character, kind, issued, key_set, expected):
    token = issued("EdDSA")
    place %= len(token)
    rest = token[place:] if kind == "insert" else token[place + 1 :]
    changed = token[:place] + ("" if kind == "cut" else character) + rest
    if changed == token:
        return
    with pytest.raises(TokenRefused):
        verify_token(changed, keys=key_set, **expected)


@RUNS
@given(claims=st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "x"]), VALUES))
def test_any_claims_that_were_signed_are_accepted_or_refused(claims, signed_by, key_set, expected):
    import base64  # noqa: PLC0415

    def text(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    base = {"iss": "https://issuer.example", "aud": "orders", "exp": expected["now"] + 60}
    header = text(b'{"alg":"EdDSA","kid":"eddsa-1","typ":"JWT"}')
    message = f"{header}.{text(json.dumps(base | claims).encode())}"
    token = f"{message}.{text(signed_by(message.encode(), 'EdDSA'))}"
    try:
        found = verify_token(token, keys=key_set, **expected)
    except TokenRefused:
        return
    assert found.claims == base | claims
    assert type(found.claims["exp"]) is int


@RUNS
@given(raw=st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_document_is_a_key_set_or_refused(raw):
    with pytest.raises(TokenKeySetInvalid):
        Jwks.parse(raw)


@RUNS
@given(number=st.integers(0, 1), name=st.sampled_from(["kty", "crv", "x", "y", "kid", "alg", "use"]), value=VALUES)
def test_any_member_of_a_key_is_taken_or_refused(number, name, value, document):
    changed = json.loads(document)
    changed["keys"][number][name] = value
    try:
        Jwks.parse(json.dumps(changed))
    except TokenKeySetInvalid:
        return
