"""The form in which AWS KMS receives a message: itself, its digest, or mu of ML-DSA, made in constant memory.

A signature of the message (RAW) and one of its digest (DIGEST, EXTERNAL_MU) are verified in the same way.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kms_runtime.errors import InvalidRequest, MessageTooLarge
from kms_runtime.signing_algorithms import DIGEST, EXTERNAL_MU, RAW, RAW_LIMIT, SigningAlgorithm
from kms_runtime.streams import Source, filler

if TYPE_CHECKING:
    from kms_runtime.signatures.verifying_keys import VerifyingKey

PIECE_BYTES = 1024 * 1024
# ML-DSA with an empty context string, FIPS 204, algorithm 2.
_PURE_EMPTY_CONTEXT = bytes([0, 0])
_WAY_OUT = "sign longer ones with ED25519_PH_SHA_512, which the same keys serve"


@dataclass(frozen=True, slots=True)
class SigningInput:
    """The parameters MessageType and Message of Sign and Verify."""

    message_type: str
    data: bytes


class MessageHasher:
    """Takes a message in pieces and gives what AWS KMS signs in its place.

    Args:
        algorithm: The algorithm it will be signed with.
        public_key: Needed by ML-DSA, where mu depends on the key.

    Raises:
        MessageTooLarge: The algorithm (ED25519_SHA_512) takes nothing but the message itself.
        InvalidRequest: ``public_key`` is needed and missing.
    """

    def __init__(self, algorithm: SigningAlgorithm, public_key: "VerifyingKey | None" = None) -> None:
        self._algorithm = algorithm
        self._hash: Any = hashlib.new(algorithm.digest) if algorithm.digest else _mu_hash(algorithm, public_key)
        self.update = self._hash.update

    def finish(self) -> SigningInput:
        """Return what stands for all that was given."""
        if self._algorithm.digest:
            return SigningInput(DIGEST, self._hash.digest())
        return SigningInput(EXTERNAL_MU, self._hash.digest(self._algorithm.digest_bytes))


def of_message(message: bytes, algorithm: SigningAlgorithm, public_key: "VerifyingKey | None" = None) -> SigningInput:
    """Return ``message`` as it is where AWS KMS takes that, else its digest; arguments as of ``MessageHasher``.

    Raises:
        MessageTooLarge: The algorithm takes no digest and the message has more than 4096 bytes.
        InvalidRequest: The message is empty, or ``public_key`` is needed and missing.
    """
    if RAW in algorithm.message_types and 1 <= len(message) <= RAW_LIMIT:
        return SigningInput(RAW, message)
    if not message and not algorithm.digest:
        raise InvalidRequest(f"the message is empty; AWS KMS signs 1 to {RAW_LIMIT} bytes with {algorithm.name}")
    hasher = MessageHasher(algorithm, public_key)
    hasher.update(message)
    return hasher.finish()


def of_stream(file: Source, algorithm: SigningAlgorithm, public_key: "VerifyingKey | None" = None) -> SigningInput:
    """Return the digest of what ``file`` still holds, read in pieces of 1 MiB.

    Algorithms without a digest send up to 4096 bytes as they are.

    Raises:
        MessageTooLarge: The algorithm takes no digest and the file has more than 4096 bytes.
        InvalidRequest: The file is empty, or ``public_key`` is needed and missing.
    """
    fill, buffer = filler(file), memoryview(bytearray(PIECE_BYTES))
    size = fill(buffer)
    if not algorithm.digest and size <= RAW_LIMIT:
        return of_message(bytes(buffer[:size]), algorithm)
    hasher = MessageHasher(algorithm, public_key)
    while size:
        hasher.update(buffer[:size])
        size = fill(buffer)
    return hasher.finish()


def of_digest(digest: bytes, algorithm: SigningAlgorithm) -> SigningInput:
    """Return ``digest`` (mu, with ML-DSA) after a check of its length.

    Raises:
        InvalidRequest: The algorithm takes no digest, or one of another length.
    """
    kind = next((kind for kind in (DIGEST, EXTERNAL_MU) if kind in algorithm.message_types), None)
    if kind is None:
        raise InvalidRequest(f"{algorithm.name} takes no digest, only messages of up to {RAW_LIMIT} bytes: {_WAY_OUT}")
    if len(digest) != algorithm.digest_bytes:
        raise InvalidRequest(
            f"the digest has {len(digest)} bytes; {algorithm.name} takes {algorithm.digest or 'mu'} "
            f"of {algorithm.digest_bytes} bytes"
        )
    return SigningInput(kind, digest)


def of_type(message_type: str, data: bytes, algorithm: SigningAlgorithm) -> SigningInput:
    """Return ``data`` as what the caller says that it is: a message (RAW), its digest (DIGEST) or its mu (EXTERNAL_MU).

    Raises:
        MessageTooLarge: A message of more than 4096 bytes.
        InvalidRequest: The algorithm does not take this type, or not in this length.
    """
    if message_type not in algorithm.message_types:
        raise InvalidRequest(
            f"{algorithm.name} takes messages of type {' or '.join(algorithm.message_types)}, not {message_type}"
        )
    if message_type != RAW:
        return of_digest(data, algorithm)
    if not data:
        raise InvalidRequest(f"the message is empty; AWS KMS takes 1 to {RAW_LIMIT} bytes")
    if len(data) > RAW_LIMIT:
        others = [kind for kind in algorithm.message_types if kind != RAW]
        way_out = f"send its digest, as messageType {others[0]}" if others else _WAY_OUT
        raise MessageTooLarge(f"the message has {len(data)} bytes and AWS KMS takes at most {RAW_LIMIT}: {way_out}")
    return SigningInput(RAW, data)


def _mu_hash(algorithm: SigningAlgorithm, public_key: "VerifyingKey | None") -> Any:
    if EXTERNAL_MU not in algorithm.message_types:
        raise MessageTooLarge(
            f"the message has more than the {RAW_LIMIT} bytes that AWS KMS takes with {algorithm.name}: {_WAY_OUT}"
        )
    if public_key is None:
        raise InvalidRequest(
            f"a message of more than {RAW_LIMIT} bytes is signed with {algorithm.name} by its mu, which depends on the "
            "public key: give public_key"
        )
    key: Any = public_key.key
    return hashlib.shake_256(hashlib.shake_256(key.public_bytes_raw()).digest(64) + _PURE_EMPTY_CONTEXT)
