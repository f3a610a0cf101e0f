"""A message brought under another KMS key or encryption context by a new header; its frames stay as they are.

The header's tag is made with the message's own key, so that KMS ReEncrypt alone cannot do it: the data key is decrypted
and encrypted again. A frame's tag covers the message id and the frame, and neither the header nor the context.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/body-aad-reference.html
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kms_runtime.errors import EncryptionContextMismatch, MessageFormatError
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.keyrings.kms import PROVIDER_ID, wrap
from kms_runtime.message import EncryptedDataKey, MessageKeys, check_context, serialize_context, serialize_header
from kms_runtime.message.context import FieldReader, one_spelling
from kms_runtime.message.header import Header, MessageResult, read_header
from kms_runtime.message.suite import wipe
from kms_runtime.streams import Sink, Source, filler, taker, write_all

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_COPIED = 256 * 1024


def rewrap(
    source: Source,
    sink: Sink,
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    key_arn: str,
    new_context: Mapping[str, str],
    kms_client: "KMSClient",
) -> MessageResult:
    """Write the message of ``source`` with its data key encrypted under ``key_arn`` and ``new_context``.

    The frames are copied and not verified: a message that was altered before is refused by its readers as before. The
    data key stays the same: a principal that kept it can still read the message. Pairs of the message that
    ``encryption_context`` does not name stay, unless ``new_context`` gives them another value.

    Args:
        source: Binary file object with the message.
        sink: Binary file object that receives the message.
        keyring: Recovers the data key: one call.
        encryption_context: Pairs that the message's encryption context must contain, and that ``new_context`` replaces.
        key_arn: Key of the new message: one ``kms:Encrypt`` call.
        new_context: Pairs of the new message.
        kms_client: A ``boto3.client("kms")`` for the Region of ``key_arn``.

    Raises:
        MessageFormatError: Not a framed message with key commitment; or a signed one, whose signature covers the
            header; or one with several encrypted data keys, whose other keys would no longer open it. Decrypt and
            encrypt it. Nothing was called or written.
        EncryptionContextMismatch: The message has another value of an expected pair, or lacks it.
        EncryptionContextInvalid: The pairs that stay and the new ones differ in the case of a name only, or do not fit.
        MessageAuthenticationFailed: The header was altered.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    check_context(new_context)
    fields = FieldReader(taker(source), ahead=_COPIED)
    header = read_header(fields)
    _check(header)
    found = header.encryption_context
    wrong = sorted(name for name, value in encryption_context.items() if found.get(name) != value)
    if wrong:
        raise EncryptionContextMismatch(f"the message has another value, or none, of {', '.join(wrong)}")
    stays = {name: value for name, value in found.items() if name not in encryption_context}
    context = one_spelling({**stays, **new_context})
    serialized = serialize_context(context)

    def rewrapped(data_key: bytearray) -> EncryptedDataKey:
        ciphertext = wrap(kms_client, key_arn, data_key, context)
        return EncryptedDataKey(PROVIDER_ID, key_arn.encode(), ciphertext)

    new = _new_header(header, keyring, rewrapped, serialized)
    write_all(sink, new)
    write_all(sink, fields.rest)
    fill, buffer, copied = filler(source), memoryview(bytearray(_COPIED)), len(fields.rest)
    while length := fill(buffer):
        write_all(sink, buffer[:length])
        copied += length
    return MessageResult(copied, len(new) + copied, context, key_arn, header.suite.suite_id)


def _check(header: Header) -> None:
    if header.suite.signed:
        raise MessageFormatError("a signed message: its signature covers the header; decrypt it and encrypt it again")
    if not header.suite.committing or not header.frame_length:
        raise MessageFormatError("only framed messages of format version 2 get another header; decrypt and encrypt it")
    if len(header.encrypted_data_keys) > 1:
        found = len(header.encrypted_data_keys)
        raise MessageFormatError(
            f"a message with {found} encrypted data keys, of which one would remain; decrypt it and encrypt it again"
        )


def _new_header(
    header: Header, keyring: Keyring, rewrapped: Callable[[bytearray], EncryptedDataKey], context: bytes
) -> bytes:
    data_key = keyring.decrypt_data_key(header.encrypted_data_keys, header.encryption_context, header.suite)
    try:
        keys = MessageKeys.derive(header.suite, data_key.plaintext, header.message_id)
        keys.verify_header(header.body, header.commitment, header.tag, header.iv)
        encrypted = rewrapped(data_key.plaintext)
    finally:
        wipe(data_key.plaintext)
    body = serialize_header(
        suite=header.suite,
        message_id=header.message_id,
        context=context,
        encrypted_data_keys=[encrypted],
        frame_length=header.frame_length,
        commitment=keys.commitment,
    )
    return body + keys.header_tag(body)
