"""Envelope encryption of streams and bytes in the AWS Encryption SDK message format, in constant memory.

Any official AWS Encryption SDK reads what this writes, and this reads what they write.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/how-it-works.html
"""

import io
import sys
from collections.abc import Mapping

from kms_runtime.envelope.opening import open_message
from kms_runtime.envelope.result import MessageResult
from kms_runtime.envelope.sealing import seal_message
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.message import AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AlgorithmSuite, CommitmentPolicy
from kms_runtime.message.header import DEFAULT_FRAME_LENGTH, MAX_FRAME_LENGTH
from kms_runtime.streams import Sink, Source


def encrypt(
    source: Source,
    sink: Sink,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    algorithm_suite: AlgorithmSuite = AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    frame_length: int = DEFAULT_FRAME_LENGTH,
) -> MessageResult:
    """Encrypt ``source`` to its end into one message on ``sink``.

    Args:
        source: Binary file object with the plaintext.
        sink: Binary file object that receives the message.
        keyring: Makes the data key: one call.
        encryption_context: Bound to the message and stored in it **in plaintext**: never put a secret here.
        algorithm_suite: ``AES_256_GCM_HKDF_SHA512_COMMIT_KEY``, or the same with ``_ECDSA_P384`` to sign the message.
        frame_length: Plaintext bytes per frame, 1 to 16777216, and about half of the memory used.

    Raises:
        InvalidRequest: ``frame_length`` is out of range, or the keyring cannot serve ``algorithm_suite``.
        EncryptionContextInvalid: The encryption context cannot be written.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    return seal_message(
        source,
        sink,
        keyring=keyring,
        encryption_context=encryption_context,
        algorithm_suite=algorithm_suite,
        frame_length=frame_length,
        capacity=frame_length,
    )


def encrypt_bytes(
    plaintext: bytes | bytearray | memoryview,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    algorithm_suite: AlgorithmSuite = AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    frame_length: int = DEFAULT_FRAME_LENGTH,
) -> bytes:
    """Encrypt ``plaintext`` and return the message; arguments and errors as for ``encrypt``."""
    message, size = io.BytesIO(), memoryview(plaintext).nbytes
    seal_message(
        io.BytesIO(plaintext),
        message,
        keyring=keyring,
        encryption_context=encryption_context,
        algorithm_suite=algorithm_suite,
        frame_length=frame_length,
        capacity=min(frame_length, size + 1),
        plaintext_bytes=size,
    )
    return message.getvalue()


def decrypt(
    source: Source,
    sink: Sink,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    max_frame_length: int = MAX_FRAME_LENGTH,
    commitment_policy: CommitmentPolicy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
) -> MessageResult:
    """Decrypt the one message that ``source`` holds and write its plaintext to ``sink``.

    Each frame reaches ``sink`` only after its tag was verified, but **a truncated message is noticed at its end**, and
    so is a false signature: if this raises, discard what ``sink`` has received.

    Args:
        source: Binary file object with the message and nothing after it.
        sink: Binary file object that receives the plaintext.
        keyring: Recovers the data key: one call.
        encryption_context: Pairs that the message's encryption context must contain. They are compared before any call
            to AWS. The empty mapping accepts every context: then check ``encryption_context`` of the result.
        max_frame_length: Largest frame length accepted, in bytes, and largest body that is not framed; twice that much
            memory may be used, five times for a signed message.
        commitment_policy: Whether messages without key commitment (format version 1) are accepted.

    Raises:
        CommitmentRequired: The message does not commit to its key.
        EncryptionContextMismatch: An expected pair is missing from the message or differs.
        MessageFormatError: Not a message that this reader accepts, or bytes follow its end.
        MessageTruncated: The message ends before its final frame or inside its signature.
        MessageAuthenticationFailed: The key commitment, a tag or the signature does not verify.
        IncorrectKeyException: The message is not encrypted under the keyring's key.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    return open_message(
        source,
        sink,
        keyring=keyring,
        encryption_context=encryption_context,
        max_frame_length=max_frame_length,
        commitment_policy=commitment_policy,
        capacity=sys.maxsize,
    )


def decrypt_bytes(
    message: bytes | bytearray | memoryview,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    max_frame_length: int = MAX_FRAME_LENGTH,
    commitment_policy: CommitmentPolicy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
) -> bytes:
    """Decrypt ``message`` and return all of its plaintext or raise; arguments and errors as for ``decrypt``."""
    plaintext = io.BytesIO()
    open_message(
        io.BytesIO(message),
        plaintext,
        keyring=keyring,
        encryption_context=encryption_context,
        max_frame_length=max_frame_length,
        commitment_policy=commitment_policy,
        capacity=memoryview(message).nbytes,
    )
    return plaintext.getvalue()
