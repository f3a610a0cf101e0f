"""Decryption of AWS Encryption SDK messages, of streams and bytes, releasing authenticated frames only.

Messages of any official AWS Encryption SDK are read.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/how-it-works.html
"""

import io
import sys
from collections.abc import Mapping

from kms_runtime.aws_errors import InvalidCiphertextException
from kms_runtime.envelope.body import MessageEnd, decrypt_block, decrypt_frames
from kms_runtime.errors import EncryptionContextMismatch, MessageAuthenticationFailed
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.message import (
    CommitmentPolicy,
    FieldReader,
    Header,
    MessageKeys,
    check_context,
    read_header,
    serialize_context,
)
from kms_runtime.message.header import MAX_ENCRYPTED_DATA_KEYS, MAX_FRAME_LENGTH, MessageResult
from kms_runtime.message.suite import wipe
from kms_runtime.streams import Sink, Source, Whole, taker

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
    max_encrypted_data_keys: int = MAX_ENCRYPTED_DATA_KEYS,
) -> MessageResult:
    """Decrypt the one message that ``source`` holds and write its plaintext to ``sink``.

    Each frame reaches ``sink`` only after its tag was verified, but **a truncated message is noticed at its end**, and
    so is a false signature: if this raises, discard what ``sink`` has received.

    Args:
        source: Binary file object with the message and nothing after it.
        sink: Binary file object that receives the plaintext.
        keyring: Recovers the data key: one call.
        encryption_context: Pairs that the message's encryption context must contain. One that is stored in the message
            with another value is refused before any call to AWS; one that is not stored must be authenticated
            (``required_encryption_context_keys`` of ``encrypt``), which takes the call. The empty mapping accepts
            every context: then check ``encryption_context`` of the result.
        max_frame_length: Largest frame length accepted, in bytes, and largest body that is not framed; twice that much
            memory may be used, five times for a signed message.
        commitment_policy: Whether messages without key commitment (format version 1) are accepted.
        max_encrypted_data_keys: Most encrypted data keys accepted, each of which may cost a call. Defaults to 20.

    Raises:
        CommitmentRequired: The message does not commit to its key.
        EncryptionContextMismatch: An expected pair differs in the message, or the message is not bound to it.
        MessageFormatError: Not a message that this reader accepts, or bytes follow its end.
        MessageTruncated: The message ends before its final frame or inside its signature.
        MessageAuthenticationFailed: The key commitment, a tag or the signature does not verify.
        IncorrectKeyException: The message is not encrypted under the keyring's key.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    capacity = source.size if isinstance(source, Whole) else sys.maxsize
    fields = FieldReader(taker(source), ahead=_AHEAD)
    header = read_header(
        fields,
        max_frame_length=max_frame_length,
        commitment_policy=commitment_policy,
        max_encrypted_data_keys=max_encrypted_data_keys,
    )
    keys, context, key_arn = authenticate_header(header, keyring, encryption_context)
    with MessageEnd(header, capacity) as end:
        if header.frame_length:
            read, written = decrypt_frames(source, sink, header, keys.cipher, end, head=fields.rest, capacity=capacity)
        else:
            read, written = decrypt_block(
                source, sink, header, keys.cipher, end, head=fields.rest, limit=max_frame_length
            )
    return MessageResult(written, header.size + read, context, key_arn, header.suite.suite_id)


def decrypt_bytes(
    message: bytes | bytearray | memoryview,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    max_frame_length: int = MAX_FRAME_LENGTH,
    commitment_policy: CommitmentPolicy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    max_encrypted_data_keys: int = MAX_ENCRYPTED_DATA_KEYS,
) -> bytes:
    """Decrypt ``message`` and return all of its plaintext or raise; arguments and errors as for ``decrypt``."""
    plaintext = io.BytesIO()
    decrypt(
        Whole(message),
        plaintext,
        keyring=keyring,
        encryption_context=encryption_context,
        max_frame_length=max_frame_length,
        commitment_policy=commitment_policy,
        max_encrypted_data_keys=max_encrypted_data_keys,
    )
    return plaintext.getvalue()


def authenticate_header(
    header: Header, keyring: Keyring, expected: Mapping[str, str]
) -> tuple[MessageKeys, dict[str, str], str]:
    """Recover the message's keys and authenticate ``header`` with them.

    Expected pairs that the header lacks may be authenticated without being stored, as the required encryption context
    CMM writes them; then the data key and the header's tag are bound to them.

    Returns:
        The message's keys, its whole encryption context, and what wraps the data key.

    Raises:
        EncryptionContextMismatch: The header has another value of an expected pair, so that the keyring is not asked;
            or it lacks one, and is not bound to it.
        MessageAuthenticationFailed: The key commitment or the header's tag does not verify.
    """
    not_stored = _not_stored(expected, header.encryption_context)
    context = {**header.encryption_context, **not_stored}
    try:
        data_key = keyring.decrypt_data_key(header.encrypted_data_keys, context, header.suite)
        try:
            keys = MessageKeys.derive(header.suite, data_key.plaintext, header.message_id)
        finally:
            wipe(data_key.plaintext)
        authenticated = header.body + serialize_context(not_stored)[2:]
        keys.verify_header(authenticated, header.commitment, header.tag, header.iv)
    except (InvalidCiphertextException, MessageAuthenticationFailed) as error:
        if not not_stored:
            raise
        raise EncryptionContextMismatch(
            f"the message's encryption context lacks the expected {', '.join(sorted(not_stored))}, and the message is "
            f"not bound to it otherwise ({error.code}: {error})"
        ) from error
    return keys, context, data_key.key_arn


def _not_stored(expected: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Return the expected pairs that the header does not store.

    Raises:
        EncryptionContextMismatch: The header stores another value.
        EncryptionContextInvalid: No message can be bound to such a pair.
    """
    # A name that differs in case only could stand in for the other in a condition of a policy.
    stored = {name.lower() for name in found}
    wrong = sorted(
        name
        for name, value in expected.items()
        if found.get(name, value) != value or (name not in found and name.lower() in stored)
    )
    if wrong:
        raise EncryptionContextMismatch(
            f"the message's encryption context has another value of {', '.join(wrong)}; AWS KMS was not called"
        )
    missing = {name: value for name, value in expected.items() if name not in found}
    check_context(missing)
    return missing
