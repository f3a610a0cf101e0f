"""The requests in an event of the EnvelopeCipher functions, and payloads that travel in the response.

An event names one object or is an S3 notification; small messages and byte ranges of objects are returned inline.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from kms_runtime.envelope.decrypting import decrypt
from kms_runtime.envelope.encrypting import encrypt
from kms_runtime.envelope.ranged import decrypt_range
from kms_runtime.errors import InvalidRequest
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64, validator
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.message.header import MessageResult
from kms_runtime.s3 import S3Object, S3Range

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ENCRYPTED_SUFFIX = ".encrypted"

_request = validator("envelope_cipher/request")
_notification = validator("envelope_cipher/notification")


@dataclass(frozen=True, slots=True)
class EnvelopeRequest:
    """One object to process.

    Args:
        source_key: Key in the source bucket.
        source_version_id: Version to read; None for the current one.
        destination_key: Key in the destination bucket; None for the default.
        encryption_context: Pairs that the request gives.
        byte_range: First byte and number of bytes to return; None to process the whole object.
    """

    source_key: str
    source_version_id: str | None
    destination_key: str | None
    encryption_context: Mapping[str, str]
    byte_range: tuple[int, int] | None = None


def is_notification(event: object) -> bool:
    """Tell whether ``event`` comes from Amazon S3, including the test event sent when notifications are set up."""
    return isinstance(event, dict) and ("Records" in event or event.get("Event") == "s3:TestEvent")


def parse_request(event: object) -> EnvelopeRequest:
    """Return the request for one object.

    Raises:
        InvalidRequest: ``event`` is not valid by ``request`` in ``schemas/envelope_cipher.json``.
    """
    valid = _request(event)
    span = valid.get("range")
    if span and "destinationKey" in valid:
        raise InvalidRequest("event.range is returned, not written: leave destinationKey out")
    return EnvelopeRequest(
        valid["sourceKey"],
        valid.get("sourceVersionId"),
        valid.get("destinationKey"),
        valid.get("encryptionContext", {}),
        (span["start"], span["length"]) if span else None,
    )


def parse_notification(event: Event, *, bucket: str) -> list[EnvelopeRequest]:
    """Return one request per record; none for S3's test event.

    The version that a record names is not pinned: a delivery that is late or repeated would bring an older version
    back. Reading the current version makes every order of deliveries end in the same state.

    Raises:
        InvalidRequest: ``event`` is not valid by ``schemas/envelope_cipher.json``, or is about another bucket.
    """
    if event.get("Event") == "s3:TestEvent":
        return []
    entries = [record["s3"] for record in _notification(event)["Records"]]
    foreign = sorted({entry["bucket"]["name"] for entry in entries} - {bucket})
    if foreign:
        raise InvalidRequest(f"the notification is about {', '.join(foreign)}; this function reads {bucket}")
    return [EnvelopeRequest(unquote_plus(entry["object"]["key"]), None, None, {}) for entry in entries]


def encrypted_key(key: str) -> str:
    """Return the default destination key on encryption."""
    return key + ENCRYPTED_SUFFIX


def decrypted_key(key: str) -> str:
    """Return the default destination key on decryption; a key that is only the suffix stays as it is."""
    stem = key.removesuffix(ENCRYPTED_SUFFIX)
    return key if not stem or stem.endswith("/") else stem


MAX_PLAINTEXT = 128 * 1024
MAX_MESSAGE = 2 * MAX_PLAINTEXT


@dataclass(frozen=True, slots=True)
class Inline:
    """One direction for small payloads.

    Args:
        given: Field of the event that holds the payload.
        returned: Field of the response that holds the result.
        limit: Most bytes of the payload.
        validate: Checks the event.
        work: ``encrypt`` or ``decrypt``.
    """

    given: str
    returned: str
    limit: int
    validate: Callable[[object], Event]
    work: Callable[..., MessageResult]

    def is_for(self, event: object) -> bool:
        """Tell whether ``event`` brings its payload along."""
        return isinstance(event, dict) and self.given in event

    def run(self, event: Event, *, keyring: Keyring, encryption_context: Mapping[str, str]) -> Response:
        """Return the response with the result.

        Raises:
            InvalidRequest: The payload is not Base64 or too large.
            KmsRuntimeError: As ``encrypt`` and ``decrypt``.
        """
        payload = decode_base64(event, self.given)
        if len(payload) > self.limit:
            raise InvalidRequest(f"event.{self.given} has {len(payload)} bytes; at most {self.limit} fit into an event")
        # What is released before the end is verified stays in this buffer if the end does not verify.
        result = io.BytesIO()
        message = self.work(io.BytesIO(payload), result, keyring=keyring, encryption_context=encryption_context)
        return {self.returned: encode_base64(result.getvalue()), **facts(message)}


def facts(message: MessageResult) -> Response:
    """Return what every response says of a message."""
    return {
        "plaintextBytes": message.plaintext_bytes,
        "ciphertextBytes": message.ciphertext_bytes,
        "algorithmSuite": f"0x{message.algorithm_suite:04X}",
        "encryptionContext": dict(message.encryption_context),
    }


ENCRYPT_INLINE = Inline(
    "plaintext", "ciphertext", MAX_PLAINTEXT, validator("envelope_cipher/inline_encrypt_request"), encrypt
)
DECRYPT_INLINE = Inline(
    "ciphertext", "plaintext", MAX_MESSAGE, validator("envelope_cipher/inline_decrypt_request"), decrypt
)


def read_range(
    source: S3Object,
    byte_range: tuple[int, int],
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    s3_client: "S3Client",
) -> Response:
    """Return the plaintext of ``byte_range`` (first byte, number of bytes) and what it belongs to."""
    start, length = byte_range
    message, plaintext = S3Range(source, s3_client=s3_client), io.BytesIO()
    result = decrypt_range(
        message, plaintext, start=start, length=length, keyring=keyring, encryption_context=encryption_context
    )
    return {
        "source": message.location.as_response(),
        "range": {"start": start, "length": result.plaintext_bytes},
        "plaintext": encode_base64(plaintext.getvalue()),
        "algorithmSuite": f"0x{result.algorithm_suite:04X}",
        "encryptionContext": dict(result.encryption_context),
    }
