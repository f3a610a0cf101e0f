"""Artifacts signed by a key in AWS KMS: a detached signature, and a statement in an envelope; checked without AWS.

Both prove that a principal that may use the key had these bytes signed. The statement also binds a name, so that an
older release cannot be passed off as a newer one where the name is checked.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kms_runtime.aws_errors import KMSInvalidSignatureException
from kms_runtime.errors import AttestationInvalid, InvalidRequest
from kms_runtime.signatures.attestations import (
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    PREFIX,
    Envelope,
    EnvelopeSignature,
    Statement,
    Subject,
    parse_envelope,
    parse_statement,
    pre_authentication_encoding,
)
from kms_runtime.signatures.signing import sign_input, verify, verify_input
from kms_runtime.signatures.signing_messages import PIECE_BYTES, MessageHasher, SigningInput
from kms_runtime.signing_algorithms import ALGORITHMS, RAW, signing_algorithm
from kms_runtime.streams import Source, filler

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

    from kms_runtime.signatures.verifying_keys import VerifyingKey

SUBJECT_DIGESTS = ("sha256", "sha512")
ARTIFACT_ALGORITHMS = tuple(name for name, known in ALGORITHMS.items() if known.message_types != (RAW,))
"""The algorithms that sign artifacts of any size: all but ED25519_SHA_512."""


@dataclass(frozen=True, slots=True)
class ArtifactDigests:
    """What is known of an artifact after it was read once.

    Args:
        size: Bytes.
        digests: ``sha256`` and ``sha512``, in hexadecimal.
        ready: What AWS KMS signs in the artifact's place.
    """

    size: int
    digests: Mapping[str, str]
    ready: SigningInput


@dataclass(frozen=True, slots=True)
class SignedArtifact:
    """A detached signature and the envelope around a statement, as they are to be stored."""

    signature: bytes
    envelope: bytes


def digest_artifact(file: Source, *, algorithm: str, public_key: "VerifyingKey | None" = None) -> ArtifactDigests:
    """Read ``file`` once, in pieces of 1 MiB, whatever its size.

    Bytes that start with the DSSE pre-authentication prefix are rejected as artifacts, because their detached signature
    would be the signature of a statement, about any name and digest that its author chooses.

    Args:
        file: Binary file, read from where it stands to its end.
        algorithm: The algorithm that signs or signed it.
        public_key: Of the key; ML-DSA alone needs it.

    Raises:
        MessageTooLarge: ED25519_SHA_512, which takes no digest.
        InvalidRequest: ``public_key`` is needed and missing, the algorithm is unknown, or the file begins with
            ``DSSEv1`` and a space.
    """
    known = signing_algorithm(algorithm)
    hasher = MessageHasher(known, public_key)
    hashes = {name: hashlib.new(name) for name in SUBJECT_DIGESTS if name != known.digest}
    updates = [hasher.update, *(item.update for item in hashes.values())]
    fill, buffer, size = filler(file), memoryview(bytearray(PIECE_BYTES)), 0
    while got := fill(buffer):
        if size == 0 and buffer[: len(PREFIX)] == PREFIX:
            raise InvalidRequest("the artifact begins with 'DSSEv1 ': its signature would be that of a statement")
        for update in updates:
            update(buffer[:got])
        size += got
    ready = hasher.finish()
    found = {name: item.hexdigest() for name, item in hashes.items()}
    if known.digest in SUBJECT_DIGESTS:
        found[known.digest] = ready.data.hex()
    return ArtifactDigests(size, {name: found[name] for name in SUBJECT_DIGESTS}, ready)


def sign_artifact(
    artifact: ArtifactDigests,
    *,
    name: str,
    key_arn: str,
    algorithm: str,
    kms_client: "KMSClient",
    public_key: "VerifyingKey | None" = None,
) -> SignedArtifact:
    """Sign an artifact and a statement about it: two calls of Sign, both of a digest.

    Args:
        artifact: What ``digest_artifact`` returned for the same algorithm.
        name: The artifact's name in the statement.
        key_arn: ARN of the key; written into the envelope as a hint.
        algorithm: One of ``ARTIFACT_ALGORITHMS`` that the key has.
        kms_client: A ``boto3.client("kms")``.
        public_key: Of the key; ML-DSA alone needs it.

    Raises:
        AwsError: AWS KMS refused; the class name is its error code.
    """
    predicate = {
        "Data": data_of(artifact, algorithm),
        "Timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    payload = Statement((Subject(name, artifact.digests),), PREDICATE_TYPE, predicate).to_payload()
    hasher = MessageHasher(signing_algorithm(algorithm), public_key)
    hasher.update(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    signature, of_statement = (
        sign_input(ready, key_arn=key_arn, algorithm=algorithm, kms_client=kms_client)
        for ready in (artifact.ready, hasher.finish())
    )
    envelope = Envelope(PAYLOAD_TYPE, payload, (EnvelopeSignature(key_arn, of_statement),))
    return SignedArtifact(base64.b64encode(signature) + b"\n", envelope.to_json())


def data_of(artifact: ArtifactDigests, algorithm: str) -> str:
    """Return what the statement says of ``artifact`` besides its name and digests, as JSON."""
    return json.dumps({"signingAlgorithm": algorithm, "size": artifact.size})


def verify_signature(
    artifact: ArtifactDigests, signature: bytes, public_key: "VerifyingKey", *, algorithm: str
) -> None:
    """Verify a detached signature, Base64 (as cosign writes it) or binary (as OpenSSL does), without AWS.

    Raises:
        KMSInvalidSignatureException: Another artifact, another key, another algorithm, or altered.
        InvalidKeyUsageException: The key has no such algorithm.
    """
    verify_input(public_key, artifact.ready, _binary(signature), algorithm=algorithm)


def verify_statement(
    artifact: ArtifactDigests,
    envelope: bytes,
    public_key: "VerifyingKey",
    *,
    algorithm: str,
    name: str | None = None,
    predicate_type: str = PREDICATE_TYPE,
) -> Statement:
    """Verify an envelope without AWS, and that its statement is about ``artifact``.

    Args:
        artifact: What ``digest_artifact`` returned for the same algorithm.
        envelope: JSON of the envelope.
        public_key: Of the key that must have signed; one genuine signature among several is enough.
        algorithm: The one algorithm that is accepted.
        name: Name that the statement must give to the artifact. Defaults to any.
        predicate_type: The only kind of statement that is accepted: the key may have signed others about the same
            artifact, such as that a scan of it failed.

    Raises:
        AttestationInvalid: Not an envelope around an in-toto statement of this kind.
        KMSInvalidSignatureException: No signature is this key's.
        ArtifactMismatch: The statement is about something else.
    """
    found = parse_envelope(envelope)
    signed = pre_authentication_encoding(found.payload_type, found.payload)
    _verify_any(found, signed, public_key, algorithm)
    if found.payload_type != PAYLOAD_TYPE:
        raise AttestationInvalid(f"the envelope's payloadType is {found.payload_type!r}, not {PAYLOAD_TYPE!r}")
    statement = parse_statement(found.payload)
    if statement.predicate_type != predicate_type:
        raise AttestationInvalid(
            f"the statement's predicateType is {statement.predicate_type!r}, not {predicate_type!r}"
        )
    statement.subject_with(artifact.digests, name)
    return statement


def _verify_any(envelope: Envelope, signed: bytes, public_key: "VerifyingKey", algorithm: str) -> None:
    # The hint keyid is not looked at: it is not signed, so it can neither prove nor rule out anything.
    refusals = []
    for item in envelope.signatures:
        try:
            return verify(public_key, signed, item.signature, algorithm=algorithm)
        except KMSInvalidSignatureException as error:
            refusals.append(error)
    raise refusals[-1]


def _binary(signature: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(signature.split()), validate=True)
    except (binascii.Error, ValueError):
        return signature
