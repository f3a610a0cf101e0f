"""PyJWT and joserfc verify our tokens from a JWKS address, and refuse what we refuse."""

import base64
import hashlib
import hmac
import json
import time
from urllib.request import urlopen

import jwt
import pytest
from joserfc import errors as jose_errors
from joserfc import jwk
from joserfc import jwt as jose

from kms_runtime.errors import TokenRefused
from kms_runtime.tokens import ALGORITHMS, RemoteJwks, jwks_document, verify_token

SIGNED = [name for name, known in ALGORITHMS.items() if not known.is_mac]
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
