"""Objects in Amazon S3 for the ``encrypt`` and ``decrypt`` commands: read once, written as a whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from kms_runtime.aws_errors import AwsError
from kms_runtime.cli.places import S3Place
from kms_runtime.s3 import S3Object, S3Sink, S3Source
from kms_runtime.s3.parts import MAX_PARTS, PART_SIZE
from kms_runtime.s3.read_ahead import read_ahead

# Frames and header add less than a thousandth and 128 KiB to the plaintext.
_ALLOWANCE = 1.001, 128 * 1024
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}


@contextmanager
def reading_object(place: S3Place) -> Iterator[tuple[Any, int]]:
    """Open the object and give it, read ahead, with its size."""
    with S3Source(_location(place), s3_client=_client()) as source, read_ahead(source) as ahead:
        yield ahead, source.size


@contextmanager
def writing_object(place: S3Place, *, size: int | None, force: bool) -> Iterator[S3Sink]:
    """Write the object, which appears at the very end.

    Args:
        place: The object.
        size: Size of what is encrypted or decrypted into it; None, if it is not known, allows 58 GiB.
        force: Whether an existing object may be replaced.

    Raises:
        FileExistsError: There is such an object, at the start or at the end, and ``force`` is not set.
    """
    s3 = _client()
    if not force:
        _refuse_existing(s3, place)
    factor, header = _ALLOWANCE
    expected = PART_SIZE * MAX_PARTS if size is None else int(size * factor) + header
    try:
        with S3Sink(_location(place), expected_size=expected, s3_client=s3, only_new=not force) as sink:
            yield sink
            sink.complete()
    except AwsError as error:
        if error.code in _TAKEN:
            raise _exists(place) from error
        raise


def _client() -> Any:
    return boto3.client("s3", config=Config(retries={"mode": "standard"}))


def _location(place: S3Place) -> S3Object:
    return S3Object(place.bucket, place.key)


def _refuse_existing(s3: Any, place: S3Place) -> None:
    """Say it before the work; whoever may not look gets the same response after it, from the conditional write."""
    try:
        s3.head_object(Bucket=place.bucket, Key=place.key)
    except ClientError:
        return
    raise _exists(place)


def _exists(place: S3Place) -> FileExistsError:
    return FileExistsError(f"{place} exists; --force overwrites it")
