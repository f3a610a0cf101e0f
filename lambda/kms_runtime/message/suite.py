"""Algorithm suites: how a message's keys are derived, whether they are committed to, and whether it is signed.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/algorithms-reference.html
"""

from dataclasses import dataclass

from kms_runtime.errors import MessageFormatError

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
