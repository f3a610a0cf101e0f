"""Algorithm suites: how a message's keys are derived, whether they are committed to, and whether it is signed.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/algorithms-reference.html and
https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/concepts.html#commitment-policy
"""

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kms_runtime.errors import CommitmentRequired, MessageAuthenticationFailed, MessageFormatError

COMMITMENT_LENGTH = 32
IV_LENGTH = 12
TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class AlgorithmSuite:
    """One way to protect a message; every one of them encrypts with AES-GCM.

    Args:
        suite_id: The id that the message carries in its header, authenticated.
        key_length: Bytes of the data key and of the key derived from it.
        kdf_hash: Hash of HKDF (``"sha256"`` …); None if the data key itself encrypts.
        curve: Elliptic curve of the ECDSA signature (``"secp384r1"`` …); None if the message is not signed.
        committing: Whether the message commits to its key (message format version 2).
    """

    suite_id: int
    key_length: int
    kdf_hash: str | None
    curve: str | None = None
    committing: bool = False

    @property
    def id_bytes(self) -> bytes:
        """The id as the message carries it."""
        return self.suite_id.to_bytes(2)

    @property
    def version(self) -> int:
        """Version of the message format."""
        return 2 if self.committing else 1

    @property
    def message_id_length(self) -> int:
        """Bytes of the message id."""
        return 32 if self.committing else 16

    @property
    def signed(self) -> bool:
        """Whether a signature follows the body."""
        return self.curve is not None

    def __str__(self) -> str:
        """Return the id as AWS writes it."""
        return f"0x{self.suite_id:04X}"


AES_256_GCM_HKDF_SHA512_COMMIT_KEY = AlgorithmSuite(0x0478, 32, "sha512", None, committing=True)
"""AES-256-GCM with key commitment: the default."""

AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384 = AlgorithmSuite(0x0578, 32, "sha512", "secp384r1", committing=True)
"""The same, and signed: for readers that must not be able to write as the writer does."""

WRITABLE = (AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384)

_READABLE = {
    suite.suite_id: suite
    for suite in (
        *WRITABLE,
        AlgorithmSuite(0x0014, 16, None),
        AlgorithmSuite(0x0046, 24, None),
        AlgorithmSuite(0x0078, 32, None),
        AlgorithmSuite(0x0114, 16, "sha256"),
        AlgorithmSuite(0x0146, 24, "sha256"),
        AlgorithmSuite(0x0178, 32, "sha256"),
        AlgorithmSuite(0x0214, 16, "sha256", "secp256r1"),
        AlgorithmSuite(0x0346, 24, "sha384", "secp384r1"),
        AlgorithmSuite(0x0378, 32, "sha384", "secp384r1"),
    )
}


def suite_of(suite_id: int, *, version: int) -> AlgorithmSuite:
    """Return the suite with this id, which a message of format ``version`` may carry.

    Raises:
        MessageFormatError: There is none.
    """
    suite = _READABLE.get(suite_id)
    if suite is None or suite.version != version:
        raise MessageFormatError(f"algorithm suite 0x{suite_id:04X}; message format version {version} has none such")
    return suite


def wipe(secret: bytearray) -> None:
    """Overwrite ``secret`` with zeros in place."""
    secret[:] = bytes(len(secret))


class CommitmentPolicy(Enum):
    """What is accepted on decryption. Encryption always commits, so AWS's third policy, which forbids it, is not here.

    Without commitment, a writer with two data keys can make one ciphertext that decrypts to a different plaintext
    under each. Allow such messages only for as long as old ones exist.
    """

    REQUIRE_ENCRYPT_REQUIRE_DECRYPT = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"
    REQUIRE_ENCRYPT_ALLOW_DECRYPT = "REQUIRE_ENCRYPT_ALLOW_DECRYPT"

    def check(self, suite: AlgorithmSuite) -> None:
        """Refuse a message under ``suite`` unless this policy accepts it.

        Raises:
            CommitmentRequired: The suite does not commit and this policy requires that.
        """
        if self is CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT and not suite.committing:
            raise CommitmentRequired(
                f"the message (format version 1, suite {suite}) does not commit to its key; only "
                "commitment_policy=REQUIRE_ENCRYPT_ALLOW_DECRYPT accepts that"
            )


HEADER_IV = bytes(IV_LENGTH)

_SHA512 = SHA512()
_LEGACY_HASHES: dict[str, type[HashAlgorithm]] = {"sha256": SHA256, "sha384": SHA384}
# HKDF-Expand of at most one block is one HMAC of the info and the byte 1 (RFC 5869, section 2.3).
_EXPAND_KEY = b"DERIVEKEY\x01"
_EXPAND_COMMITMENT = b"COMMITKEY\x01"


class MessageKeys(NamedTuple):
    """The body cipher and the key commitment, which is empty for a suite without one.

    The derived key lives on inside OpenSSL until the cipher is freed. What HKDF makes on the way are immutable
    ``bytes`` that Python cannot wipe; they are released at once.
    """

    cipher: AESGCM
    commitment: bytes

    @classmethod
    def derive(cls, suite: AlgorithmSuite, data_key: bytearray, message_id: bytes) -> Self:
        """Derive the keys that ``suite`` asks for from a ``data_key`` of its key length."""
        if suite.kdf_hash is None:
            return cls(AESGCM(data_key), b"")
        body_key = bytearray(suite.key_length)
        try:
            commitment = _derive(suite, data_key, message_id, body_key)
            return cls(AESGCM(body_key), commitment)
        finally:
            wipe(body_key)

    def header_tag(self, authenticated: bytes) -> bytes:
        """Return the tag that authenticates the header's body and the encryption context that is not stored in it."""
        return self.cipher.encrypt(HEADER_IV, b"", authenticated)

    def verify_header(self, authenticated: bytes, commitment: bytes, tag: bytes, iv: bytes = HEADER_IV) -> None:
        """Check the key commitment, then the tag over ``authenticated``: see ``header_tag``.

        Raises:
            MessageAuthenticationFailed: One of them does not verify.
        """
        if not hmac.compare_digest(commitment, self.commitment):
            raise MessageAuthenticationFailed("the key commitment of the message header does not match its data key")
        try:
            self.cipher.decrypt(iv, tag, authenticated)
        except InvalidTag:
            raise MessageAuthenticationFailed("the message header's authentication tag does not verify") from None


def _derive(suite: AlgorithmSuite, data_key: bytearray, message_id: bytes, body_key: bytearray) -> bytes:
    """Fill ``body_key`` and return the key commitment; with one, extract once and expand twice, as specified."""
    if not suite.committing:
        algorithm = _LEGACY_HASHES[str(suite.kdf_hash)]()
        HKDF(algorithm, suite.key_length, None, suite.id_bytes + message_id).derive_into(data_key, body_key)
        return b""
    pseudorandom_key = HKDF.extract(_SHA512, message_id, data_key)
    expand_key = HMAC(pseudorandom_key, _SHA512)
    expand_commitment = expand_key.copy()  # keyed once for both, which takes a third of the time off
    expand_key.update(suite.id_bytes + _EXPAND_KEY)
    body_key[:] = expand_key.finalize()[: suite.key_length]
    expand_commitment.update(_EXPAND_COMMITMENT)
    return expand_commitment.finalize()[:COMMITMENT_LENGTH]
