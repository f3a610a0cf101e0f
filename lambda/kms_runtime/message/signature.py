"""The ECDSA signature of a message, over header and body, in the footer after them.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html#footer-structure
"""

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime.errors import MessageAuthenticationFailed, MessageFormatError

# The legacy official SDK reads no other length than this one, the most common of a DER signature on P-384.
SIGNATURE_LENGTH = 103

_P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)
_CURVES: dict[str, tuple[ec.EllipticCurve, ec.ECDSA]] = {
    "secp256r1": (ec.SECP256R1(), ec.ECDSA(Prehashed(SHA256()))),
    "secp384r1": (ec.SECP384R1(), ec.ECDSA(Prehashed(SHA384()))),
}


class MessageSigner:
    """A key pair of P-384 for one message; its public key travels in the encryption context, bound to the data key."""

    def __init__(self) -> None:
        curve, self._algorithm = _CURVES["secp384r1"]
        self._key = ec.generate_private_key(curve)

    @property
    def verification_key(self) -> str:
        """The public key as the encryption context carries it: the compressed point in Base64."""
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        return base64.b64encode(point).decode()

    def footer(self, digest: bytes) -> bytes:
        """Return the footer of the message with this SHA-384 ``digest``."""
        signature = self._key.sign(digest, self._algorithm)
        while len(signature) != SIGNATURE_LENGTH:
            # The other signature of the same two, r and -s, is often the one of the right length.
            r, s = decode_dss_signature(signature)
            signature = encode_dss_signature(r, _P384_ORDER - s)
            if len(signature) != SIGNATURE_LENGTH:
                signature = self._key.sign(digest, self._algorithm)
        return len(signature).to_bytes(2) + signature


class MessageVerifier:
    """Verifies the signature of a message.

    Args:
        curve: The suite's curve.
        verification_key: What the encryption context carries.

    Raises:
        MessageFormatError: It is not a compressed point of the curve in Base64.
    """

    def __init__(self, curve: str, verification_key: str) -> None:
        parameters, self._algorithm = _CURVES[curve]
        try:
            point = base64.b64decode(verification_key, validate=True)
            if len(point) != 1 + (parameters.key_size + 7) // 8:
                raise MessageFormatError(f"the verification key is not a compressed point: {len(point)} bytes")
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(parameters, point)
        except (binascii.Error, ValueError):
            raise MessageFormatError(f"the verification key is not a point of {curve} in Base64") from None

    def verify(self, digest: bytes, signature: bytes) -> None:
        """Verify ``signature`` over the message with this ``digest``.

        Raises:
            MessageAuthenticationFailed: It does not verify.
        """
        try:
            self._key.verify(signature, digest, self._algorithm)
        except InvalidSignature:
            raise MessageAuthenticationFailed("the message's signature does not verify") from None
