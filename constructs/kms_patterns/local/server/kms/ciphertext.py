"""The ciphertext blob of a symmetric key: AES-256-GCM, the encryption context authenticated, the key named inside.

Layout: 4 bytes magic | 1 byte length of the key id | key id | 16 bytes id of the key material | 12 bytes nonce |
ciphertext and tag. All before the nonce, and the encryption context, is additional authenticated data.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_patterns.local.server.kms.kms_errors import invalid_ciphertext

MAGIC = b"\x01\x02\x03\x78"
MATERIAL_ID_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16


@dataclass(frozen=True)
class Blob:
    """A parsed ciphertext blob."""

    key_id: str
    material_id: bytes
    nonce: bytes
    body: bytes

    @property
    def header(self) -> bytes:
        """The bytes that name the key and are authenticated with the ciphertext."""
        key_id = self.key_id.encode()
        return MAGIC + bytes([len(key_id)]) + key_id + self.material_id


def parse(raw: bytes) -> Blob | None:
    """Return the parsed blob, or None if ``raw`` is not one of ours."""
    if len(raw) <= len(MAGIC) or not raw.startswith(MAGIC):
        return None
    start = len(MAGIC) + 1
    material = start + raw[len(MAGIC)]
    nonce = material + MATERIAL_ID_BYTES
    body = nonce + NONCE_BYTES
    if len(raw) < body + TAG_BYTES:
        return None
    try:
        key_id = raw[start:material].decode("ascii")
    except UnicodeDecodeError:
        return None
    return Blob(key_id, raw[material:nonce], raw[nonce:body], raw[body:])


def encrypt(key_id: str, material: bytes, material_id: bytes, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """Encrypt ``plaintext`` under the 32 bytes of ``material`` and return the blob."""
    empty = Blob(key_id, material_id, os.urandom(NONCE_BYTES), b"")
    body = AESGCM(material).encrypt(empty.nonce, plaintext, _authenticated(empty.header, context))
    return empty.header + empty.nonce + body


def decrypt(blob: Blob, material: bytes, context: Mapping[str, str]) -> bytes:
    """Return the plaintext.

    Raises:
        KmsError: InvalidCiphertextException: the blob was altered or the context is another.
    """
    try:
        return AESGCM(material).decrypt(blob.nonce, blob.body, _authenticated(blob.header, context))
    except InvalidTag as refused:
        raise invalid_ciphertext() from refused


def _authenticated(header: bytes, context: Mapping[str, str]) -> bytes:
    # Sorted and compact, so that the order in which a caller names the pairs does not matter, as in KMS.
    return header + json.dumps(dict(context), sort_keys=True, separators=(",", ":")).encode()
