"""Statements about artifacts in signed envelopes.

DSSE, Dead Simple Signing Envelopes: a payload, its type, and signatures over both.
See https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
in-toto: artifacts, by name and digest, and a predicate about them.
See https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kms_runtime.errors import ArtifactMismatch, AttestationInvalid

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


PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://cosign.sigstore.dev/attestation/v1"
"""Predicate without a meaning of its own, ``{"Data": …, "Timestamp": …}``: what cosign calls ``--type custom``."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One artifact.

    Args:
        name: Its name, such as the key of an S3 object.
        digests: Name of the algorithm (``sha256``) -> digest, in lower-case hexadecimal.
    """

    name: str
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said of artifacts.

    Args:
        subjects: At least one artifact.
        predicate_type: URI that says how ``predicate`` is to be read.
        predicate: Anything that JSON can hold.
    """

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def to_payload(self) -> bytes:
        """Return the statement as JSON."""
        document = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": item.name, "digest": dict(item.digests)} for item in self.subjects],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    def subject_with(self, digests: Mapping[str, str], name: str | None = None) -> Subject:
        """Return the subject that has these digests (and this name, if one is given).

        Every algorithm that the statement names and ``digests`` has must agree, and at least one must be there.

        Raises:
            ArtifactMismatch: The statement is about other artifacts.
        """
        named = [item for item in self.subjects if name is None or item.name == name]
        if not named:
            found = ", ".join(repr(item.name) for item in self.subjects)
            raise ArtifactMismatch(f"the statement is about {found}, not about {name!r}")
        for item in named:
            common = item.digests.keys() & digests.keys()
            if common and all(item.digests[kind] == digests[kind] for kind in common):
                return item
        found = "; ".join(f"{item.name!r} {dict(item.digests)}" for item in named)
        raise ArtifactMismatch(f"the artifact has {dict(digests)}; the statement is about {found}")


def parse_statement(payload: bytes) -> Statement:
    """Return the statement of a payload whose signature was verified.

    Raises:
        AttestationInvalid: Not an in-toto statement of version 1 with at least one subject that has a digest.
    """
    document = parse_json_object(payload, "the statement")
    if document.get("_type") != STATEMENT_TYPE:
        raise AttestationInvalid(f"the statement's _type is {document.get('_type')!r}, not {STATEMENT_TYPE!r}")
    kind, subjects, predicate = (document.get(name) for name in ("predicateType", "subject", "predicate"))
    if not isinstance(kind, str) or not isinstance(subjects, list) or not subjects:
        raise AttestationInvalid("the statement has no predicateType or no subject")
    if not isinstance(predicate, dict | None):
        raise AttestationInvalid("the statement's predicate is not an object")
    return Statement(tuple(map(_subject, subjects)), kind, predicate or {})


def _subject(entry: object) -> Subject:
    name, digests = (entry.get("name", ""), entry.get("digest")) if isinstance(entry, dict) else ("", None)
    if not isinstance(name, str) or not isinstance(digests, dict) or not digests:
        raise AttestationInvalid("a subject of the statement has no digest")
    if not all(isinstance(value, str) for value in digests.values()):
        raise AttestationInvalid("a digest of the statement is not a string")
    return Subject(name, digests)
