"""Dead Simple Signing Envelopes: a payload, its type, and signatures over both.

See https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from kms_runtime.errors import AttestationInvalid

ENVELOPE_LIMIT = 1024 * 1024
"""Bytes of the largest envelope that is read: a guard against other files, not a limit of the format."""
PREFIX = b"DSSEv1 "
"""The prefix of everything that DSSE has signed: nothing else that begins so may be signed."""


@dataclass(frozen=True, slots=True)
class EnvelopeSignature:
    """One signature. ``key_id`` is a hint for finding the key, and proves nothing: it is not signed."""

    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its type and signatures.

    Args:
        payload_type: Media type or URI of the payload.
        payload: Any bytes.
        signatures: At least one.
    """

    payload_type: str
    payload: bytes
    signatures: tuple[EnvelopeSignature, ...]

    def to_json(self) -> bytes:
        """Return the envelope as JSON, on one line."""
        signatures = [{"keyid": item.key_id, "sig": _text(item.signature)} for item in self.signatures]
        document = {"payloadType": self.payload_type, "payload": _text(self.payload), "signatures": signatures}
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: type and payload, each with its length, so that neither can be mistaken."""
    kind = payload_type.encode()
    return PREFIX + b"%d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_envelope(text: bytes) -> Envelope:
    """Return the envelope of JSON ``text``, without verifying it.

    Raises:
        AttestationInvalid: Not an envelope with a payload and at least one signature, or over 1 MiB.
    """
    if len(text) > ENVELOPE_LIMIT:
        raise AttestationInvalid(f"the envelope has {len(text)} bytes; at most {ENVELOPE_LIMIT} are read")
    document = parse_json_object(text, "the envelope")
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise AttestationInvalid("the envelope has no list of signatures")
    return Envelope(_string(document, "payloadType"), _bytes(document, "payload"), tuple(map(_signature, signatures)))


def parse_json_object(text: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object ``text``, in which no name may stand twice: readers differ in which one they take.

    Raises:
        AttestationInvalid: Not JSON in UTF-8, not an object, a name stands twice, or a surrogate stands alone.
    """
    try:
        document = json.loads(text.decode(), object_pairs_hook=_unique)
        # JSON can name single surrogates, which UTF-8 cannot: encoding them later would fail.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise AttestationInvalid(f"{what} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise AttestationInvalid(f"{what} is not a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _signature(entry: object) -> EnvelopeSignature:
    if not isinstance(entry, dict):
        raise AttestationInvalid("an entry of the envelope's signatures is not an object")
    key_id = entry.get("keyid") or ""
    if not isinstance(key_id, str):
        raise AttestationInvalid("the envelope's keyid is not a string")
    return EnvelopeSignature(key_id, _bytes(entry, "sig"))


def _string(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise AttestationInvalid(f"the envelope's {name} is missing or not a string")
    return value


def _bytes(document: dict[str, Any], name: str) -> bytes:
    # The protocol takes both alphabets of Base64.
    text = _string(document, name).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AttestationInvalid(f"the envelope's {name} is not Base64") from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
