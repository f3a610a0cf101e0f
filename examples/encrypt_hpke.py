"""Encrypts a file for an ML-KEM key of AWS KMS by standard HPKE, with ``cryptography`` only and no AWS.

encrypt_hpke.py PUBLIC_KEY.pem FILE MESSAGE
"""

import sys
from pathlib import Path

from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def encrypted(payload: bytes, pem: bytes) -> bytes:
    suite = Suite(KEM.MLKEM768, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    return suite.encrypt(payload, load_pem_public_key(pem), info=b"orders")


if __name__ == "__main__":
    key, source, message = map(Path, sys.argv[1:])
    message.write_bytes(encrypted(source.read_bytes(), key.read_bytes()))
