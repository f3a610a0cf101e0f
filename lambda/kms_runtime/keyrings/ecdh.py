"""Keyrings by elliptic-curve Diffie-Hellman, with a key pair that the caller holds or with one in AWS KMS.

Both write and read the same encrypted data keys: two keys are derived from the shared secret and a random salt, one
that the message commits to and one that wraps the data key with AES-256-GCM. The official SDKs read them.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-raw-ecdh-keyring.html and
https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-kms-ecdh-keyring.html
"""

import hmac
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime.errors import InvalidRequest, MessageAuthenticationFailed, PublicKeyInvalid
from kms_runtime.key_agreement.agreement import KmsParty, LocalParty, Party
from kms_runtime.key_agreement.agreement_message import agreement_key
from kms_runtime.key_arn import check_key_arn
from kms_runtime.keyrings.keyring import DEFAULT_SUITE, DataKey, WrappingKeyring
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey, serialize_context
from kms_runtime.message.suite import IV_LENGTH, TAG_LENGTH, wipe

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

RAW_PROVIDER_ID: Final = "raw-ecdh"
KMS_PROVIDER_ID: Final = "aws-kms-ecdh"

_VERSION: Final = b"\x01"
_SALT_LENGTH: Final = 32
_COMMITMENT_LENGTH: Final = 32
_DERIVED_LENGTH: Final = 64
_CURVES: Final[Mapping[str, bytes]] = {"secp256r1": b"p256", "secp384r1": b"p384", "secp521r1": b"p521"}


