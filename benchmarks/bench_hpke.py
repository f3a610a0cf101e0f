"""Local work and bytes of an HPKE message for an ML-KEM key, beside the RSA envelope for a key of the same use.

Run ``python benchmarks/bench_hpke.py``: one core, no network. The private keys are here, in place of AWS KMS: the time
of Decapsulate and of Decrypt is that of OpenSSL, not of the service. Each round measures every contender; printed are
medians of processor time, and the ratio within a round.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime import KmsRsaKeyring, decrypt_bytes, encrypt_bytes
from kms_runtime.key_agreement import hpke
from kms_runtime.public_keys.jwk import PADDINGS

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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
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


if __name__ == "__main__":
    main()
