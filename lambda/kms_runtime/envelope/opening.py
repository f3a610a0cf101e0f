"""From message stream to plaintext stream, releasing authenticated frames only."""

from collections.abc import Mapping

from kms_runtime.envelope.opening_body import MessageEnd, open_block, open_frames
from kms_runtime.envelope.result import MessageResult
from kms_runtime.errors import EncryptionContextMismatch
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.message import CommitmentPolicy, FieldReader, Header, MessageKeys, read_header
from kms_runtime.message.suite import wipe
from kms_runtime.streams import Sink, Source, taker

# Most headers are shorter than this, and so are small messages.
_AHEAD = 2048


def open_message(
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
    keys, key_arn = open_header(header, keyring)
    with MessageEnd(header, capacity) as end:
        if header.frame_length:
            read, written = open_frames(source, sink, header, keys.cipher, end, head=fields.rest, capacity=capacity)
        else:
            read, written = open_block(source, sink, header, keys.cipher, end, head=fields.rest, limit=max_frame_length)
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


def open_header(header: Header, keyring: Keyring) -> tuple[MessageKeys, str]:
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
