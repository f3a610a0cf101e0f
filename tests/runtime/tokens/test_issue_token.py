"""Tokens issued, while one key follows another, as other libraries read them."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import jwt
import pytest
from joserfc import errors as jose_errors
from joserfc import jwk
from joserfc import jwt as jose

from kms_runtime.errors import KmsRuntimeError, TokenRefused
from kms_runtime.tokens import ALGORITHMS, Jwks, MacKeys, RemoteJwks, issue_token, jwks_document, key_id, verify_token
from kms_runtime.tokens.key_set import fetch_jwks

NOW = 1_800_000_000
MACS = [name for name, known in ALGORITHMS.items() if known.is_mac]


def segment(token, number):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[number] + "=="))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_call_signs_the_message_as_it_is(algorithm, issued, kms, arns):
    token = issued(algorithm, claims={"tenant": "a"}, audience=["orders", "invoices"])
    ((operation, request),) = kms.calls
    known = ALGORITHMS[algorithm]
    assert request["KeyId"] == arns(algorithm)
    assert request["Message"] == token.rpartition(".")[0].encode()
    if known.is_mac:
        assert (operation, request["MacAlgorithm"]) == ("GenerateMac", known.kms_name)
    else:
        found = operation, request["SigningAlgorithm"], request["MessageType"]
        assert found == ("Sign", known.kms_name, "RAW")
    assert segment(token, 0) == {"alg": algorithm, "kid": f"{algorithm.lower()}-1", "typ": "JWT"}
    claims = segment(token, 1)
    assert claims["aud"] == ["orders", "invoices"]
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (NOW, NOW, NOW + 900)


def test_every_token_has_an_id_of_its_own(issued):
    assert len({segment(issued(), 1)["jti"] for _ in range(50)}) == 50


def test_key_id_of_the_token_is_that_of_the_kms_key():
    assert key_id("arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd") == "mrk-1234abcd"


REFUSALS = [
    ({"subject": ""}, "InvalidRequest", "subject is empty"),
    ({"subject": 7}, "InvalidRequest", "subject is empty or not a string"),
    ({"issuer": ""}, "InvalidRequest", "issuer is empty"),
    ({"token_type": ""}, "InvalidRequest", "type is empty"),
    ({"audience": ""}, "InvalidRequest", "audience is empty"),
    ({"audience": []}, "InvalidRequest", "audience is empty"),
    ({"audience": ["orders", 7]}, "InvalidRequest", "something else than names"),
    ({"lifetime": 1.5}, "InvalidRequest", "lifetime of 1.5 s"),
    ({"lifetime": True}, "InvalidRequest", "lifetime of True s"),
    ({"claims": {1: "a", "1": "b"}}, "InvalidRequest", "a member is given twice"),
    ({"claims": {"a": [{1: "a", "1": "b"}]}}, "InvalidRequest", "a member is given twice"),
    ({"lifetime": 0}, "InvalidRequest", "lifetime of 0 s"),
    ({"lifetime": 86_401}, "InvalidRequest", "1 to 86400"),
    ({"claims": {"exp": 1, "tenant": "a"}}, "InvalidRequest", "may not hold exp"),
    ({"claims": {"iss": "x", "aud": "y"}}, "InvalidRequest", "may not hold aud, iss"),
    ({"claims": {"a": float("nan")}}, "InvalidRequest", "no form for"),
    ({"claims": {"a": "\ud800"}}, "InvalidRequest", "no form for"),
    ({"claims": {"a": b"bytes"}}, "InvalidRequest", "no form for"),
    ({"required_claims": ["tenant"]}, "TokenClaimMissing", "no tenant"),
    ({"required_claims": ["tenant"], "claims": {"tenant": None}}, "TokenClaimMissing", "no tenant"),
    ({"claims": {"a": "a" * 3100}}, "TokenTooLarge", "at most 4096"),
]


@pytest.mark.parametrize(("given", "code", "reason"), REFUSALS)
def test_refusal_comes_before_any_call(given, code, reason, issued, kms):
    with pytest.raises(KmsRuntimeError, match=reason) as caught:
        issued(**given)
    assert caught.value.code == code
    assert kms.calls == []


def test_4096_bytes_are_signed(issued, kms, key_set, expected):
    sizes = {}
    for length in range(2800, 3072):
        try:
            issued(claims={"a": "a" * length})
        except KmsRuntimeError:
            continue
        sizes[length] = len(kms.calls[-1][1]["Message"])
    largest = max(sizes)
    assert 4093 <= sizes[largest] <= 4096
    assert verify_token(issued(claims={"a": "a" * largest}), keys=key_set, **expected)


def test_unknown_algorithm_and_alias_are_refused(kms, arns):
    common = {"issuer": "i", "subject": "s", "audience": "a", "lifetime": 1, "kms_client": kms}
    with pytest.raises(KmsRuntimeError) as caught:
        issue_token({}, key_arn=arns("ES256"), algorithm="none", **common)
    assert caught.value.code == "TokenAlgorithmRefused"
    with pytest.raises(KmsRuntimeError) as caught:
        issue_token({}, key_arn="alias/tokens", algorithm="ES256", **common)
    assert caught.value.code == "InvalidArnException"
    assert kms.calls == []


def test_refusal_of_kms_keeps_its_name(issued, kms):
    kms.failures["Sign"] = "DisabledException"
    with pytest.raises(KmsRuntimeError) as caught:
        issued()
    assert type(caught.value).__name__ == "DisabledException"


@pytest.mark.parametrize("algorithm", MACS)
def test_mac_token_is_verified_by_one_call_and_by_its_own_key_only(algorithm, issued, kms, arns, expected):
    token = issued(algorithm)
    keys = MacKeys({arns(algorithm): algorithm, arns(algorithm, 2): algorithm}, kms_client=kms)
    assert verify_token(token, keys=keys, **expected).key_id == f"{algorithm.lower()}-1"
    assert kms.operations == ["GenerateMac", "VerifyMac"]
    assert verify_token(issued(algorithm, 2), keys=keys, **expected).key_id == f"{algorithm.lower()}-2"
    message = token.rpartition(".")[0]
    for forged, refusal in {
        f"{message}.{issued(algorithm, 2).rpartition('.')[2]}": "TokenSignatureInvalid",
        issued(algorithm, 3): "TokenKeyUnknown",
        issued(next(name for name in MACS if name != algorithm)): "TokenKeyUnknown",
    }.items():
        with pytest.raises(KmsRuntimeError) as caught:
            verify_token(forged, keys=keys, **expected)
        assert caught.value.code == refusal


def test_mac_keys_are_no_signing_keys(kms, arns):
    with pytest.raises(KmsRuntimeError, match="ES256 is of signing keys") as caught:
        MacKeys({arns("ES256"): "ES256"}, kms_client=kms)
    assert caught.value.code == "TokenAlgorithmRefused"


def test_mac_of_another_length_is_refused_without_a_call(issued, kms, arns, expected):
    message = issued("HS256").rpartition(".")[0]
    kms.calls.clear()
    with pytest.raises(KmsRuntimeError) as caught:
        verify_token(f"{message}.AAAA", keys=MacKeys({arns("HS256"): "HS256"}, kms_client=kms), **expected)
    assert caught.value.code == "TokenSignatureInvalid"
    assert kms.calls == []


def test_failure_of_kms_is_not_a_bad_token(issued, kms, arns, expected):
    token = issued("HS256")
    kms.failures["VerifyMac"] = "ThrottlingException"
    with pytest.raises(KmsRuntimeError) as caught:
        verify_token(token, keys=MacKeys({arns("HS256"): "HS256"}, kms_client=kms), **expected)
    assert caught.value.code == "ThrottlingException"


LIFETIME, MAX_AGE = 900, 300


@pytest.fixture
def published(kms, arns):
    """What the address answers when it publishes these generations."""

    def publish(*generations):
        keys = [(arns("ES256", number), "ES256") for number in generations]
        return Jwks.parse(fetch_jwks(keys, kms_client=kms))

    return publish


def accepted(token, keys, now):
    try:
        return verify_token(token, keys=keys, issuer="https://issuer.example", audience="orders", now=now).key_id
    except TokenRefused as refusal:
        return refusal.code


def test_tokens_of_both_keys_verify_throughout_and_new_ones_name_the_new_key(published, issued):
    # Steps as deployed: the address announces the new key, then it signs, then the old one is left out.
    before, announced, swapped, ended = published(1), published(1, 2), published(2, 1), published(2)
    swap = NOW + MAX_AGE
    last_of_old = issued(generation=1, now=swap - 1)
    first_of_new = issued(generation=2, now=swap)
    assert accepted(last_of_old, before, swap - 1) == "es256-1"
    # Readers that have not asked again since the announcement know both keys.
    for keys in (announced, swapped):
        assert accepted(last_of_old, keys, swap) == "es256-1"
        assert accepted(first_of_new, keys, swap) == "es256-2"
    # The old key may go once its last token has expired.
    end = swap - 1 + LIFETIME
    assert accepted(last_of_old, swapped, end - 1) == "es256-1"
    assert accepted(last_of_old, ended, end + 31) == "TokenKeyUnknown"
    assert accepted(last_of_old, swapped, end + 31) == "TokenExpired"
    assert accepted(issued(generation=2, now=end), ended, end) == "es256-2"


def test_swap_without_announcement_is_an_outage_for_readers_that_do_not_ask_again(published, issued):
    assert accepted(issued(generation=2), published(1), NOW) == "TokenKeyUnknown"


def test_key_of_another_kind_may_follow(kms, arns, issued, public_key_of):
    keys = [(arns("EdDSA"), "EdDSA"), (arns("RS256"), "RS256")]
    found = Jwks.parse(fetch_jwks(keys, kms_client=kms))
    assert accepted(issued("RS256"), found, NOW) == "rs256-1"
    assert accepted(issued("EdDSA"), found, NOW) == "eddsa-1"


ROOT = Path(__file__).parents[3]


def test_example_verifies_a_token_and_says_why_it_refuses_one(https, issued, public_key_of):
    https.answers["/example.json"] = 200, {}, jwks_document([(public_key_of("ES256"), "ES256")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"PYTHONPATH": str(ROOT / "lambda"), "JWKS_URL": f"{https.url}/example.json"}
    environment["SSL_CERT_FILE"] = str(https.authority)

    def run(token):
        command = [sys.executable, str(ROOT / "examples" / "verify_token.py"), token]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    given = {"claims": {"tenant": "a"}, "issuer": "https://tokens.example.com", "now": time.time()}
    accepted = run(issued(**given))
    assert (accepted.returncode, accepted.stdout, accepted.stderr) == (0, "customer-1 of tenant a\n", "")
    refused = run(issued(**given | {"audience": "invoices"}))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "refused: TokenAudienceMismatch: the token is not for orders\n"


def test_example_verifies_a_signature_with_the_published_document(tmp_path, kms, arns, public_key_of):
    request = {"KeyId": arns("PS256"), "SigningAlgorithm": "RSASSA_PSS_SHA_256", "MessageType": "RAW"}
    signature = kms.sign(Message=b"message", **request)["Signature"]
    files = {
        "key.json": json.dumps(public_key_of("PS256").document()).encode(),
        "message": b"message",
        "signature": signature,
        "tampered": b"massage",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def run(*names):
        command = [sys.executable, str(ROOT / "examples" / "verify_signature.py"), *names]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "lambda")}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert run("key.json", "message", "signature").stdout == "valid\n"
    refused = run("key.json", "tampered", "signature")
    assert refused.returncode == 1
    assert "KMSInvalidSignatureException" in refused.stderr


# PyJWT 2.15 and joserfc 1.8 do not have ML-DSA.
SIGNED = [name for name, known in ALGORITHMS.items() if not known.is_mac and not name.startswith("ML-DSA")]
ISSUER, AUDIENCE = "https://issuer.example", "orders"
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Ours:
    refusal = TokenRefused

    def __init__(self, url, context):
        self.keys = RemoteJwks(url, ssl_context=context)

    def verify(self, token, algorithm):
        return verify_token(token, keys=self.keys, issuer=ISSUER, audience=AUDIENCE, leeway=0).claims


class PyJwt:
    refusal = jwt.PyJWTError

    def __init__(self, url, context):
        self.keys = jwt.PyJWKClient(url, ssl_context=context)

    def verify(self, token, algorithm):
        key = self.keys.get_signing_key_from_jwt(token)
        required = {"require": ["exp", "iss", "aud"]}
        return jwt.decode(token, key, [algorithm], audience=AUDIENCE, issuer=ISSUER, options=required)


class JoseRfc:
    refusal = (jose_errors.JoseError, ValueError)

    def __init__(self, url, context):
        with urlopen(url, context=context) as answer:
            self.keys = jwk.KeySet.import_key_set(json.load(answer))
        self.claims = jose.JWTClaimsRegistry(
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
        )

    def verify(self, token, algorithm):
        found = jose.decode(token, self.keys, algorithms=[algorithm])
        self.claims.validate(found.claims)
        return found.claims


@pytest.fixture(scope="module")
def jwks(https, public_key_of):
    """The address of a set with the first keys of every algorithm, and a context that trusts it."""
    https.answers["/peers.json"] = 200, {}, jwks_document([(public_key_of(name), name) for name in SIGNED])
    return f"{https.url}/peers.json", https.context


@pytest.fixture(scope="module", params=[Ours, PyJwt, JoseRfc])
def verifier(request, jwks):
    return request.param(*jwks)


def forgeries(issued, signed_by, public_key_of, algorithm):
    now = int(time.time())
    good = issued(algorithm, now=now)
    message, _, signature = good.rpartition(".")
    header, payload = message.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    kid = f"{algorithm.lower()}-1"

    def signed(head, body, by=algorithm, generation=1):
        made = f"{text(json.dumps(head).encode())}.{text(json.dumps(body).encode())}"
        return f"{made}.{text(signed_by(made.encode(), by, generation))}"

    other = next(name for name in SIGNED if name != algorithm)
    as_mac = text(json.dumps({"alg": "HS256", "kid": kid, "typ": "JWT"}).encode()) + f".{payload}"
    secret = public_key_of(algorithm).pem.encode()
    unsigned = text(json.dumps({"alg": "none", "kid": kid, "typ": "JWT"}).encode()) + f".{payload}."
    head = {"alg": algorithm, "kid": kid, "typ": "JWT"}
    return {
        "forged with another key": signed(head, claims, generation=2),
        "changed claim": f"{header}.{text(json.dumps(claims | {'sub': 'admin'}).encode())}.{signature}",
        "none": unsigned,
        "public key as HMAC secret": f"{as_mac}.{text(hmac.digest(secret, as_mac.encode(), hashlib.sha256))}",
        "wrong alg for the key": signed(head | {"alg": other}, claims),
        "another algorithm's key": signed(head | {"alg": other}, claims, by=other),
        "unknown key id": signed(head | {"kid": "nobody"}, claims),
        "crit": signed(head | {"crit": ["x"], "x": 1}, claims),
        "expired": signed(head, claims | {"exp": now - 1}),
        "not yet valid": signed(head, claims | {"nbf": now + 600}),
        "wrong audience": signed(head, claims | {"aud": "invoices"}),
        "wrong issuer": signed(head, claims | {"iss": "https://forger.example"}),
        "no expiry": signed(head, {name: value for name, value in claims.items() if name != "exp"}),
        "exp in text": signed(head, claims | {"exp": "never"}),
    }


FORGERIES = [
    "forged with another key", "changed claim", "none", "public key as HMAC secret", "wrong alg for the key",
    "another algorithm's key", "unknown key id", "crit", "expired", "not yet valid", "wrong audience", "wrong issuer",
    "no expiry", "exp in text",
]  # fmt: skip


@pytest.mark.parametrize("algorithm", SIGNED)
def test_token_is_verified_by_each(algorithm, verifier, issued):
    claims = verifier.verify(issued(algorithm, claims={"tenant": "a"}, now=time.time()), algorithm)
    assert (claims["sub"], claims["tenant"]) == ("customer-1", "a")


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("algorithm", SIGNED)
def test_forgery_is_refused_by_each(algorithm, forgery, verifier, issued, signed_by, public_key_of):
    made = forgeries(issued, signed_by, public_key_of, algorithm)
    assert list(made) == FORGERIES
    with pytest.raises(verifier.refusal):
        verifier.verify(made[forgery], algorithm)
