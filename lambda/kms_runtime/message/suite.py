"""Algorithm suite 0x0478: AES-256-GCM, HKDF-SHA512 with key commitment, no signature.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/algorithms-reference.html
"""

import hmac
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from kms_runtime.errors import MessageAuthenticationFailed

SUITE_ID = 0x0478
SUITE_ID_BYTES = SUITE_ID.to_bytes(2)
KEY_LENGTH = 32
MESSAGE_ID_LENGTH = 32
COMMITMENT_LENGTH = 32
IV_LENGTH = 12
TAG_LENGTH = 16

_HEADER_IV = bytes(IV_LENGTH)
_EXPAND_KEY = SUITE_ID_BYTES + b"DERIVEKEY"
_EXPAND_COMMITMENT = b"COMMITKEY"


def wipe(secret: bytearray) -> None:
    """Overwrite ``secret`` with zeros in place."""
    secret[:] = bytes(len(secret))


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """What one message derives from its data key: the body cipher and the key commitment.

    The derived key lives on inside OpenSSL until the cipher is freed. The HKDF pseudorandom key is an immutable
    ``bytes`` that Python cannot wipe; it is released at once.
    """

    cipher: AESGCM
    commitment: bytes

    @classmethod
    def derive(cls, data_key: bytearray, message_id: bytes) -> Self:
        """Derive body key and commitment from a 32-byte ``data_key``; extract once, expand twice, as specified."""
        pseudorandom_key = HKDF.extract(SHA512(), message_id, data_key)
        body_key = bytearray(KEY_LENGTH)
        try:
            HKDFExpand(SHA512(), KEY_LENGTH, _EXPAND_KEY).derive_into(pseudorandom_key, body_key)
            commitment = HKDFExpand(SHA512(), COMMITMENT_LENGTH, _EXPAND_COMMITMENT).derive(pseudorandom_key)
            return cls(AESGCM(body_key), commitment)
        finally:
            wipe(body_key)

    def header_tag(self, header_body: bytes) -> bytes:
        """Return the tag that authenticates ``header_body``."""
        return self.cipher.encrypt(_HEADER_IV, b"", header_body)

    def verify_header(self, header_body: bytes, commitment: bytes, tag: bytes) -> None:
        """Check key commitment, then header tag.

        Raises:
            MessageAuthenticationFailed: One of them does not verify.
        """
        if not hmac.compare_digest(commitment, self.commitment):
            raise MessageAuthenticationFailed("the key commitment of the message header does not match its data key")
        try:
            self.cipher.decrypt(_HEADER_IV, tag, header_body)
        except InvalidTag:
            raise MessageAuthenticationFailed("the message header's authentication tag does not verify") from None
