"""Objects in Amazon S3 for the ``encrypt`` and ``decrypt`` commands: read once, written as a whole or not at all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from botocore.exceptions import ClientError

from kms_runtime.aws_errors import AwsError
from kms_runtime.cli.aws_clients import s3_client
from kms_runtime.cli.places import S3Place, exists, shown
from kms_runtime.errors import KmsRuntimeError, SourceNotReadable
from kms_runtime.s3 import S3Object, S3Sink, S3Source
from kms_runtime.s3.location import s3_errors
from kms_runtime.s3.parts import MAX_PARTS, PART_SIZE
from kms_runtime.s3.ranged_reads import HOST, ONE_STREAM, opened
from kms_runtime.s3.transfer import Tags, carried_attributes
from kms_runtime.streams import Source

# Frames and header add less than a thousandth and 128 KiB to the plaintext.
_ALLOWANCE = 1.001, 128 * 1024
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}


_chosen = [HOST]


def choose(*, side_by_side: bool) -> None:
    """Choose the requests for one object: many, or few where several objects are processed at a time."""
    _chosen[0] = ONE_STREAM if side_by_side else HOST


def listed(folder: S3Place) -> Iterator[tuple[str, int, int]]:
    """Yield key, size and modification time, in nanoseconds but to the second, of each object below ``folder``.

    Raises:
        ClickException: Amazon S3 refused.
    """
    try:
        with s3_errors(S3Object(folder.bucket, folder.key), SourceNotReadable):
            pages = s3_client().get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=folder.key)
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"], found["Size"], nanoseconds(found["LastModified"])
    except KmsRuntimeError as error:
        raise click.ClickException(f"{shown(folder)}: {error.code}: {shown(error)}") from error


def nanoseconds(moment: datetime) -> int:
    """Return a moment in nanoseconds since the epoch, to the second, as the response of GetObject has it."""
    return int(moment.timestamp()) * 10**9


@contextmanager
def reading_object(place: S3Place, *, tags: Tags) -> Iterator[tuple[Source, S3Source, dict[str, Any]]]:
    """Open the object and give its bytes, what it is, and its headers, metadata and tags."""
    location, s3 = S3Object(place.bucket, place.key), s3_client()
    with opened(location, s3_client=s3, concurrency=_chosen[0]) as (source, stream):
        yield stream, source, carried_attributes(source, location, tags, s3)


@contextmanager
def writing_object(
    place: S3Place, *, size: int | None, force: bool, attributes: Mapping[str, Any] | None = None
) -> Iterator[S3Sink]:
    """Write the object, which appears at the very end.

    Args:
        place: The object.
        size: Size of what is encrypted or decrypted into it; None, if it is not known, allows 58 GiB.
        force: Whether an existing object may be replaced.
        attributes: Its headers, metadata and tags.

    Raises:
        FileExistsError: There is such an object, at the start or at the end, and ``force`` is not set.
    """
    s3 = s3_client()
    if not force:
        _refuse_existing(s3, place)
    factor, header = _ALLOWANCE
    expected = PART_SIZE * MAX_PARTS if size is None else int(size * factor) + header
    location = S3Object(place.bucket, place.key)
    try:
        with S3Sink(
            location,
            expected_size=expected,
            s3_client=s3,
            attributes=attributes,
            only_new=not force,
            uploads=_chosen[0].uploads,
        ) as sink:
            yield sink
            sink.complete()
    except AwsError as error:
        if error.code in _TAKEN:
            raise exists(place) from error
        raise


def _refuse_existing(s3: Any, place: S3Place) -> None:
    """Refuse before the work; a caller without s3:GetObject is refused after it, by the conditional write."""
    try:
        s3.head_object(Bucket=place.bucket, Key=place.key)
    except ClientError:
        return
    raise exists(place)
