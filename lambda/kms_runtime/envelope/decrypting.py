"""Decryption of AWS Encryption SDK messages, of streams and bytes, releasing authenticated frames only.

Messages of any official AWS Encryption SDK are read.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/how-it-works.html
"""

import io
import sys
from collections.abc import Mapping

from kms_runtime.envelope.body import MessageEnd, decrypt_block, decrypt_frames
from kms_runtime.envelope.result import MessageResult
from kms_runtime.errors import EncryptionContextMismatch
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.message import CommitmentPolicy, FieldReader, Header, MessageKeys, read_header
from kms_runtime.message.header import MAX_FRAME_LENGTH
from kms_runtime.message.suite import wipe
from kms_runtime.streams import Sink, Source, taker

# Most headers are shorter than this, and so are small messages.
_AHEAD = 2048


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
    return _decrypt(
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
    _decrypt(
        io.BytesIO(message),
        plaintext,
        keyring=keyring,
        encryption_context=encryption_context,
        max_frame_length=max_frame_length,
        commitment_policy=commitment_policy,
        capacity=memoryview(message).nbytes,
    )
    return plaintext.getvalue()


def _decrypt(
    source: Source,
    sink: Sink,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    max_frame_length: int,
    commitment_policy: CommitmentPolicy,
    capacity: int,
) -> MessageResult:
    """Read one message to its end; ``capacity`` is an upper bound of the bytes that ``source`` can still give."""
    fields = FieldReader(taker(source), ahead=_AHEAD)
    header = read_header(fields, max_frame_length=max_frame_length, commitment_policy=commitment_policy)
    check_expected(encryption_context, header.encryption_context)
    keys, key_arn = authenticate_header(header, keyring)
    with MessageEnd(header, capacity) as end:
        if header.frame_length:
            read, written = decrypt_frames(source, sink, header, keys.cipher, end, head=fields.rest, capacity=capacity)
        else:
            read, written = decrypt_block(
                source, sink, header, keys.cipher, end, head=fields.rest, limit=max_frame_length
            )
    return MessageResult(written, header.size + read, header.encryption_context, key_arn, header.suite.suite_id)


def check_expected(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Compare the pairs that the caller expects with those of the message.

    Raises:
        EncryptionContextMismatch: One is missing or differs.
    """
    if not expected.items() <= found.items():
        wrong = sorted(name for name, value in expected.items() if found.get(name) != value)
        raise EncryptionContextMismatch(
            f"the message's encryption context lacks the expected value of {', '.join(wrong)}; AWS KMS was not called"
        )


def authenticate_header(header: Header, keyring: Keyring) -> tuple[MessageKeys, str]:
    """Recover the message's keys and authenticate ``header`` with them; also return what wraps the data key.

    Raises:
        MessageAuthenticationFailed: The key commitment or the header's tag does not verify.
    """
    data_key = keyring.decrypt_data_key(header.encrypted_data_keys, header.encryption_context, header.suite)
    try:
        keys = MessageKeys.derive(header.suite, data_key.plaintext, header.message_id)
    finally:
        wipe(data_key.plaintext)
    keys.verify_header(header.body, header.commitment, header.tag, header.iv)
    return keys, data_key.key_arn
