"""What the rows work on: keys made on first use, ciphertexts, signatures; all keys are scheduled for deletion."""

import hashlib
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CONTEXT = {"tenant": "a", "purpose": "contract"}
MESSAGE = b"a message of the contract"
DIGEST = hashlib.sha256(MESSAGE).digest()
MISSING = "00000000-0000-0000-0000-000000000000"
TAG = {"TagKey": "kms-patterns", "TagValue": "contract"}


class Bench:
    """One account: the embedded AWS's root, or a real one's profile.

    ``made`` is what must be cleaned up, ``outcomes`` what came of each row: operation, case, expected, found.
    """

    def __init__(self, kms: Any) -> None:
        self.kms = kms
        self.made: list[str] = []
        self.outcomes: list[tuple[str, str, str, str]] = []
        self._keys: dict[tuple[str, str], str] = {}

    def key(self, spec: str = "SYMMETRIC_DEFAULT", usage: str = "ENCRYPT_DECRYPT") -> str:
        """Return the one key of a spec and usage."""
        if (spec, usage) not in self._keys:
            self._keys[spec, usage] = self.new(KeySpec=spec, KeyUsage=usage)
        return self._keys[spec, usage]

    def new(self, **request: Any) -> str:
        """Make a key of its own for one row."""
        made = self.kms.create_key(Description="kms-patterns contract test", Tags=[TAG], **request)
        self.made.append(made["KeyMetadata"]["Arn"])
        return self.made[-1]

    @cached_property
    def other(self) -> str:
        """A second symmetric key."""
        return self.new()

    @cached_property
    def disabled(self) -> str:
        """A disabled key."""
        key = self.new()
        self.kms.disable_key(KeyId=key)
        return key

    @cached_property
    def pending_deletion(self) -> str:
        """A key on its way out."""
        key = self.new()
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        return key

    @cached_property
    def pending_import(self) -> str:
        """A key without material."""
        return self.new(Origin="EXTERNAL")

    @cached_property
    def ciphertext(self) -> bytes:
        """``MESSAGE`` under the symmetric key and ``CONTEXT``."""
        blob: bytes = self.kms.encrypt(KeyId=self.key(), Plaintext=MESSAGE, EncryptionContext=CONTEXT)["CiphertextBlob"]
        return blob

    @cached_property
    def signature(self) -> bytes:
        """The P-256 signature of ``MESSAGE``."""
        answer = self.kms.sign(KeyId=self.p256, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256")
        signature: bytes = answer["Signature"]
        return signature

    @property
    def p256(self) -> str:
        """The P-256 signing key."""
        return self.key("ECC_NIST_P256", "SIGN_VERIFY")

    @property
    def hmac(self) -> str:
        """The HMAC key."""
        return self.key("HMAC_256", "GENERATE_VERIFY_MAC")

    @property
    def rsa(self) -> str:
        """The RSA encryption key."""
        return self.key("RSA_2048")

    @property
    def rsa_signing(self) -> str:
        """The RSA signing key."""
        return self.key("RSA_2048", "SIGN_VERIFY")

    @property
    def agreement(self) -> str:
        """The key agreement key."""
        return self.key("ECC_NIST_P256", "KEY_AGREEMENT")

    def clean_up(self) -> list[str]:
        """Schedule every key for deletion, as soon as KMS allows; return those that could not be."""
        left = []
        for key in self.made:
            try:
                self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
            except self.kms.exceptions.KMSInvalidStateException:
                continue  # already scheduled, by the row that needed it
            except Exception as failed:  # noqa: BLE001 - the others must be tried, this one reported
                left.append(f"{key}: {failed}")
        return left


def foreign_public_key(curve: ec.EllipticCurve) -> bytes:
    """Return a public key that is not in KMS, DER."""
    public = ec.generate_private_key(curve).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
