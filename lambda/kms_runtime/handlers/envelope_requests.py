"""The requests in an event of the EnvelopeCipher functions, which names one object or is an S3 notification."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from kms_runtime.errors import InvalidRequest
from kms_runtime.handlers.validation import Event, validator

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
