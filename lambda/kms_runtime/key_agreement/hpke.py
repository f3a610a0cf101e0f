"""Hybrid Public Key Encryption for an ML-KEM key whose private half stays in AWS KMS: base mode, one message each.

The KEM of a recipient is one call of Decapsulate; the key schedule and the AEAD of RFC 9180 are here. A sender needs
the public key and any HPKE library, or :func:`encrypt`; it calls no AWS. A message is what HPKE's single-shot API
returns: the encapsulated key, then the ciphertext with its tag.

ML-KEM rejects implicitly (FIPS 203, section 6.3): for a foreign or altered encapsulated key, AWS KMS returns 32 other
bytes without an error. They lead to another key, so the tag of the AEAD does not verify: that is the only refusal.

See https://www.rfc-editor.org/rfc/rfc9180, https://datatracker.ietf.org/doc/draft-ietf-hpke-pq/05/ (6 July 2026, work
in progress) and https://csrc.nist.gov/pubs/fips/203/final
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_runtime.aws_errors import KMSInternalException
from kms_runtime.errors import InvalidRequest, MessageAuthenticationFailed, MessageTruncated, PublicKeyInvalid
from kms_runtime.key_arn import call_kms
from kms_runtime.message.suite import wipe
from kms_runtime.public_keys.jwk import key_spec_of

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

SECRET_BYTES: Final = 32
TAG_BYTES: Final = 16
PAYLOAD_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a payload: what one synchronous invocation of a Lambda function carries as Base64."""

_NONCE_BYTES: Final = 12
_VERSION: Final = b"HPKE-v1"
_BASE_MODE: Final = b"\x00"
# Of HPKE's registry: https://www.iana.org/assignments/hpke
_KDF_IDS: Final = {"sha256": 1, "sha384": 2, "sha512": 3}
_AEAD_IDS: Final = {16: 1, 32: 2}


