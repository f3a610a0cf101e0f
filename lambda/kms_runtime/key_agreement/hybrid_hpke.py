"""A recipient of HPKE messages with two keys of AWS KMS, ML-KEM and ECDH: an attacker has to break both.

The KEM is MLKEM1024-P384, number 0x0051 of draft-ietf-hpke-pq-05: one shared secret is hashed from both secrets, the
ECDH half of the encapsulated key and the ECDH public key. The message stays secret as long as one of the two KEMs
holds. A sender needs an HPKE library that has it, such as ``cryptography`` 50, and both public keys.

See https://datatracker.ietf.org/doc/draft-irtf-cfrg-concrete-hybrid-kems/04/ (6 July 2026, work in progress) and
Giacon, Heuer, Poettering, "KEM Combiners", https://eprint.iacr.org/2018/024
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime.errors import InvalidRequest, MessageAuthenticationFailed
from kms_runtime.key_agreement.agreement import KmsParty
from kms_runtime.key_agreement.agreement_message import agreement_key
from kms_runtime.key_agreement.hpke import HYBRID, SUITES, KmsRecipient
from kms_runtime.message.suite import wipe

_POINT: Final = Encoding.X962, PublicFormat.UncompressedPoint
_LABEL: Final = b"MLKEM1024-P384"


@dataclass(frozen=True, slots=True)
class KmsHybridRecipient:
    """An ML-KEM-1024 key and a P-384 key of AWS KMS: one call of Decapsulate and one of DeriveSharedSecret per message.

    Args:
        kem: The ML-KEM-1024 key.
        agreement: The P-384 key, with its public key.

    Raises:
        InvalidRequest: The keys are of other specs, or the public key is missing.
    """

    kem: KmsRecipient
    agreement: KmsParty

    def __post_init__(self) -> None:
        public_key = self.agreement.public_key
        curve = public_key and agreement_key(public_key, "agreement").curve.name
        if self.kem.key_spec != "ML_KEM_1024" or curve != "secp384r1":
            given = f"on {curve}" if curve else "without its public key"
            raise InvalidRequest(
                f"a hybrid recipient has keys of {self.kem.key_spec} and {given}; it needs ML_KEM_1024 and secp384r1 "
                "(ECC_NIST_P384) with its public key"
            )

    @property
    def key_spec(self) -> str:
        """What the encapsulated keys are for."""
        return HYBRID

    def decapsulate(self, encapsulated: bytes) -> bytearray:
        """Return the secret of 32 bytes, which the caller wipes; errors as of either key.

        Raises:
            MessageAuthenticationFailed: The ECDH half is not a point of P-384; nothing was called.
        """
        length = SUITES["ML_KEM_1024"].encapsulated_bytes
        ours, point = encapsulated[:length], encapsulated[length:]
        try:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)
        except ValueError:
            raise MessageAuthenticationFailed("the ECDH half of the encapsulated key is not a point of P-384") from None
        traditional = self.agreement.shared_secret(peer.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        try:
            secret = self.kem.decapsulate(ours)
            try:
                own = agreement_key(self.agreement.public_key or b"", "agreement").public_bytes(*_POINT)
                combined = hashlib.sha3_256()
                for part in (secret, traditional, point, own, _LABEL):
                    combined.update(part)
                return bytearray(combined.digest())
            finally:
                wipe(secret)
        finally:
            wipe(traditional)
