"""Offline verification of tokens per core: ours, PyJWT and joserfc, as ratios to bare ``cryptography``.

Run ``python benchmarks/bench_verify_tokens.py``. Two peers are bare ``cryptography``: *check* is its signature check
alone, over bytes that lie ready; *bare* is the shortest program around it that gets from the same token to the same
claims: it decodes, checks the signature and parses, and looks at nothing else. Ours also reads strictly, finds the key
by its id and checks the claims. Every round measures every contender, one after the other in short turns of processor
time; a ratio is the median over the rounds. Exits with 1 if ours takes more than 1.25 times as long as bare.
"""

import argparse
import base64
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwk
from joserfc import jwt as jose

from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.tokens import ALGORITHMS as KNOWN
from kms_runtime.tokens import Jwks, jwks_document, verify_token

warnings.filterwarnings("ignore", message="EdDSA is deprecated")
ALGORITHMS = ("ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA")
ISSUER, AUDIENCE = "https://issuer.example", "orders"
ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
_HASHES = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384(), "ES512": hashes.SHA512()}
_PADDINGS = {"RS256": padding.PKCS1v15(), "PS256": padding.PSS(padding.MGF1(hashes.SHA256()), 32)}


def contenders(algorithm: str) -> Mapping[str, Callable[[], Any]]:
    """Return what each contender does once; all of them accept the token."""
    pair = _pair(algorithm)
    message, signature = _signed(pair, algorithm)
    token = f"{message.decode()}.{_base64url(_jose(signature, algorithm))}"
    document = jwks_document([(_public_key(pair, algorithm), algorithm)])
    keys, public = Jwks.parse(document), pair.public_key()
    theirs = jwt.PyJWKSet.from_json(document.decode()).keys[0]
    key_set = jwk.KeySet.import_key_set(json.loads(document))
    registry = jose.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}, exp={"essential": True}
    )
    arguments = _arguments(algorithm)
    return {
        "check": lambda: public.verify(signature, message, *arguments),
        "bare": lambda: _bare(token, public, arguments),
        "ours": lambda: verify_token(token, keys=keys, issuer=ISSUER, audience=AUDIENCE),
        "PyJWT": lambda: jwt.decode(token, theirs, [algorithm], audience=AUDIENCE, issuer=ISSUER),
        "joserfc": lambda: registry.validate(jose.decode(token, key_set, algorithms=[algorithm]).claims),
    }


def _signed(pair: Any, algorithm: str) -> tuple[bytes, bytes]:
    now = int(time.time())
    header = {"alg": algorithm, "kid": ARN.rsplit("/", 1)[1], "typ": "JWT"}
    claims = {"iss": ISSUER, "sub": "customer-1", "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 900}
    claims |= {"jti": "3f2b8c1e-7a69-4b3d-9f17-cc4b1d2a5e60", "scope": "orders:read orders:write"}
    message = f"{_base64url(json.dumps(header).encode())}.{_base64url(json.dumps(claims).encode())}".encode()
    return message, pair.sign(message, *_arguments(algorithm))


def _bare(token: str, key: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the claims after the least that must be done: no key is looked for, no claim looked at."""
    message, _, signature = token.rpartition(".")
    _, _, claims = message.partition(".")
    given = _decoded(signature)
    if arguments and isinstance(arguments[0], ec.ECDSA):
        half = len(given) // 2
        given = encode_dss_signature(int.from_bytes(given[:half], "big"), int.from_bytes(given[half:], "big"))
    key.verify(given, message.encode(), *arguments)
    return json.loads(_decoded(claims))


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _arguments(algorithm: str) -> tuple[Any, ...]:
    """Return the arguments of ``cryptography`` beside signature and message."""
    if algorithm in _CURVES:
        return (ec.ECDSA(_HASHES[algorithm]),)
    return (_PADDINGS[algorithm], hashes.SHA256()) if algorithm in _PADDINGS else ()


def _pair(algorithm: str) -> Any:
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    return rsa.generate_private_key(65537, 2048) if algorithm in _PADDINGS else ed25519.Ed25519PrivateKey.generate()


def _public_key(pair: Any, algorithm: str) -> PublicKey:
    der = pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    known = KNOWN[algorithm]
    return PublicKey(ARN, known.key_specs[0], "SIGN_VERIFY", (known.kms_name,), der)


def _jose(signature: bytes, algorithm: str) -> bytes:
    """Return the signature as JOSE writes it: ECDSA's two numbers side by side."""
    if algorithm not in _CURVES:
        return signature
    length = (_CURVES[algorithm].key_size + 7) // 8
    return b"".join(number.to_bytes(length, "big") for number in decode_dss_signature(signature))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


AIM = 1.25
CONTENDERS = ("check", "bare", "ours", "PyJWT", "joserfc")
RATIOS = (("ours", "bare"), ("ours", "check"), ("PyJWT", "ours"), ("joserfc", "ours"))

Times = dict[str, list[float]]


def measure(calls: Mapping[str, Callable[[], Any]], rounds: int, seconds: float) -> Times:
    """Return the time per call in microseconds, by contender and round."""
    times: Times = {name: [] for name in calls}
    start = time.process_time()
    for _ in range(20):
        calls["bare"]()
    repeat = max(10, int(20 * seconds / (time.process_time() - start)))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(repeat):
                call()
            times[name].append((time.process_time() - start) / repeat * 1e6)
    return times


def ratio(times: Times, one: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.01, help="per contender and round")
    options = parser.parse_args()
    columns = [f"{name}, µs" for name in CONTENDERS] + [f"{one} / {other}" for one, other in RATIOS]
    print(f"| alg | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    missed = []
    for algorithm in ALGORITHMS:
        times = measure(contenders(algorithm), options.rounds, options.seconds)
        numbers = [f"{min(times[name]):.1f}" for name in CONTENDERS]
        numbers += [f"{ratio(times, one, other):.2f}" for one, other in RATIOS]
        print(f"| {algorithm} | {' | '.join(numbers)} |", flush=True)
        if ratio(times, "ours", "bare") > AIM:
            missed.append(algorithm)
    print(f"aim: ours / bare at most {AIM}; above it: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
