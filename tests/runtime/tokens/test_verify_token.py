"""What verify_token accepts, and every way to be refused, each with its own error."""

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from kms_runtime.errors import InvalidRequest, TokenRefused
from kms_runtime.tokens import ALGORITHMS, verify_token

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


def test_public_key_is_no_hmac_secret(made, code_of, public_key_of):
    key = public_key_of("RS256")
    message = made({"alg": "HS256", "kid": "rs256-1"}).rpartition(".")[0]
    for secret in (key.der, key.pem.encode()):
        forged = hmac.digest(secret, message.encode(), hashlib.sha256)
        assert code_of(f"{message}.{text(forged)}") == "TokenAlgorithmRefused"


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
