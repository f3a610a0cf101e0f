"""``RawAesKeyring``: a wrapping key that the caller holds, for data that leaves AWS and for tests without it.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-raw-aes-keyring.html
"""

import os
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_runtime.errors import InvalidRequest, MessageAuthenticationFailed
from kms_runtime.keyrings.keyring import DEFAULT_SUITE, DataKey, checked_namespace, not_for_us
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey, serialize_context
from kms_runtime.message.suite import IV_LENGTH, TAG_LENGTH

_KEY_LENGTHS = (16, 24, 32)


class RawAesKeyring:
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
        self._namespace = checked_namespace(namespace)
        self._prefix = name.encode() + (TAG_LENGTH * 8).to_bytes(4) + IV_LENGTH.to_bytes(4)
        self._name = f"{namespace}/{name}"
        self._cipher = AESGCM(wrapping_key)

    def generate_data_key(
        self, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return a new random data key, encrypted under the wrapping key."""
        data_key, iv = bytearray(os.urandom(suite.key_length)), os.urandom(IV_LENGTH)
        ciphertext = self._cipher.encrypt(iv, data_key, _associated(encryption_context))
        encrypted = EncryptedDataKey(self._namespace, self._prefix + iv, ciphertext)
        return DataKey(data_key, (encrypted,), self._name)

    def decrypt_data_key(
        self,
        encrypted: Sequence[EncryptedDataKey],
        encryption_context: Mapping[str, str],
        suite: AlgorithmSuite = DEFAULT_SUITE,
        /,
    ) -> DataKey:
        """Return the data key.

        Raises:
            IncorrectKeyException: No data key of the message is encrypted under a key of this name.
            MessageAuthenticationFailed: None of those can be decrypted under this wrapping key and encryption context.
        """
        mine = [key for key in encrypted if self._is_mine(key)]
        if not mine:
            raise not_for_us(encrypted, self._name)
        for key in mine:
            plaintext = bytearray(max(0, len(key.ciphertext) - TAG_LENGTH))
            if len(plaintext) != suite.key_length:
                continue
            iv = key.provider_info[-IV_LENGTH:]
            try:
                self._cipher.decrypt_into(iv, key.ciphertext, _associated(encryption_context), plaintext)
            except InvalidTag:
                continue
            return DataKey(plaintext, (key,), self._name)
        raise MessageAuthenticationFailed(
            f"no data key can be decrypted under {self._name} and this encryption context"
        )

    def _is_mine(self, key: EncryptedDataKey) -> bool:
        return key.provider_id == self._namespace and key.provider_info[:-IV_LENGTH] == self._prefix


def _associated(encryption_context: Mapping[str, str]) -> bytes:
    """The pairs as in the header, without the length before them."""
    return serialize_context(encryption_context)[2:]
