"""The encryption context on the wire: a canonical, sorted encoding that has exactly one form per context."""

from collections.abc import Mapping

from kms_runtime.errors import EncryptionContextInvalid, MessageFormatError
from kms_runtime.message.fields import FieldReader

CONTEXT_LIMIT = 65535
RESERVED_PREFIX = "aws-crypto-"
VERIFICATION_KEY_NAME = "aws-crypto-public-key"


def check_context(context: Mapping[str, str]) -> None:
    """Refuse what a caller may not put into an encryption context.

    Raises:
        EncryptionContextInvalid: A name starts with ``aws-crypto-``, which AWS reserves; or a name or value is empty or
            not text, which AWS KMS would refuse.
    """
    for name, value in context.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise EncryptionContextInvalid("names and values of an encryption context are strings")
        if not (name.isascii() and value.isascii()):
            _check_unicode(name + value)
        if not name or not value:
            raise EncryptionContextInvalid("names and values of an encryption context are at least one character long")
        if name.startswith(RESERVED_PREFIX):
            raise EncryptionContextInvalid(
                f"the name {name!r} starts with {RESERVED_PREFIX!r}, which the AWS Encryption SDK reserves"
            )


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _not_unicode(error) from None


def _not_unicode(error: UnicodeEncodeError) -> EncryptionContextInvalid:
    return EncryptionContextInvalid(f"an encryption context is valid Unicode text: {error.reason}")


def serialize_context(context: Mapping[str, str]) -> bytes:
    """Return the length-prefixed canonical encoding of ``context``: pairs sorted by the name's UTF-8 bytes.

    Raises:
        EncryptionContextInvalid: The encoding exceeds 65535 bytes, or a string is not valid Unicode.
    """
    if not context:
        return b"\x00\x00"
    try:
        pairs = sorted((name.encode(), value.encode()) for name, value in context.items())
    except UnicodeEncodeError as error:
        raise _not_unicode(error) from None
    size = 2 + sum(4 + len(name) + len(value) for name, value in pairs)
    if size > CONTEXT_LIMIT:
        raise EncryptionContextInvalid(f"the encryption context takes {size} bytes; at most {CONTEXT_LIMIT} fit")
    encoded = [size.to_bytes(2), len(pairs).to_bytes(2)]
    for pair in pairs:
        encoded += (part for text in pair for part in (len(text).to_bytes(2), text))
    return b"".join(encoded)


def parse_context(fields: FieldReader) -> dict[str, str]:
    """Read the encryption context of a message header.

    Raises:
        MessageFormatError: Not the canonical encoding: a wrong length, an unsorted or repeated name, invalid UTF-8.
        MessageTruncated: The message ends here.
    """
    size = fields.unsigned(2, "the encryption context's length")
    if size == 0:
        return {}
    encoded = fields.take(size, "the encryption context")
    context: dict[str, str] = {}
    name, position = "", 2
    for _ in range(int.from_bytes(encoded[:2])):
        last = name
        name, position = _text(encoded, position)
        # Text compares by code point, which is the order of its UTF-8 bytes.
        if context and name <= last:
            raise MessageFormatError("the encryption context's names are not sorted, or one is repeated")
        context[name], position = _text(encoded, position)
    if position != size or not context:
        raise _not_filled(size)
    return context


def _text(encoded: bytes, position: int) -> tuple[str, int]:
    """Return the name or value that starts at ``position``, and where it ends."""
    start = position + 2
    end = start + int.from_bytes(encoded[position:start])
    if end > len(encoded):
        raise _not_filled(len(encoded))
    try:
        return encoded[start:end].decode(), end
    except UnicodeDecodeError:
        raise MessageFormatError("an encryption context name or value is not valid UTF-8") from None


def _not_filled(size: int) -> MessageFormatError:
    return MessageFormatError(f"the encryption context does not fill the {size} bytes that its length field gives")
