"""Payloads encrypted between an ECC KMS key and an outsider: ECDH, HKDF-SHA256, AES-256-GCM.

One party's private key stays in AWS KMS (:class:`KmsParty`), the other's is anywhere (:class:`LocalParty`, which calls
no AWS at all). :mod:`kms_runtime.key_agreement.agreement_message` documents the key derivation and the message.

See https://docs.aws.amazon.com/kms/latest/APIReference/API_DeriveSharedSecret.html
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime.aws_errors import KMSInternalException
from kms_runtime.errors import InvalidRequest, PublicKeyInvalid
from kms_runtime.key_agreement.agreement_message import Envelope, agreement_key
from kms_runtime.key_arn import call_kms

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

PAYLOAD_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of a payload: what one synchronous invocation of a Lambda function carries as Base64."""


class Party(Protocol):
    """A holder of a private key."""

    @property
    def public_key(self) -> bytes | None:
        """The public half, DER; None if the party does not know it."""

    def shared_secret(self, peer: bytes) -> bytearray:
        """Return the secret shared with the owner of the public key ``peer`` (DER); the caller wipes it."""


@dataclass(frozen=True, slots=True)
class KmsParty:
    """A KMS key with the key usage KEY_AGREEMENT: one call of DeriveSharedSecret per message.

    Args:
        key_arn: ARN of the key.
        kms_client: A ``boto3.client("kms")``.
        public_key: The key's public half, DER, which ``decrypt`` compares. Defaults to no comparison: a role that may
            derive need not be able to download the public key.
    """

    key_arn: str
    kms_client: "KMSClient" = field(repr=False)
    public_key: bytes | None = field(default=None, repr=False)

    def shared_secret(self, peer: bytes) -> bytearray:
        """Return the secret shared with ``peer``; botocore's own copy of it is released, and cannot be wiped.

        Raises:
            IncorrectKeyException: The response is for another key.
            KMSInternalException: The secret has not the length that the curve gives it.
            AwsError: AWS KMS refused, such as a ``peer`` on another curve; the class name is its error code.
        """
        given = {"KeyAgreementAlgorithm": "ECDH", "PublicKey": peer}
        response = call_kms(self.kms_client.derive_shared_secret, "DeriveSharedSecret", self.key_arn, **given)
        secret = bytearray(response["SharedSecret"])
        expected = (agreement_key(peer, "peer").curve.key_size + 7) // 8
        if len(secret) != expected:
            message = f"DeriveSharedSecret returned {len(secret)} bytes, not {expected}"
            raise KMSInternalException(message, operation="DeriveSharedSecret")
        return secret


@dataclass(frozen=True, slots=True)
class LocalParty:
    """A private key outside of AWS KMS: the outsider's half, with no AWS credentials and no call.

    Args:
        private_key: On the curve of the KMS key; make one per message to be anonymous, keep one to be recognized.
    """

    private_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def public_key(self) -> bytes:
        """The public half, DER, as messages carry it."""
        return self.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def shared_secret(self, peer: bytes) -> bytearray:
        """Return the secret shared with ``peer``; the copy that ``cryptography`` made is released, and cannot be wiped.

        Raises:
            PublicKeyInvalid: Not a key of this curve.
        """
        other, mine = agreement_key(peer, "peer"), self.private_key.curve.name
        if other.curve.name != mine:
            raise PublicKeyInvalid(f"the peer's public key is on {other.curve.name}, this private key on {mine}")
        return bytearray(self.private_key.exchange(ec.ECDH(), other))


@dataclass(frozen=True, slots=True)
class Decrypted:
    """The payload of a message, and the public key of its sender. The payload is kept out of ``repr``."""

    payload: bytes = field(repr=False)
    sender: bytes


def encrypt(
    payload: bytes, *, party: Party, sender: bytes, recipient: bytes, purpose: str, associated_data: bytes = b""
) -> bytes:
    """Return a message that only the owner of ``recipient`` can decrypt.

    Args:
        payload: At most 4 MiB.
        party: The sender's private key.
        sender: The sender's public key, DER. A message under a wrong one cannot be decrypted.
        recipient: The recipient's public key, DER. Make sure by another channel whose it is: AWS KMS cannot.
        purpose: What the key is for, such as ``orders``; both sides must say the same.
        associated_data: Bytes that are authenticated and not sent; the recipient must give the same.

    Raises:
        InvalidRequest: The payload is too large, or the purpose empty; AWS KMS is not called.
        PublicKeyInvalid: The keys cannot agree; AWS KMS is not called.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    if len(payload) > PAYLOAD_LIMIT:
        raise InvalidRequest(
            f"the payload has {len(payload)} bytes, at most {PAYLOAD_LIMIT} are encrypted; for more, encrypt a data key"
        )
    envelope = Envelope.new(sender, recipient)
    envelope.info(purpose)
    secret = party.shared_secret(recipient)
    return envelope.encrypt(payload, secret, purpose=purpose, associated_data=associated_data)


def decrypt(
    message: bytes, *, party: Party, purpose: str, associated_data: bytes = b"", sender: bytes | None = None
) -> Decrypted:
    """Return the payload of a message that :func:`encrypt` made for ``party``.

    A message whose recipient was altered cannot be decrypted. The sender itself can name any recipient in its own
    message: a ``party`` that knows its public key refuses one that is not its own.

    Args:
        message: The message.
        party: The recipient's private key.
        purpose: What the sender gave.
        associated_data: What the sender gave.
        sender: The only public key that is accepted as the sender's, DER. Defaults to any: the result says whose.

    Raises:
        MessageFormatError: Not such a message.
        PublicKeyInvalid: Its keys cannot agree, it is from another sender, or names another recipient; AWS KMS is not
            called.
        MessageAuthenticationFailed: Altered, or for another key, purpose or associated data.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    envelope, ciphertext = Envelope.of(message)
    if sender is not None and envelope.sender != sender:
        raise PublicKeyInvalid("the message is from another sender than the one that is expected")
    if party.public_key is not None and envelope.recipient != party.public_key:
        raise PublicKeyInvalid("the message names another recipient's public key than the party's")
    envelope.info(purpose)
    secret = party.shared_secret(envelope.sender)
    payload = envelope.decrypt(ciphertext, secret, purpose=purpose, associated_data=associated_data)
    return Decrypted(payload, envelope.sender)
