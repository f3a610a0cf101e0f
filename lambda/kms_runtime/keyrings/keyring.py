"""The interface of a keyring, what keyrings share, and several keyrings of one message."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from kms_runtime.aws_errors import IncorrectKeyException
from kms_runtime.errors import InvalidRequest, KmsRuntimeError
from kms_runtime.message import AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AlgorithmSuite, EncryptedDataKey
from kms_runtime.message.header import MAX_ENCRYPTED_DATA_KEYS
from kms_runtime.message.suite import wipe

_AWS_NAMESPACE = "aws-kms"


DEFAULT_SUITE = AES_256_GCM_HKDF_SHA512_COMMIT_KEY
_SHOWN = 500
EncryptedKeys = Sequence[EncryptedDataKey]
"""The data keys of one message."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key in plaintext and encrypted. The caller wipes ``plaintext`` as soon as it is used.

    The plaintext is a copy: the AWS SDK has parsed it from JSON into immutable objects, which Python frees but cannot
    overwrite.

    Args:
        plaintext: The data key.
        encrypted: The data key under every wrapping key; on decryption the one that was decrypted.
        key_arn: ARN of the KMS key that made or decrypted it; the name of a wrapping key that is not in AWS KMS.
    """

    plaintext: bytearray = field(repr=False)
    encrypted: tuple[EncryptedDataKey, ...]
    key_arn: str


class Keyring(Protocol):
    """What ``encrypt`` and ``decrypt`` need from a keyring."""

    def generate_data_key(
        self, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return a new data key for ``suite``, bound to ``encryption_context``."""

    def decrypt_data_key(
        self, encrypted: EncryptedKeys, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return the first of ``encrypted`` that this keyring can decrypt."""


class WrapsDataKeys(Keyring, Protocol):
    """A keyring that can put another keyring's data key under its own wrapping key also."""

    def wrap_data_key(
        self, data_key: bytearray, encryption_context: Mapping[str, str], suite: AlgorithmSuite, /
    ) -> tuple[EncryptedDataKey, ...]:
        """Return ``data_key`` encrypted under each wrapping key of this keyring."""


class WrappingKeyring(ABC):
    """What keyrings share whose data keys are made on this machine.

    ``_name`` is that of the wrapping key; ``_identity`` is the provider id and information of its encrypted data keys.
    """

    _name: str
    _identity: tuple[str, bytes]
    _how = ""

    def generate_data_key(
        self, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return a new random data key, wrapped; errors as for ``wrap_data_key``."""
        data_key = bytearray(os.urandom(suite.key_length))
        return DataKey(data_key, self.wrap_data_key(data_key, encryption_context, suite), self._name)

    @abstractmethod
    def wrap_data_key(
        self, data_key: bytearray, encryption_context: Mapping[str, str], suite: AlgorithmSuite, /
    ) -> tuple[EncryptedDataKey, ...]:
        """Return ``data_key`` encrypted under the wrapping key."""

    def decrypt_data_key(
        self, encrypted: EncryptedKeys, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return the data key.

        Raises:
            InvalidRequest: The keyring can only encrypt, or not serve ``suite``.
            IncorrectKeyException: No data key of the message is encrypted under this keyring's key; AWS is not called.
            MessageAuthenticationFailed, InvalidCiphertextException: None of those was encrypted under this very key and
                encryption context, or all were altered.
            AwsError: AWS KMS refused; the class name is its error code.
        """
        self._check_decrypts(suite)
        mine = [key for key in encrypted if self._is_mine(key)]
        if not mine:
            raise not_for_us(encrypted, self._name + self._how)
        return first_that_decrypts(
            [(self._name, partial(self._decrypt, key, encryption_context, suite)) for key in mine]
        )

    @abstractmethod
    def _check_decrypts(self, suite: AlgorithmSuite) -> None:
        """Raise InvalidRequest if the keyring can only encrypt, or not decrypt data keys of ``suite``."""

    def _is_mine(self, key: EncryptedDataKey) -> bool:
        return (key.provider_id, key.provider_info) == self._identity

    @abstractmethod
    def _decrypt(self, key: EncryptedDataKey, context: Mapping[str, str], suite: AlgorithmSuite) -> DataKey:
        """Return one data key, which is this keyring's by its identity."""


class MultiKeyring:
    """Several keyrings of one message: its data key is encrypted under each, and any one of them decrypts it.

    **A message is as weak as its weakest keyring**: one that is encrypted under RSA and ML-KEM is read by an attacker
    that breaks RSA. It serves readers of two kinds, and a migration from one key to the next; where both keys shall be
    needed, take :class:`kms_runtime.key_agreement.hybrid_hpke.KmsHybridRecipient`.

    Args:
        first: Makes the data keys.
        others: Each wraps them also. To decrypt, the keyrings are tried in this order.
        max_encrypted_data_keys: Most data keys of a message. Defaults to 20, the most that ``decrypt`` accepts unless
            its parameter of this name says otherwise.

    Raises:
        InvalidRequest: One of ``others`` cannot wrap data keys. A ``CachingKeyring`` goes around this one.

    See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-multi-keyring.html
    """

    def __init__(
        self, first: Keyring, *others: WrapsDataKeys, max_encrypted_data_keys: int = MAX_ENCRYPTED_DATA_KEYS
    ) -> None:
        wrong = [type(keyring).__name__ for keyring in others if not hasattr(keyring, "wrap_data_key")]
        if wrong:
            raise InvalidRequest(f"{wrong[0]} cannot wrap the data key of another keyring; it can be the first")
        self._first, self._others, self._most = first, others, max_encrypted_data_keys

    def generate_data_key(
        self, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return a new data key of the first keyring, wrapped by the others also.

        Raises:
            InvalidRequest: The message would have more data keys than ``max_encrypted_data_keys``.
            KmsRuntimeError: As each of the keyrings raises it.
        """
        made = self._first.generate_data_key(encryption_context, suite)
        try:
            more = [
                key
                for keyring in self._others
                for key in keyring.wrap_data_key(made.plaintext, encryption_context, suite)
            ]
            check_count(len(made.encrypted) + len(more), self._most)
        except BaseException:
            wipe(made.plaintext)
            raise
        return DataKey(made.plaintext, (*made.encrypted, *more), made.key_arn)

    def decrypt_data_key(
        self, encrypted: EncryptedKeys, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return the data key of the first keyring that can decrypt one.

        Raises:
            KmsRuntimeError: None can: the refusal of the last that has a data key in the message, if one has.
        """
        return first_that_decrypts(
            [
                (type(keyring).__name__, partial(keyring.decrypt_data_key, encrypted, encryption_context, suite))
                for keyring in (self._first, *self._others)
            ]
        )


def check_count(data_keys: int, most: int) -> None:
    """Raise InvalidRequest if a message would have more data keys than its readers accept."""
    if data_keys > most:
        raise InvalidRequest(f"{data_keys} data keys; a message has at most {most} (max_encrypted_data_keys)")


def new_data_key(
    keyring: Keyring, encryption_context: Mapping[str, str], suite: AlgorithmSuite, plaintext_bytes: int | None
) -> DataKey:
    """Return a new data key of ``keyring``, which is told how long the message will be if it wants to know."""
    sized = getattr(keyring, "generate_data_key_for", None)
    if sized is None:
        return keyring.generate_data_key(encryption_context, suite)
    data_key: DataKey = sized(plaintext_bytes, encryption_context, suite)
    return data_key


def first_that_decrypts(attempts: Sequence[tuple[str, Callable[[], DataKey]]]) -> DataKey:
    """Return the data key of the first attempt that succeeds; each comes with the name of its wrapping key.

    Raises:
        KmsRuntimeError: None did: the last refusal, with the others as its notes. One that says that the message is for
            another key, or the keyring for another use, is raised only if all do.
    """
    refusals: list[tuple[str, KmsRuntimeError]] = []
    for name, attempt in attempts:
        try:
            return attempt()
        except KmsRuntimeError as error:
            refusals.append((name, error))
    telling = [told for _, told in refusals if not isinstance(told, IncorrectKeyException | InvalidRequest)]
    chosen = telling[-1] if telling else refusals[-1][1]
    for name, other in refusals:
        if other is not chosen:
            chosen.add_note(f"also {name}: {other.code}: {other}")
    raise chosen


def not_for_us(encrypted: Sequence[EncryptedDataKey], wanted: str) -> IncorrectKeyException:
    """Return the error for a message that ``wanted`` cannot decrypt."""
    # Nothing of this is authenticated yet: the writer of the message may have made it long.
    found = ", ".join(sorted({key.name for key in encrypted}))[:_SHOWN]
    return IncorrectKeyException(f"the message is encrypted under {found}, not under {wanted}")


def raw_key_identity(namespace: str, name: str) -> tuple[str, bytes]:
    """Return the key provider id of a raw keyring, and the start of its provider information.

    Raises:
        InvalidRequest: ``namespace`` is empty or starts with ``aws-kms``, which AWS reserves; or not Unicode text.
    """
    if not namespace or namespace.startswith(_AWS_NAMESPACE):
        raise InvalidRequest(f"the namespace {namespace!r}; it must not be empty nor start with {_AWS_NAMESPACE}")
    try:
        return namespace.encode().decode(), name.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"the raw key {namespace!r}, {name!r} is not named in Unicode text") from None
