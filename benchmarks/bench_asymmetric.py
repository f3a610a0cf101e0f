"""Offline verification per core, as a ratio to bare ``cryptography`` in the same run: at most 1.10 is the aim.

Run ``python benchmarks/bench_asymmetric.py``. Both are measured on the same signatures, one after the other in
short turns of processor time; printed are the fastest turns, and the median of the ratios of neighbouring ones.

Then local work and bytes of an HPKE message for an ML-KEM key, beside the RSA envelope for a key of the same use.
One core, no network. The private keys are here, in place of AWS KMS: the time
of Decapsulate and of Decrypt is that of OpenSSL, not of the service. Each round measures every contender; printed are
medians of processor time, and the ratio within a round.
"""

import argparse
import hashlib
import io
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime import KmsRsaKeyring, decrypt_bytes, encrypt_bytes
from kms_runtime.key_agreement import hpke
from kms_runtime.public_keys.jwk import PADDINGS
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


ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PAYLOAD = os.urandom(1024)
OAEP = PADDINGS["RSAES_OAEP_SHA_256"]


class Kms:
    """Stands for AWS KMS with a private key in this process."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def decrypt(self, **request: Any) -> dict[str, Any]:  # noqa: D102
        return {"KeyId": ARN, "Plaintext": self.key.decrypt(request["CiphertextBlob"], OAEP)}

    def decapsulate(self, **request: Any) -> dict[str, Any]:  # noqa: D102
        return {"KeyId": ARN, "SharedSecret": self.key.decapsulate(request["SharedSecretCiphertextBlob"])}


def der(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def contenders() -> tuple[dict[str, tuple[Callable[[], Any], int]], dict[str, int]]:
    """Return each contender with its calls per round, and the bytes that a message has beyond its payload."""
    rsa_key = rsa.generate_private_key(65537, 3072)
    ring = KmsRsaKeyring(ARN, public_key=der(rsa_key), kms_client=Kms(rsa_key))  # type: ignore[arg-type]
    calls: dict[str, tuple[Callable[[], Any], int]] = {}
    overhead = {}
    for spec, kind in (("ML_KEM_768", MLKEM768PrivateKey), ("ML_KEM_1024", MLKEM1024PrivateKey)):
        key = kind.generate()
        public, recipient = der(key), hpke.KmsRecipient(ARN, spec, Kms(key))  # type: ignore[arg-type]
        message = hpke.encrypt(PAYLOAD, public_key=public)
        overhead[f"HPKE {spec}"] = len(message) - len(PAYLOAD)
        calls[f"HPKE {spec} encrypt"] = (lambda public=public: hpke.encrypt(PAYLOAD, public_key=public), 500)
        calls[f"HPKE {spec} decrypt"] = (
            lambda message=message, recipient=recipient: hpke.decrypt(message, recipient=recipient),
            500,
        )
    bound: dict[str, str] = {}
    envelope = encrypt_bytes(PAYLOAD, keyring=ring, encryption_context=bound)
    overhead["envelope RSA_3072"] = len(envelope) - len(PAYLOAD)
    calls["envelope RSA_3072 encrypt"] = (
        lambda: encrypt_bytes(PAYLOAD, keyring=ring, encryption_context=bound),
        500,
    )
    calls["envelope RSA_3072 decrypt"] = (
        lambda: decrypt_bytes(envelope, keyring=ring, encryption_context=bound),
        50,
    )
    return calls, overhead


def print_verifications(rounds: int) -> None:
    """Print verifications a second, ours and bare."""
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


def print_hpke(rounds: int) -> None:
    """Print the time and overhead of an HPKE message, beside the RSA envelope."""
    calls, overhead = contenders()
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (call, many) in calls.items():
            start = time.process_time()
            for _ in range(many):
                call()
            times.setdefault(name, []).append((time.process_time() - start) / many * 1e6)
    for name, measured in times.items():
        peer = times[f"envelope RSA_3072 {name.rpartition(' ')[2]}"]
        ratio = statistics.median(b / a for a, b in zip(measured, peer, strict=True))
        print(f"{name}: {statistics.median(measured):.0f} µs; the RSA envelope takes {ratio:.1f} x")
    for name, size in overhead.items():
        print(f"{name}: {size} bytes beyond the payload")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=121)
    rounds = parser.parse_args().rounds
    print_verifications(rounds)
    print_hpke(max(3, rounds // 8))


if __name__ == "__main__":
    main()
