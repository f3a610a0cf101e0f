"""in-toto statements: artifacts, by name and digest, and a predicate about them.

See https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kms_runtime.errors import ArtifactMismatch, AttestationInvalid
from kms_runtime.signatures.dsse import parse_json_object

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
