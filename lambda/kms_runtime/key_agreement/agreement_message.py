"""The message of a key agreement: sender, recipient, a salt, and the encrypted payload.

Layout, lengths in two bytes, big-endian::

    version 1 (1 byte) | length, sender's public key | length, recipient's public key | salt (32) |
    ciphertext | tag (16)

Public keys are DER SubjectPublicKeyInfo with a named curve and an uncompressed point, as GetPublicKey returns them. Key
and nonce come from the shared secret Z of ECDH (the x-coordinate)::

    key (32) || nonce (12) = HKDF-SHA256(Z, salt, info, 44)
    info = length, "kms-patterns key agreement 1" | length, purpose | length, sender's | length, recipient's public key

The cipher is AES-256-GCM; its additional authenticated data are all bytes before the ciphertext, then the caller's.

See https://www.rfc-editor.org/rfc/rfc5869 and https://csrc.nist.gov/pubs/sp/800/56/c/r2/final
"""

import os
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from kms_runtime.errors import (
    InvalidRequest,
    MessageAuthenticationFailed,
    MessageFormatError,
    MessageTruncated,
    PublicKeyInvalid,
)
from kms_runtime.message.suite import wipe

SALT_BYTES: Final = 32
TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"
_LABEL: Final = b"kms-patterns key agreement 1"
# The curves that AWS KMS agrees on outside the China Regions.
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_LONGEST: Final = 65_535


@dataclass(frozen=True, slots=True)
class Envelope:
    """The part of a message that is not secret: its parties, and the salt of its key.

    Args:
        sender: The sender's public key, DER.
        recipient: The recipient's public key, DER.
        salt: 32 random bytes, new for each message.
    """

    sender: bytes
    recipient: bytes
    salt: bytes

    @classmethod
    def new(cls, sender: bytes, recipient: bytes) -> Self:
        """Return the envelope of a new message.

        Raises:
            PublicKeyInvalid: See :func:`check_parties`.
        """
        check_parties(sender, recipient)
        return cls(sender, recipient, os.urandom(SALT_BYTES))

    @classmethod
    def of(cls, message: bytes) -> tuple[Self, bytes]:
        """Return the envelope of a message, and the ciphertext with its tag.

        Raises:
            MessageFormatError: Not a message of this version.
            MessageTruncated: The message ends too early.
            PublicKeyInvalid: See :func:`check_parties`.
        """
        if message[:1] != _VERSION:
            raise MessageFormatError(f"a message of version {message[:1].hex() or 'nothing'}; this reader knows 01")
        sender, position = _field(message, 1)
        recipient, position = _field(message, position)
        salt, ciphertext = message[position : position + SALT_BYTES], message[position + SALT_BYTES :]
        if len(ciphertext) < TAG_BYTES:
            raise MessageTruncated("the message ends before its authentication tag")
        check_parties(sender, recipient)
        return cls(sender, recipient, salt), ciphertext

    @property
    def header(self) -> bytes:
        """All bytes before the ciphertext."""
        return _VERSION + _prefixed(self.sender) + _prefixed(self.recipient) + self.salt

    def encrypt(self, payload: bytes, shared_secret: bytearray, *, purpose: str, associated_data: bytes) -> bytes:
        """Return the message that carries ``payload``; ``shared_secret`` is overwritten."""
        cipher, nonce = self._cipher(shared_secret, purpose)
        return self.header + cipher.encrypt(nonce, payload, self.header + associated_data)

    def decrypt(self, ciphertext: bytes, shared_secret: bytearray, *, purpose: str, associated_data: bytes) -> bytes:
        """Return the payload; ``shared_secret`` is overwritten.

        Raises:
            MessageAuthenticationFailed: Altered, or meant for other keys, another purpose or other associated data.
        """
        cipher, nonce = self._cipher(shared_secret, purpose)
        try:
            return cipher.decrypt(nonce, ciphertext, self.header + associated_data)
        except InvalidTag:
            raise MessageAuthenticationFailed(
                "the message's tag does not verify: it was altered, or is for another key, purpose or associated data"
            ) from None

    def _cipher(self, shared_secret: bytearray, purpose: str) -> tuple[AESGCM, bytes]:
        derived = bytearray(_KEY_BYTES + _NONCE_BYTES)
        try:
            derive_into(derived, shared_secret, self.salt, self.info(purpose))
            # A salt is used once, so is the key, so is the nonce.
            return AESGCM(derived[:_KEY_BYTES]), bytes(derived[_KEY_BYTES:])
        finally:
            wipe(shared_secret)
            wipe(derived)

    def info(self, purpose: str) -> bytes:
        """Return what HKDF binds the key to: this format, the purpose, both public keys and the direction.

        Raises:
            InvalidRequest: The purpose is empty, or longer than 65,535 bytes.
        """
        named = purpose.encode()
        if not 1 <= len(named) <= _LONGEST:
            raise InvalidRequest(f"a purpose of {len(named)} bytes; it binds the key, and has 1 to {_LONGEST}")
        return b"".join(map(_prefixed, (_LABEL, named, self.sender, self.recipient)))


def derive_into(derived: bytearray, shared_secret: bytearray, salt: bytes, info: bytes) -> None:
    """Fill ``derived`` with HKDF-SHA256 of ``shared_secret``."""
    HKDF(SHA256(), len(derived), salt, info).derive_into(shared_secret, derived)


def agreement_key(der: bytes, whose: str) -> ec.EllipticCurvePublicKey:
    """Return a party's public key.

    Args:
        der: SubjectPublicKeyInfo.
        whose: ``sender`` or ``recipient``, for the message.

    Raises:
        PublicKeyInvalid: Not a point of P-256, P-384 or P-521, or not encoded the one way that is bound to keys.
    """
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise PublicKeyInvalid(f"the {whose}'s public key is not a DER SubjectPublicKeyInfo of a valid point") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        kind = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
        raise PublicKeyInvalid(f"the {whose}'s public key is {kind}; AWS KMS agrees on P-256, P-384 and P-521")
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != der:
        raise PublicKeyInvalid(
            f"the {whose}'s public key is to be encoded with a named curve and an uncompressed point"
        )
    return key


def check_parties(sender: bytes, recipient: bytes) -> None:
    """Refuse two public keys that cannot agree.

    Raises:
        PublicKeyInvalid: One is not valid, they are on different curves, or they are the same.
    """
    one, other = agreement_key(sender, "sender"), agreement_key(recipient, "recipient")
    if one.curve.name != other.curve.name:
        raise PublicKeyInvalid(f"the sender's key is on {one.curve.name}, the recipient's on {other.curve.name}")
    if sender == recipient:
        raise PublicKeyInvalid("sender and recipient have the same public key")


def _prefixed(field: bytes) -> bytes:
    return len(field).to_bytes(2) + field


def _field(message: bytes, position: int) -> tuple[bytes, int]:
    start = position + 2
    end = start + int.from_bytes(message[position:start])
    return message[start:end], end
