"""Encrypts a file for a KMS key outside of AWS, with no credentials and no call; decrypts the answer to it.

encrypt_order.py encrypt KMS_PUBLIC_KEY.pem OUTSIDER.pem ORDER MESSAGE
encrypt_order.py decrypt KMS_PUBLIC_KEY.pem OUTSIDER.pem MESSAGE ANSWER
"""

import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from kms_runtime.key_agreement.agreement import LocalParty, decrypt, encrypt


def encrypted(order: bytes, outsider: LocalParty, kms_key: bytes) -> bytes:
    return encrypt(order, party=outsider, sender=outsider.public_key, recipient=kms_key, purpose="orders")


def decrypted(answer: bytes, outsider: LocalParty, kms_key: bytes) -> bytes:
    return decrypt(answer, party=outsider, sender=kms_key, purpose="orders").payload


if __name__ == "__main__":
    act = {"encrypt": encrypted, "decrypt": decrypted}[sys.argv[1]]
    published, own, source, target = map(Path, sys.argv[2:])
    key = load_pem_private_key(own.read_bytes(), password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        sys.exit(f"{own} is not the private key of an elliptic curve")
    kms_key = load_pem_public_key(published.read_bytes()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    target.write_bytes(act(source.read_bytes(), LocalParty(key), kms_key))
