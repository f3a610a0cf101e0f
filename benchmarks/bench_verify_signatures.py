"""Offline verification per core, as a ratio to bare ``cryptography`` in the same run: at most 1.10 is the aim.

Run ``python benchmarks/bench_verify_signatures.py``. Both are measured on the same signatures, one after the other in
short turns of processor time; printed are the fastest turns, and the median of the ratios of neighbouring ones.
"""

import argparse
import hashlib
import io
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signatures.artifacts import digest_artifact
from kms_runtime.signatures.signing import verify
from kms_runtime.signing_algorithms import ALGORITHMS_OF

MESSAGE = bytes(range(256))
ARTIFACT = bytes(64 * 1024 * 1024)
TURN_SECONDS, AIM = 0.004, 1.10
KEYS: dict[str, Callable[[], Any]] = {
    **{f"RSA_{bits}": partial(rsa.generate_private_key, 65537, bits) for bits in (2048, 3072, 4096)},
    "ECC_NIST_P256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ECC_NIST_P384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ECC_NIST_P521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ECC_SECG_P256K1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey.generate,
    "ML_DSA_44": mldsa.MLDSA44PrivateKey.generate,
    "ML_DSA_65": mldsa.MLDSA65PrivateKey.generate,
    "ML_DSA_87": mldsa.MLDSA87PrivateKey.generate,
}
HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def schemes(spec: str) -> dict[str, tuple[Any, ...]]:
    """Return algorithms of a key spec, each with what ``cryptography`` is given besides message and signature."""
    found: dict[str, tuple[Any, ...]] = {}
    for algorithm in ALGORITHMS_OF[spec]:
        if algorithm in {"ED25519_SHA_512", "ML_DSA_SHAKE_256"}:
            found[algorithm] = ()
        elif algorithm.startswith("ECDSA"):
            found[algorithm] = (ec.ECDSA(HASHES[algorithm[-3:]]),)
        elif algorithm.startswith("RSASSA") and (spec == "RSA_2048" or algorithm.endswith("256")):
            digest = HASHES[algorithm[-3:]]
            found[algorithm] = (PSS(MGF1(digest), digest.digest_size) if "PSS" in algorithm else PKCS1v15(), digest)
    return found


def compared(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Return the fastest microseconds of both, and the median of the ratios of neighbouring turns."""
    calls = max(1, int(TURN_SECONDS / turn(ours, 5)))
    pairs = []
    for number in range(rounds):
        # The first in a round finds the caches as the other left them, so they take turns at being first.
        first, second = (ours, theirs) if number % 2 else (theirs, ours)
        times = {call: turn(call, calls) for call in (first, second)}
        pairs.append((times[ours], times[theirs]))
    ratio = statistics.median(mine / bare for mine, bare in pairs)
    return min(mine for mine, _ in pairs) * 1e6, min(other for _, other in pairs) * 1e6, ratio


def turn(call: Callable[[], Any], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - start) / calls


def both_hashes() -> None:
    for name in ("sha256", "sha512"):
        hashlib.new(name, ARTIFACT).digest()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=121)
    rounds = parser.parse_args().rounds
    worst = 0.0
    print("| key spec | algorithm | a second, ours | bare | ratio |\n|---|---|---|---|---|")
    for spec, make in KEYS.items():
        private = make()
        bare = private.public_key()
        der = bare.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key = PublicKey(
            f"arn:aws:kms:eu-west-1:111122223333:key/{spec}".replace("_", "-"),
            spec,
            "SIGN_VERIFY",
            ALGORITHMS_OF[spec],
            der,
        )
        for algorithm, scheme in schemes(spec).items():
            signature = private.sign(MESSAGE, *scheme)
            ours = partial(verify, key, MESSAGE, signature, algorithm=algorithm)
            mine, other, ratio = compared(ours, partial(bare.verify, signature, MESSAGE, *scheme), rounds)
            worst = max(worst, ratio)
            print(f"| {spec} | {algorithm} | {1e6 / mine:,.0f} | {1e6 / other:,.0f} | {ratio:.2f} |", flush=True)
    mine, other, ratio = compared(
        lambda: digest_artifact(io.BytesIO(ARTIFACT), algorithm="ECDSA_SHA_256"), both_hashes, max(3, rounds // 12)
    )
    size = len(ARTIFACT) / 1e3
    print(f"artifact, SHA-256 and SHA-512: {size / mine:.2f} GB/s, hashlib alone {size / other:.2f}, ratio {ratio:.2f}")
    print(f"worst ratio of a verification: {worst:.2f} (aim: {AIM:.2f})")


if __name__ == "__main__":
    main()
