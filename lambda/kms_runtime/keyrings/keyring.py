"""The interface of a keyring, and what keyrings share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kms_runtime.aws_errors import IncorrectKeyException
from kms_runtime.errors import InvalidRequest, KmsRuntimeError
from kms_runtime.message import AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AlgorithmSuite, EncryptedDataKey

_AWS_NAMESPACE = "aws-kms"


DEFAULT_SUITE = AES_256_GCM_HKDF_SHA512_COMMIT_KEY
_SHOWN = 500


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
        self,
        encrypted: Sequence[EncryptedDataKey],
        encryption_context: Mapping[str, str],
        suite: AlgorithmSuite = DEFAULT_SUITE,
        /,
    ) -> DataKey:
        """Return the first of ``encrypted`` that this keyring can decrypt."""


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
        KmsRuntimeError: None did: the last refusal, with the others as its notes.
    """
    refusals = []
    for name, attempt in attempts[:-1]:
        try:
            return attempt()
        except KmsRuntimeError as error:
            refusals.append(f"before that, {name}: {error.code}: {error}")
    try:
        return attempts[-1][1]()
    except KmsRuntimeError as error:
        for refusal in refusals:
            error.add_note(refusal)
        raise


def not_for_us(encrypted: Sequence[EncryptedDataKey], wanted: str) -> IncorrectKeyException:
    """Return the error for a message that ``wanted`` cannot decrypt."""
    # Nothing of this is authenticated yet: the writer of the message may have made it long.
    found = ", ".join(sorted({key.name for key in encrypted}))[:_SHOWN]
    return IncorrectKeyException(f"the message is encrypted under {found}, not under {wanted}")


def checked_namespace(namespace: str) -> str:
    """Return ``namespace``, the key provider id of a raw keyring.

    Raises:
        InvalidRequest: It is empty, or starts with ``aws-kms``, which AWS reserves.
    """
    if not namespace or namespace.startswith(_AWS_NAMESPACE):
        raise InvalidRequest(f"the namespace {namespace!r}; it must not be empty nor start with {_AWS_NAMESPACE}")
    return namespace
