"""One object of a bulk run, written once for each state of its source, however often and by how many it is tried.

The destination has a mark in its metadata: a digest of the source's ETag and of the settings. A destination with the
right mark is left alone. It is written only in the state that was looked at (``If-None-Match``, ``If-Match``), so that
two writers, or a late one, never overwrite each other.

See https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from kms_runtime.aws_errors import AwsError
from kms_runtime.errors import DestinationNotOurs, SourceChanged, SourceNotReadable
from kms_runtime.message.header import MessageResult
from kms_runtime.s3.latest import current_etag, head
from kms_runtime.s3.location import S3Object
from kms_runtime.s3.ranged_reads import opened
from kms_runtime.s3.sink import S3Sink
from kms_runtime.s3.transfer import carried_attributes
from kms_runtime.streams import Sink, Source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MARK: Final = "bulk-mark"
"""Name of the user metadata that holds the mark."""
ATTEMPTS: Final = 4
_RACED: Final = {"PreconditionFailed", "ConditionalRequestConflict"}


@dataclass(frozen=True, slots=True)
class BulkTransfer:
    """How the bytes of one object become those of another.

    Args:
        run: Reads the source to its end and writes the sink.
        expected_size: Upper bound of the written bytes, given the source's.
        settings: What the result depends on besides the source: operation, key, encryption context.
    """

    run: Callable[[Source, Sink], MessageResult]
    expected_size: Callable[[int], int]
    settings: str

    def mark(self, etag: str) -> str:
        """Return the mark of what is made of a source with this ETag."""
        return hashlib.sha256(f"{self.settings}\n{etag}".encode()).hexdigest()


class Brought(NamedTuple):
    """What became of one object: written now, or found written; the bytes are the source's."""

    written: bool
    source_bytes: int


class _Present(NamedTuple):
    etag: str
    mark: str | None


def bring(source: S3Object, destination: S3Object, transfer: BulkTransfer, *, s3_client: "S3Client") -> Brought:
    """Write ``destination`` from ``source``, unless it was written from this very source before.

    What another writer put at the destination, or changed there since, bears no mark and is never replaced.

    Args:
        source: What to read.
        destination: What to write; it gets the source's headers and metadata, and the mark.
        transfer: What happens to the bytes.
        s3_client: A ``boto3.client("s3")`` that may read both objects and write the destination.

    Raises:
        SourceNotReadable: Amazon S3 returned 403 or 404 for the source.
        DestinationNotOurs: The destination exists and bears no mark.
        SourceChanged: The source or the destination was replaced during each of ``ATTEMPTS`` attempts.
        KmsRuntimeError: What reading, transferring and writing raise.
    """
    for _ in range(ATTEMPTS):
        found = head(destination, s3_client)
        present = _Present(found["ETag"], found["Metadata"].get(MARK)) if found else None
        if present and not present.mark:
            raise DestinationNotOurs(
                f"{destination} exists, and no bulk run wrote it: move it away, or give another destination prefix"
            )
        if present:
            etag = current_etag(source, s3_client)
            if etag is None:
                # A refusal that passes must not write again what is there.
                raise SourceNotReadable(f"{source}: Amazon S3 returned 403 or 404")
            if present.mark == transfer.mark(etag):
                return Brought(written=False, source_bytes=0)
        try:
            size, etag = _write(source, destination, present, transfer, s3_client)
        except AwsError as error:
            if error.code not in _RACED:
                raise
            continue
        if current_etag(source, s3_client) in {etag, None}:
            return Brought(written=True, source_bytes=size)
    raise SourceChanged(f"{source}: it or its destination was replaced during each of {ATTEMPTS} attempts")


def _write(
    source: S3Object, destination: S3Object, present: _Present | None, transfer: BulkTransfer, s3_client: "S3Client"
) -> tuple[int, str]:
    """Return the size and the ETag of what was read."""
    with opened(source, s3_client=s3_client) as (reader, stream):
        attributes = carried_attributes(reader, source, "refuse", s3_client)
        metadata = {**attributes.get("Metadata", {}), MARK: transfer.mark(reader.etag)}
        with S3Sink(
            destination,
            expected_size=transfer.expected_size(reader.size),
            s3_client=s3_client,
            attributes={**attributes, "Metadata": metadata},
            only_new=present is None,
            replaces=present.etag if present else None,
        ) as sink:
            transfer.run(stream, sink)
            sink.complete()
        return reader.size, reader.etag
