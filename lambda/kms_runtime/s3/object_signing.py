"""One S3 object signed: a detached signature and a statement are put beside it or into another bucket."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kms_runtime.errors import InvalidRequest, KmsRuntimeError, SourceChanged
from kms_runtime.s3.latest import ATTEMPTS, current_etag
from kms_runtime.s3.location import S3Object
from kms_runtime.s3.sink import S3Sink
from kms_runtime.s3.source import S3Source
from kms_runtime.signatures.artifacts import (
    ArtifactDigests,
    data_of,
    digest_artifact,
    sign_artifact,
    verify_signature,
    verify_statement,
)
from kms_runtime.signatures.attestations import ENVELOPE_LIMIT
from kms_runtime.streams import taker

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

    from kms_runtime.signatures.verifying_keys import VerifyingKey

SIGNATURE_SUFFIX = ".sig"
STATEMENT_SUFFIX = ".dsse.json"


@dataclass(frozen=True, slots=True)
class SignedObject:
    """What was signed, and where the signatures are.

    Args:
        artifact: The version that was read.
        signature: The detached signature.
        statement: The envelope around the statement.
        digests: Of the artifact.
        signed: False if both signatures that were there are this key's, so that nothing was done.
    """

    artifact: S3Object
    signature: S3Object
    statement: S3Object
    digests: ArtifactDigests
    signed: bool


def sign_object(
    artifact: S3Object,
    signatures_bucket: str,
    *,
    key_arn: str,
    algorithm: str,
    kms_client: "KMSClient",
    s3_client: "S3Client",
    public_key: "VerifyingKey | None" = None,
) -> SignedObject:
    """Sign ``artifact`` into ``KEY.sig`` and ``KEY.dsse.json``.

    Repeated for the same bytes, key and algorithm it does nothing, if both objects are there and ``public_key``
    verifies them: a false one that was put there is replaced. After it has written, it looks once more at what it read,
    and signs again if that was replaced meanwhile: so the signatures of the latest version stay.

    Args:
        artifact: Object of any size; read once, in pieces of 1 MiB.
        signatures_bucket: Where the two objects go; the artifact's own bucket will do.
        key_arn: ARN of the key.
        algorithm: One of ``kms_runtime.signatures.artifacts.ARTIFACT_ALGORITHMS`` that the key has.
        kms_client: A ``boto3.client("kms")`` that may Sign.
        s3_client: A ``boto3.client("s3")`` that may read the artifact, and read and write the two objects.
        public_key: Of the key. Without it what is there cannot be verified, and is written anew; ML-DSA needs it.

    Raises:
        InvalidRequest: The artifact is itself a signature.
        SourceNotReadable, SourceChanged, SourceCorrupted, SourceInterrupted: It cannot be read to its end.
        DestinationNotWritable: A signature cannot be written.
        AwsError: AWS refused; the class name is its error code.
    """
    if artifact.key.endswith((SIGNATURE_SUFFIX, STATEMENT_SUFFIX)):
        raise InvalidRequest(f"{artifact} is a signature by its name; artifacts must not end in .sig or .dsse.json")
    signature, statement = (
        S3Object(signatures_bucket, artifact.key + suffix) for suffix in (SIGNATURE_SUFFIX, STATEMENT_SUFFIX)
    )

    def both_verify(key: "VerifyingKey", digests: ArtifactDigests) -> bool:
        try:
            envelope = _content(statement, s3_client)
            found = verify_statement(digests, envelope, key, algorithm=algorithm, name=artifact.key)
            verify_signature(digests, _content(signature, s3_client), key, algorithm=algorithm)
        except KmsRuntimeError:
            # A writer of the bucket chooses how it is encrypted as well: what cannot be read is replaced.
            return False
        return found.predicate.get("Data") == data_of(digests, algorithm)

    said = {"name": artifact.key, "key_arn": key_arn, "algorithm": algorithm}
    for _ in range(ATTEMPTS):
        with S3Source(artifact, s3_client=s3_client) as source:
            digests = digest_artifact(source, algorithm=algorithm, public_key=public_key)
        if public_key is not None and both_verify(public_key, digests):
            return SignedObject(source.location, signature, statement, digests, signed=False)
        made = sign_artifact(digests, **said, kms_client=kms_client, public_key=public_key)
        # The statement comes last: where it exists, the signature exists.
        written = _put(signature, made.signature, s3_client), _put(statement, made.envelope, s3_client)
        if current_etag(artifact, s3_client) in {source.etag, None}:
            return SignedObject(source.location, *written, digests, signed=True)
    raise SourceChanged(f"{artifact} was replaced each of the {ATTEMPTS} times that it was signed")


def _content(place: S3Object, s3_client: "S3Client") -> bytes:
    with S3Source(place, s3_client=s3_client) as source:
        # One byte more than is accepted: a writer of the bucket must not choose how much memory this takes.
        return taker(source)(ENVELOPE_LIMIT + 1)


def _put(place: S3Object, data: bytes, s3_client: "S3Client") -> S3Object:
    with S3Sink(place, expected_size=len(data), s3_client=s3_client) as sink:
        sink.write(data)
        return sink.complete()
