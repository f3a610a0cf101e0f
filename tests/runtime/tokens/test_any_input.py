"""Whatever is presented, verify_token answers with a refusal of its own, or the token is one of ours, unaltered."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_runtime.errors import TokenKeySetInvalid, TokenRefused
from kms_runtime.tokens import Jwks, jwks_document, verify_token

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