@dataclass(frozen=True, slots=True)
class Suite:
    """What a sender and a recipient must have in common.

    Args:
        kem_id: HPKE's number of the KEM.
        encapsulated_bytes: Length of an encapsulated key.
        digest: Hash of the KDF, HKDF: ``sha256``, ``sha384`` or ``sha512``.
        key_bytes: 16 for AES-128-GCM, 32 for AES-256-GCM.
    """

    kem_id: int
    encapsulated_bytes: int
    digest: str = "sha256"
    key_bytes: int = 32

    def key_and_nonce(self, shared_secret: bytes | bytearray, info: bytes) -> tuple[bytes, bytes]:
        """Return key and nonce of the first message of a context in base mode (RFC 9180, section 5.1)."""
        context = _BASE_MODE + self._extract(b"", b"psk_id_hash", b"") + self._extract(b"", b"info_hash", info)
        secret = self._extract(bytes(shared_secret), b"secret", b"")
        return (
            self._expand(secret, b"key", context, self.key_bytes),
            self._expand(secret, b"base_nonce", context, _NONCE_BYTES),
        )

    def _extract(self, salt: bytes, label: bytes, keying_material: bytes) -> bytes:
        return hmac.digest(salt, _VERSION + self._identity + label + keying_material, self.digest)

    def _expand(self, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        # One block of HKDF-Expand is longer than all that is asked for here.
        labelled = length.to_bytes(2) + _VERSION + self._identity + label + context
        return hmac.digest(secret, labelled + b"\x01", self.digest)[:length]

    @property
    def _identity(self) -> bytes:
        numbers = (self.kem_id, _KDF_IDS[self.digest], _AEAD_IDS[self.key_bytes])
        return b"HPKE" + b"".join(number.to_bytes(2) for number in numbers)


SUITES: Final[Mapping[str, Suite]] = {
    "ML_KEM_768": Suite(0x0041, 1088),
    "ML_KEM_1024": Suite(0x0042, 1568, digest="sha384"),
}
"""The one suite of each key spec: HKDF-SHA256 or HKDF-SHA384, and AES-256-GCM. ML_KEM_512 has none: ``cryptography`` 50
does not implement it, and the draft advises against it."""

HYBRID: Final = "ML_KEM_1024 with ECC_NIST_P384"
_RECEIVED: Final = {**SUITES, HYBRID: Suite(0x0051, 1568 + 97, digest="sha384")}


class Recipient(Protocol):
    """A holder of an ML-KEM private key, or of that and an ECC private key."""

    @property
    def key_spec(self) -> str:
        """``ML_KEM_768``, ``ML_KEM_1024``, or :data:`HYBRID`."""

    def decapsulate(self, encapsulated: bytes) -> bytearray:
        """Return the secret of 32 bytes; the caller wipes it."""


@dataclass(frozen=True, slots=True)
class KmsRecipient:
    """An ML-KEM key of AWS KMS: one call of Decapsulate per message.

    Args:
        key_arn: ARN of the key.
        key_spec: ``ML_KEM_768`` or ``ML_KEM_1024``: of what length an encapsulated key is.
        kms_client: A client that has Decapsulate: see :mod:`kms_runtime.kms_model`.
    """

    key_arn: str
    key_spec: str
    kms_client: "KMSClient" = field(repr=False)

    def decapsulate(self, encapsulated: bytes) -> bytearray:
        """Return the secret; 32 other bytes, and no error, for an encapsulated key that is not of this key.

        Raises:
            IncorrectKeyException: The response is for another key.
            KMSInternalException: The secret is not of 32 bytes.
            AwsError: AWS KMS refused; the class name is its error code.
        """
        client: Any = self.kms_client
        given = {"EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": encapsulated}
        response = call_kms(client.decapsulate, "Decapsulate", self.key_arn, **given)
        secret = bytearray(response["SharedSecret"])
        if len(secret) != SECRET_BYTES:
            message = f"Decapsulate returned {len(secret)} bytes, not {SECRET_BYTES}"
            raise KMSInternalException(message, operation="Decapsulate")
        return secret


def encrypt(payload: bytes, *, public_key: bytes, info: bytes = b"", associated_data: bytes = b"") -> bytes:
    """Return the HPKE message that carries ``payload``, made without AWS.

    Args:
        payload: At most 4 MiB.
        public_key: The recipient's, DER of a SubjectPublicKeyInfo, as GetPublicKey returns it.
        info: What the key is for; the recipient names the same.
        associated_data: Authenticated and not part of the message; the recipient names the same.

    Raises:
        InvalidRequest: The payload is too long.
        PublicKeyInvalid: ``public_key`` is not an ML-KEM-768 or ML-KEM-1024 key.
    """
    if len(payload) > PAYLOAD_LIMIT:
        raise InvalidRequest(f"a payload of {len(payload)} bytes; at most {PAYLOAD_LIMIT} fit, use an envelope instead")
    key = _ml_kem_key(public_key)
    made, encapsulated = key.encapsulate()
    secret = bytearray(made)
    try:
        cipher_key, nonce = SUITES[key_spec_of(key)].key_and_nonce(secret, info)
        return encapsulated + AESGCM(cipher_key).encrypt(nonce, payload, associated_data)
    finally:
        wipe(secret)


def decrypt(message: bytes, *, recipient: Recipient, info: bytes = b"", associated_data: bytes = b"") -> bytes:
    """Return the payload of an HPKE message.

    Raises:
        InvalidRequest: ``recipient`` is of a key spec without a suite.
        MessageTruncated: The message is shorter than an encapsulated key and a tag, so nothing was called.
        MessageAuthenticationFailed: Altered, or for another key, suite, ``info`` or associated data.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    suite = _RECEIVED.get(recipient.key_spec)
    if suite is None:
        raise InvalidRequest(f"a key of {recipient.key_spec} does not receive HPKE messages; {', '.join(SUITES)} do")
    encapsulated, ciphertext = message[: suite.encapsulated_bytes], message[suite.encapsulated_bytes :]
    if len(ciphertext) < TAG_BYTES:
        raise MessageTruncated(
            f"a message of {len(message)} bytes; for {recipient.key_spec} the encapsulated key and the tag alone have "
            f"{suite.encapsulated_bytes + TAG_BYTES}"
        )
    secret = recipient.decapsulate(encapsulated)
    try:
        cipher_key, nonce = suite.key_and_nonce(secret, info)
        return AESGCM(cipher_key).decrypt(nonce, ciphertext, associated_data)
    except InvalidTag:
        raise MessageAuthenticationFailed(
            "the message's tag does not verify: it was altered, or is for another key, suite, info or associated data"
        ) from None
    finally:
        wipe(secret)


def _ml_kem_key(der: bytes) -> MLKEM768PublicKey | MLKEM1024PublicKey:
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise PublicKeyInvalid("the recipient's public key is not a DER SubjectPublicKeyInfo of a known kind") from None
    if not isinstance(key, MLKEM768PublicKey | MLKEM1024PublicKey):
        raise PublicKeyInvalid(f"the recipient's public key is of {key_spec_of(key)}, not of {', '.join(SUITES)}")
    return key