class _EcdhKeyring(WrappingKeyring):
    """What both keyrings share; ``own`` and ``peer`` are public keys."""

    _how = " by ECDH with these public keys"

    def __init__(
        self,
        provider_id: str,
        name: str,
        own: ec.EllipticCurvePublicKey | None,
        party: Party | None,
        peer: ec.EllipticCurvePublicKey | None,
    ) -> None:
        if own and peer and own.curve.name != peer.curve.name:
            raise InvalidRequest(f"the peer's public key is on {peer.curve.name}, this party's on {own.curve.name}")
        self._provider_id, self._name = provider_id, name
        self._own: Any = own
        self._party: Any = party
        self._peer = peer

    def wrap_data_key(
        self, data_key: bytearray, encryption_context: Mapping[str, str], _suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> tuple[EncryptedDataKey, ...]:
        """Return ``data_key`` wrapped under a key that only both parties can derive.

        Raises:
            InvalidRequest: The keyring has no ``peer_public_key``, so it can only decrypt.
            AwsError: AWS KMS refused; the class name is its error code.
        """
        if self._peer is None:
            raise InvalidRequest(f"this keyring ({self._name}) has no peer_public_key, so it can only decrypt")
        own, party = self._own, self._party
        if own is None or party is None:
            once = ec.generate_private_key(self._peer.curve)
            own, party = once.public_key(), LocalParty(once)
        info = _fixed_info(own, self._peer, encryption_context)
        salt = os.urandom(_SALT_LENGTH)
        commitment, wrapping_key = _derive(party, self._peer, salt, info)
        wrapped = AESGCM(wrapping_key).encrypt(bytes(IV_LENGTH), data_key, info)
        wipe(wrapping_key)
        return (EncryptedDataKey(self._provider_id, _provider_info(own, self._peer), salt + commitment + wrapped),)

    def _check_decrypts(self, suite: AlgorithmSuite) -> None:  # noqa: ARG002
        if self._own is None or self._party is None:
            raise InvalidRequest(f"this keyring ({self._name}) has no private key, so it can only encrypt")

    def _is_mine(self, key: EncryptedDataKey) -> bool:
        return self._parties(key) is not None

    def _parties(self, key: EncryptedDataKey) -> tuple[bytes, bytes] | None:
        """Return the sender's and the recipient's point if ``key`` is between them and us."""
        if key.provider_id not in {RAW_PROVIDER_ID, KMS_PROVIDER_ID}:
            return None
        mine = _point(self._own)
        found = _parse_provider_info(key.provider_info, len(mine))
        if found is None:
            return None
        if self._peer is None:
            return found if found[1] == mine else None
        return found if {found, found[::-1]} & {(mine, _point(self._peer))} else None

    def _decrypt(self, key: EncryptedDataKey, context: Mapping[str, str], suite: AlgorithmSuite) -> DataKey:
        parties = self._parties(key) or ()
        failed = MessageAuthenticationFailed(f"no data key can be decrypted under {self._name} and this context")
        if len(key.ciphertext) != _SALT_LENGTH + _COMMITMENT_LENGTH + suite.key_length + TAG_LENGTH:
            raise failed
        try:
            sender, recipient = (
                ec.EllipticCurvePublicKey.from_encoded_point(self._own.curve, point) for point in parties
            )
        except ValueError:
            raise PublicKeyInvalid("a public key of the message is not a point of the curve") from None
        salt, rest = key.ciphertext[:_SALT_LENGTH], key.ciphertext[_SALT_LENGTH:]
        info = _fixed_info(sender, recipient, context)
        peer = sender if _point(recipient) == _point(self._own) else recipient
        commitment, wrapping_key = _derive(self._party, peer, salt, info)
        data_key = bytearray(suite.key_length)
        try:
            if not hmac.compare_digest(commitment, rest[:_COMMITMENT_LENGTH]):
                raise failed
            AESGCM(wrapping_key).decrypt_into(bytes(IV_LENGTH), rest[_COMMITMENT_LENGTH:], info, data_key)
        except InvalidTag:
            wipe(data_key)
            raise failed from None
        finally:
            wipe(wrapping_key)
        return DataKey(data_key, (key,), self._name)


class RawEcdhKeyring(_EcdhKeyring):
    """Wraps data keys under a key agreed between key pairs outside of AWS KMS; it calls no AWS at all.

    - ``private_key`` and ``peer_public_key``: encrypts for the peer and decrypts what either sent to the other
      (AWS's RawPrivateKeyToStaticPublicKey).
    - ``peer_public_key`` alone: encrypts with a key pair made for one message; only the peer can decrypt it
      (EphemeralPrivateKeyToStaticPublicKey).
    - ``private_key`` alone: decrypts what any sender encrypted for it (PublicKeyDiscovery). **Anyone who has the public
      key can be the sender.**

    Args:
        private_key: On P-256, P-384 or P-521.
        peer_public_key: DER SubjectPublicKeyInfo, on the same curve.

    Raises:
        InvalidRequest: Both are missing, or on different curves.
        PublicKeyInvalid: A key is not on one of the curves.
    """

    def __init__(
        self, *, private_key: ec.EllipticCurvePrivateKey | None = None, peer_public_key: bytes | None = None
    ) -> None:
        if private_key is None and peer_public_key is None:
            raise InvalidRequest("RawEcdhKeyring needs a private_key, a peer_public_key, or both")
        party = LocalParty(private_key) if private_key is not None else None
        own = agreement_key(party.public_key, "private key") if party else None
        peer = agreement_key(peer_public_key, "peer") if peer_public_key is not None else None
        super().__init__(RAW_PROVIDER_ID, RAW_PROVIDER_ID, own, party, peer)


class KmsEcdhKeyring(_EcdhKeyring):
    """Wraps data keys under a key agreed with an ECC KMS key: one call of DeriveSharedSecret per message.

    With ``peer_public_key`` it encrypts for the peer and decrypts what either sent to the other (AWS's
    KmsPrivateKeyToStaticPublicKey); without, it decrypts what any sender encrypted for the KMS key
    (KmsPublicKeyDiscovery), and **anyone who has the public key can be the sender**. No key policy can demand the
    encryption context: AWS KMS is not told it.

    Args:
        key_arn: ARN of a key with usage KEY_AGREEMENT.
        public_key: What AWS KMS GetPublicKey returns for it, DER.
        kms_client: A ``boto3.client("kms")`` for the key's Region.
        peer_public_key: The other party's, DER SubjectPublicKeyInfo on the same curve.

    Raises:
        InvalidArnException: ``key_arn`` is not a key ARN.
        InvalidRequest: The keys are on different curves.
        PublicKeyInvalid: A public key is not DER, or not on P-256, P-384 or P-521.
    """

    def __init__(
        self, key_arn: str, *, public_key: bytes, kms_client: "KMSClient", peer_public_key: bytes | None = None
    ) -> None:
        peer = agreement_key(peer_public_key, "peer") if peer_public_key is not None else None
        party = KmsParty(check_key_arn(key_arn), kms_client, public_key)
        super().__init__(KMS_PROVIDER_ID, key_arn, agreement_key(public_key, "KMS key"), party, peer)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _provider_info(sender: ec.EllipticCurvePublicKey, recipient: ec.EllipticCurvePublicKey) -> bytes:
    points = _point(recipient), _point(sender)
    return _VERSION + b"".join(len(point).to_bytes(4) + point for point in points)


def _parse_provider_info(info: bytes, length: int) -> tuple[bytes, bytes] | None:
    """Return the sender's and the recipient's point, if both have ``length`` bytes."""
    recipient, sender = info[5 : 5 + length], info[9 + length :]
    expected = _VERSION + b"".join(length.to_bytes(4) + point for point in (recipient, sender))
    return (sender, recipient) if info == expected and len(sender) == length else None


def _fixed_info(
    sender: ec.EllipticCurvePublicKey, recipient: ec.EllipticCurvePublicKey, context: Mapping[str, str]
) -> bytes:
    points = _point(sender) + _point(recipient)
    curve = _CURVES[sender.curve.name]
    parts = (b"ecdh-key-derivation", curve, b"HMAC_SHA384", points, _VERSION, serialize_context(context)[2:])
    return b"\0".join(parts)


def _derive(party: Party, peer: ec.EllipticCurvePublicKey, salt: bytes, info: bytes) -> tuple[bytes, bytearray]:
    """Return the commitment and the wrapping key: NIST SP 800-108 in counter mode with HMAC-SHA384."""
    secret = party.shared_secret(peer.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    fixed = info + b"\0" + salt + (_DERIVED_LENGTH * 8).to_bytes(4)
    derived = bytearray()
    for counter in (1, 2):
        derived += hmac.digest(secret, counter.to_bytes(4) + fixed, "sha384")
    wipe(secret)
    commitment, wrapping_key = bytes(derived[:_COMMITMENT_LENGTH]), derived[_COMMITMENT_LENGTH:_DERIVED_LENGTH]
    wipe(derived)
    return commitment, wrapping_key
