"""Tokens verified: their text, their header, their signature, their claims."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_runtime.errors import InvalidRequest, TokenKeySetInvalid, TokenRefused
from kms_runtime.tokens import ALGORITHMS, Jwks, jwks_document, verify_token
from kms_runtime.tokens.compact import TOKEN_LIMIT

SIGNED = [name for name, known in ALGORITHMS.items() if not known.is_mac]
NOW = 1_800_000_000


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", SIGNED)
def test_token_of_every_algorithm_is_verified(algorithm, issued, key_set, expected):
    found = verify_token(issued(algorithm, claims={"tenant": "a"}), keys=key_set, **expected)
    assert (found.algorithm, found.key_id) == (algorithm, f"{algorithm.lower()}-1")
    jti = found.claims["jti"]
    assert found.claims == {
        "iss": "https://issuer.example", "sub": "customer-1", "aud": "orders", "tenant": "a", "jti": jti,
        "iat": NOW, "nbf": NOW, "exp": NOW + 900,
    }  # fmt: skip


@pytest.mark.parametrize("algorithm", SIGNED)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_one_altered_character_anywhere_is_refused(algorithm, part, issued, code_of):
    segments = issued(algorithm).split(".")
    segment = segments[part]
    segments[part] = segment[:9] + ("A" if segment[9] != "A" else "B") + segment[10:]
    assert code_of(".".join(segments)) in {
        "TokenSignatureInvalid", "TokenMalformed", "TokenKeyUnknown", "TokenAlgorithmRefused",
    }  # fmt: skip


@pytest.mark.parametrize("algorithm", SIGNED)
def test_signature_of_another_key_or_length_is_refused(algorithm, issued, code_of):
    message, _, signature = issued(algorithm).rpartition(".")
    other = issued(algorithm, 2).rpartition(".")[2]
    assert code_of(f"{message}.{other}") == "TokenSignatureInvalid"
    right = base64.urlsafe_b64decode(signature + "==")
    half = len(right) // 2
    padded = right[:half] + b"\0" + right[half:]
    for wrong in (right[:-1], right + b"\0", b"\0" + right, padded, b"", bytes(2 * half), b"\xff" * len(right)):
        assert code_of(f"{message}.{text(wrong)}") == "TokenSignatureInvalid"


@pytest.mark.parametrize("salt_length", [0, 20, 64, padding.PSS.MAX_LENGTH])
def test_salt_has_the_length_of_the_digest(salt_length, issued, code_of, pair_of):
    message = issued("PS256").rpartition(".")[0]
    scheme = padding.PSS(padding.MGF1(SHA256()), salt_length)
    signature = pair_of("PS256").sign(message.encode(), scheme, SHA256())
    assert code_of(f"{message}.{text(signature)}") == "TokenSignatureInvalid"


@pytest.mark.parametrize("name", ["none", "None", "nOnE"])
def test_unsigned_token_is_refused(name, made, code_of):
    message = made({"alg": name}).rpartition(".")[0]
    assert code_of(f"{message}.") == "TokenAlgorithmRefused"


@pytest.mark.parametrize("algorithm", SIGNED)
def test_algorithm_other_than_the_keys_is_refused_though_signed_with_it(algorithm, made, code_of, key_set):
    others = [name for name in [*ALGORITHMS, "ES256K", "RS512", "es256"] if name != algorithm]
    for other in others:
        assert code_of(made({"alg": other, "kid": f"{algorithm.lower()}-1"}, algorithm=algorithm)) == (
            "TokenAlgorithmRefused"
        )


@pytest.mark.parametrize("algorithm", ["RS256", "ML-DSA-65"])
def test_public_key_is_no_hmac_secret(algorithm, made, code_of, public_key_of):
    key = public_key_of(algorithm)
    message = made({"alg": "HS256", "kid": f"{algorithm.lower()}-1"}).rpartition(".")[0]
    for secret in (key.der, key.pem.encode()):
        forged = hmac.digest(secret, message.encode(), hashlib.sha256)
        assert code_of(f"{message}.{text(forged)}") == "TokenAlgorithmRefused"


def test_ml_dsa_signature_under_a_context_or_of_what_is_no_token_is_refused(issued, code_of, pair_of):
    token = issued("ML-DSA-65")
    message, _, signature = token.rpartition(".")
    key = pair_of("ML-DSA-65")
    for forged in (key.sign(message.encode(), b"jwt"), key.sign_mu(bytes(64)), bytes(3309), signature.encode() * 2):
        assert code_of(f"{message}.{text(forged)}") in {"TokenSignatureInvalid", "TokenTooLarge"}


def test_key_that_the_token_brings_itself_is_not_used(made, code_of, public_key_of):
    for member, value in {
        "jwk": public_key_of("ES256", 2).jwk(),
        "jku": "https://forger.example/jwks.json",
        "x5u": "https://forger.example/cert",
        "x5c": ["MIIB"],
    }.items():
        assert code_of(made({member: value})) == "TokenMalformed"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"kid": None},
        {"kid": 7},
        {"typ": None},
        {"typ": "jwt"},
        {"typ": "at+jwt"},
    ],
)
def test_header_that_is_not_understood_is_refused(header, made, code_of):
    assert code_of(made(header)) == "TokenMalformed"


@pytest.mark.parametrize("header", [{"alg": None}, {"alg": 5}, {"alg": ["ES256"]}])
def test_header_without_an_algorithm_is_refused(header, made, code_of):
    assert code_of(made(header)) == "TokenAlgorithmRefused"


def test_unknown_key_is_refused(made, code_of):
    assert code_of(made({"kid": "es256-9"})) == "TokenKeyUnknown"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": NOW - 31}, "TokenExpired"),
        ({"exp": NOW - 30}, "TokenExpired"),
        ({"nbf": NOW + 31}, "TokenNotYetValid"),
        ({"iat": NOW + 31}, "TokenNotYetValid"),
        ({"iss": "https://issuer.example/"}, "TokenIssuerMismatch"),
        ({"iss": ["https://issuer.example"]}, "TokenIssuerMismatch"),
        ({"aud": "invoices"}, "TokenAudienceMismatch"),
        ({"aud": ["invoices", "Orders"]}, "TokenAudienceMismatch"),
        ({"aud": []}, "TokenAudienceMismatch"),
        ({"aud": ["orders", 7]}, "TokenMalformed"),
        ({"aud": {"orders": 1}}, "TokenMalformed"),
        ({"exp": None}, "TokenClaimMissing"),
        ({"iss": None}, "TokenClaimMissing"),
        ({"aud": None}, "TokenClaimMissing"),
        ({"exp": float(NOW + 900)}, "TokenMalformed"),
        ({"exp": str(NOW + 900)}, "TokenMalformed"),
        ({"exp": True}, "TokenMalformed"),
        ({"exp": -1}, "TokenMalformed"),
        ({"exp": (NOW + 900) * 1000}, "TokenMalformed"),
        ({"nbf": None}, "TokenMalformed"),
        ({"nbf": "0"}, "TokenMalformed"),
        ({"iat": 1.5}, "TokenMalformed"),
        ({"sub": 7}, "TokenMalformed"),
        ({"jti": None}, "TokenMalformed"),
    ],
)
def test_claims_are_checked(claims, code, made, code_of):
    assert code_of(made(claims=claims)) == code


@pytest.mark.parametrize("claims", [{"exp": NOW - 29}, {"nbf": NOW + 30}, {"iat": NOW + 30}, {"aud": ["x", "orders"]}])
def test_clock_skew_is_allowed_and_one_audience_of_several_is_enough(claims, made, key_set, expected):
    assert verify_token(made(claims=claims), keys=key_set, **expected).claims["iss"] == "https://issuer.example"


def test_without_leeway_a_token_ends_in_its_last_second(made, key_set, expected, code_of):
    token = made(claims={"exp": NOW + 1})
    assert verify_token(token, keys=key_set, leeway=0, **expected)
    assert code_of(token, leeway=0, now=NOW + 1) == "TokenExpired"


def test_one_of_several_audiences_of_the_reader_is_enough(made, key_set, expected, code_of):
    for audience in (["orders", "invoices"], ("invoices", "orders"), {"orders"}):
        assert verify_token(made(), keys=key_set, **(expected | {"audience": audience}))
    assert code_of(made(), audience=["invoices"]) == "TokenAudienceMismatch"


def test_required_claim_must_have_a_value(made, key_set, expected, code_of):
    given = {"required_claims": ["tenant"]}
    assert verify_token(made(claims={"tenant": ""}), keys=key_set, **expected, **given)
    assert code_of(made(), **given) == "TokenClaimMissing"
    assert code_of(made(claims={"tenant": None}), **given) == "TokenClaimMissing"


def test_type_of_token_is_the_readers_choice(made, key_set, expected, code_of):
    assert verify_token(made({"typ": "at+jwt"}), keys=key_set, token_type="at+jwt", **expected)
    assert code_of(made(), token_type="at+jwt") == "TokenMalformed"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"audience": ""}, "audience is empty"),
        ({"audience": []}, "audience is empty"),
        ({"leeway": 301}, "leeway 301"),
        ({"leeway": -1}, "leeway -1"),
        ({"leeway": 1.5}, "leeway 1.5"),
        ({"required_claims": "tenant"}, "the string 'tenant'"),
    ],
)
def test_expectations_that_make_no_sense_are_refused(given, reason, made, key_set, expected):
    with pytest.raises(InvalidRequest, match=reason):
        verify_token(made(), keys=key_set, **(expected | given))


def test_message_of_a_refusal_holds_nothing_of_the_token(issued, key_set, expected):
    token = issued(claims={"note": "hush-hush"})
    with pytest.raises(TokenRefused) as caught:
        verify_token(token, keys=key_set, **(expected | {"now": NOW + 9000}))
    assert "hush" not in str(caught.value)
    assert token[:20] not in str(caught.value)


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
    assert code_of("A" * (TOKEN_LIMIT + 1)) == "TokenTooLarge"


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
