"""The encryption context: on the wire in exactly one form, and the one a function works under."""

from collections.abc import Callable, Iterable, Mapping

from kms_runtime.errors import (
    EncryptionContextInvalid,
    EncryptionContextMismatch,
    EncryptionContextRequired,
    MessageFormatError,
    MessageTruncated,
)

Take = Callable[[int], bytes]
"""Returns as many bytes as asked for; fewer only at the end."""


class FieldReader:
    """Reads header fields one by one and remembers the exact bytes, which the header's tag authenticates.

    No field is longer than 65535 bytes, so a hostile length field cannot make it allocate more.

    Args:
        take: Gives bytes of the source.
        ahead: Fewest bytes to take at once, if there are so many; what was not used is in ``rest``.
    """

    def __init__(self, take: Take, *, ahead: int = 0) -> None:
        self._take = take
        self._ahead = ahead
        self._data = b""
        self.position = 0

    @property
    def consumed(self) -> bytes:
        """All fields read so far."""
        return self._data[: self.position]

    @property
    def rest(self) -> bytes:
        """What was taken from the source and belongs to no field."""
        return self._data[self.position :]

    def take(self, size: int, what: str) -> bytes:
        """Return the next ``size`` bytes; ``what`` names them in the error.

        Raises:
            MessageTruncated: The source ends first.
        """
        start = self.position
        end = self.position = start + size
        if end <= len(self._data):
            return self._data[start:end]
        self._data += self._take(max(end - len(self._data), self._ahead))
        if len(self._data) < end:
            raise MessageTruncated(f"the message ends after {len(self._data)} bytes, inside {what}")
        return self._data[start:end]

    def unsigned(self, size: int, what: str) -> int:
        """Return the next ``size`` bytes as an unsigned big-endian integer."""
        return int.from_bytes(self.take(size, what))

    def block(self, what: str) -> bytes:
        """Return the next bytes, whose length stands before them in two bytes."""
        start = self.position + 2
        end = start + int.from_bytes(self._data[self.position : start])
        if end <= len(self._data):  # nearly always, and twice as fast
            self.position = end
            return self._data[start:end]
        return self.take(int.from_bytes(self.take(2, what)), what)


def effective_context(given: Mapping[str, str], *, fixed: Mapping[str, str], required: Iterable[str]) -> dict[str, str]:
    """Return ``fixed`` and ``given`` together.

    Args:
        given: Pairs of the request.
        fixed: Pairs that apply to every request.
        required: Names that must be present in the result.

    Raises:
        EncryptionContextMismatch: The request gives a fixed name another value.
        EncryptionContextRequired: A required name is missing.
        EncryptionContextInvalid: Two names differ in case only.
    """
    contradicted = sorted(name for name, value in fixed.items() if given.get(name, value) != value)
    if contradicted:
        raise EncryptionContextMismatch(f"this function fixes the value of {', '.join(contradicted)}")
    context = {**given, **fixed}
    missing = sorted(set(required) - context.keys())
    if missing:
        raise EncryptionContextRequired(f"this function requires {', '.join(missing)} in the encryption context")
    return one_spelling(context)


def one_spelling(context: dict[str, str]) -> dict[str, str]:
    """Return ``context`` if no two names differ in case only.

    AWS KMS tells such names apart and a condition of a policy does not, so the one could stand in for the other.

    Raises:
        EncryptionContextInvalid: Two names do.

    See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html
    """
    folded = [name.lower() for name in context]
    if len(set(folded)) != len(folded):
        twins = sorted(name for name in context if folded.count(name.lower()) > 1)
        raise EncryptionContextInvalid(f"names of the encryption context differ in case only: {', '.join(twins)}")
    return context


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
    """Read the encryption context of a message header, in any order: writers sort the names, and not all did.

    Raises:
        MessageFormatError: A wrong length, a repeated name, or invalid UTF-8.
        MessageTruncated: The message ends here.
    """
    size = fields.unsigned(2, "the encryption context's length")
    if size == 0:
        return {}
    encoded = fields.take(size, "the encryption context")
    context: dict[str, str] = {}
    position = 2
    for _ in range(int.from_bytes(encoded[:2])):
        name, position = _text(encoded, position)
        if name in context:
            raise MessageFormatError("a name of the encryption context is repeated")
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
