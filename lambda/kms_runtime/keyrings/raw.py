"""Wrapping keys that the caller holds, for data that leaves AWS and for tests without it.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-raw-aes-keyring.html and
https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-raw-rsa-keyring.html
"""

import os
from collections.abc import Mapping
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512

from kms_runtime.errors import InvalidRequest, MessageAuthenticationFailed
from kms_runtime.keyrings.keyring import DEFAULT_SUITE, DataKey, WrappingKeyring, raw_key_identity
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey, serialize_context
from kms_runtime.message.suite import IV_LENGTH, TAG_LENGTH

_KEY_LENGTHS = (16, 24, 32)


class RawAesKeyring(WrappingKeyring):
    """Wraps data keys under an AES key with AES-GCM, bound to the encryption context.

    Args:
        namespace: Who names the key; not starting with ``aws-kms``. Part of the message, like ``name``.
        name: Which key of the namespace it is.
        wrapping_key: 16, 24 or 32 bytes from a secure source.

    Raises:
        InvalidRequest: The key's length or the namespace is not allowed.
    """

    def __init__(self, namespace: str, name: str, *, wrapping_key: bytes | bytearray) -> None:
        if len(wrapping_key) not in _KEY_LENGTHS:
            raise InvalidRequest(f"a wrapping key of {len(wrapping_key)} bytes; 16, 24 or 32 are allowed")
        self._namespace, encoded = raw_key_identity(namespace, name)
        self._prefix = encoded + (TAG_LENGTH * 8).to_bytes(4) + IV_LENGTH.to_bytes(4)
        self._name = f"{namespace}/{name}"
        self._cipher = AESGCM(wrapping_key)

    def wrap_data_key(
        self, data_key: bytearray, encryption_context: Mapping[str, str], _suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> tuple[EncryptedDataKey, ...]:
        """Return ``data_key`` encrypted under the wrapping key."""
        iv = os.urandom(IV_LENGTH)
        ciphertext = self._cipher.encrypt(iv, data_key, _associated(encryption_context))
        return (EncryptedDataKey(self._namespace, self._prefix + iv, ciphertext),)

    def _check_decrypts(self, suite: AlgorithmSuite) -> None:
        """Do nothing: the one key serves both directions."""

    def _decrypt(self, key: EncryptedDataKey, context: Mapping[str, str], suite: AlgorithmSuite) -> DataKey:
        plaintext = bytearray(suite.key_length)
        failed = MessageAuthenticationFailed(
            f"no data key can be decrypted under {self._name} and this encryption context"
        )
        if len(key.ciphertext) != suite.key_length + TAG_LENGTH:
            raise failed
        try:
            self._cipher.decrypt_into(key.provider_info[-IV_LENGTH:], key.ciphertext, _associated(context), plaintext)
        except InvalidTag:
            raise failed from None
        return DataKey(plaintext, (key,), self._name)

    def _is_mine(self, key: EncryptedDataKey) -> bool:
        return key.provider_id == self._namespace and key.provider_info[:-IV_LENGTH] == self._prefix


def _associated(encryption_context: Mapping[str, str]) -> bytes:
    """The pairs as in the header, without the length before them."""
    return serialize_context(encryption_context)[2:]


PaddingScheme = Literal["OAEP_SHA256_MGF1", "OAEP_SHA1_MGF1", "OAEP_SHA384_MGF1", "OAEP_SHA512_MGF1", "PKCS1"]
"""AWS's names of the paddings; a message does not say which was used."""

_PADDINGS: Final[Mapping[str, padding.AsymmetricPadding]] = {
    **{
        f"OAEP_{name}_MGF1": padding.OAEP(padding.MGF1(digest), digest, None)
        for name, digest in (
            ("SHA256", SHA256()),
            ("SHA1", SHA1()),  # noqa: S303 - safe in OAEP
            ("SHA384", SHA384()),
            ("SHA512", SHA512()),
        )
    },
    "PKCS1": padding.PKCS1v15(),
}


class RawRsaKeyring(WrappingKeyring):
    """Wraps data keys under an RSA key, with OAEP and SHA-256 unless another padding is named.

    **The encryption context is not bound to the data key.** It is still bound to the message, whose header is
    authenticated under that data key.

    Args:
        namespace: Who names the key; not starting with ``aws-kms``. Part of the message, like ``name``.
        name: Which key of the namespace it is.
        public_key: Needed to encrypt.
        private_key: Needed to decrypt.
        padding_scheme: AWS's name of the padding. Defaults to ``OAEP_SHA256_MGF1``. Take ``OAEP_SHA1_MGF1`` and
            ``PKCS1`` only to read what others wrote: PKCS #1 v1.5 has a long history of padding oracles.

    Raises:
        InvalidRequest: The namespace or the padding is not allowed.
    """

    def __init__(
        self,
        namespace: str,
        name: str,
        *,
        public_key: RSAPublicKey | None = None,
        private_key: RSAPrivateKey | None = None,
        padding_scheme: PaddingScheme = "OAEP_SHA256_MGF1",
    ) -> None:
        if padding_scheme not in _PADDINGS:
            raise InvalidRequest(f"padding_scheme {padding_scheme!r} is not one of {', '.join(_PADDINGS)}")
        self._padding = _PADDINGS[padding_scheme]
        self._identity = raw_key_identity(namespace, name)
        self._name = f"{namespace}/{name}"
        self._public_key, self._private_key = public_key, private_key

    def wrap_data_key(
        self, data_key: bytearray, _encryption_context: Mapping[str, str], _suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> tuple[EncryptedDataKey, ...]:
        """Return ``data_key`` encrypted with the public key.

        Raises:
            InvalidRequest: The keyring has no public key.
        """
        if self._public_key is None:
            raise InvalidRequest("this RawRsaKeyring has no public_key, so it can only decrypt")
        return (EncryptedDataKey(*self._identity, self._public_key.encrypt(bytes(data_key), self._padding)),)

    def _check_decrypts(self, suite: AlgorithmSuite) -> None:  # noqa: ARG002
        if self._private_key is None:
            raise InvalidRequest("this RawRsaKeyring has no private_key, so it can only encrypt")

    def _decrypt(self, key: EncryptedDataKey, _context: Mapping[str, str], suite: AlgorithmSuite) -> DataKey:
        private_key: Any = self._private_key
        try:
            plaintext = bytearray(private_key.decrypt(key.ciphertext, self._padding))
        except ValueError:
            plaintext = bytearray()
        if len(plaintext) != suite.key_length:
            raise MessageAuthenticationFailed(f"no data key can be decrypted under {self._name}")
        return DataKey(plaintext, (key,), self._name)
