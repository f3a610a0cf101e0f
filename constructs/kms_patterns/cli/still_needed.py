"""``kms-patterns keys still-needed``: what of the buckets is under a key, before it is disabled."""

import csv
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote_plus

import boto3
import click
from botocore.exceptions import ClientError

from kms_patterns.cli.failures import errors_explained, with_profile, written_by_others

_AT_ONCE: Final = 16
_PAGE: Final = 1000
_NOT_KMS: Final = {"SSE-S3", "SSE-C", "NOT-SSE"}


@click.command("still-needed")
@click.argument("key")
@click.option("--bucket", "buckets", multiple=True, help="A bucket to look at; repeatable.")
@click.option("--inventory", "manifests", multiple=True, help="s3://BUCKET/KEY of an inventory's manifest; repeatable.")
@click.option("--region", help="Region of key and buckets. Defaults to the profile's.")
@with_profile
def still_needed(
    key: str, buckets: Sequence[str], manifests: Sequence[str], region: str | None, profile: str | None
) -> None:
    """Count the objects, in all their versions, that KEY is still needed for; the status is 1 if there may be any.

    Asks S3 for the bucket's default encryption (s3:GetEncryptionConfiguration), for the encryption of each version
    (s3:ListBucketVersions, s3:GetObject, s3:GetObjectVersion) and, before and after, for the uploads in progress, which
    end under the key they began with (s3:ListBucketMultipartUploads). What cannot be told counts as needed. It does not
    look into objects: a message whose data key is under KEY needs it as well.

    An inventory in CSV spares a look at each version that it lists as not under KMS. It lists what was there when it
    was made, so that the status is 1 in any case: look at the bucket itself before you disable the key.
    """
    from kms_patterns.access.report.wording import visible  # noqa: PLC0415

    if not buckets and not manifests:
        raise click.UsageError("give --bucket, --inventory, or both")
    with errors_explained():
        session = boto3.Session(profile_name=profile, region_name=region)
        found = session.client("kms").describe_key(KeyId=key)["KeyMetadata"]
        arn, going = found["Arn"], found["KeyState"] == "PendingDeletion"
        total: Counter[str] = Counter()
        for bucket in buckets:
            total += (counts := counted(session.client("s3"), bucket, arn))
            click.echo(
                f"{bucket}: {counts['needed']:,} under {arn}, {counts['other']:,} not, {counts['unknown']:,} unknown, "
                f"{counts['uploads']:,} uploads in progress" + "; the bucket's default" * bool(counts["default"])
            )
        for manifest in manifests:
            s3 = session.client("s3")
            with written_by_others(manifest):
                source, made, rows = inventory(s3, manifest)
                counts = inventoried(s3, source, rows, arn)
            click.echo(
                f"{visible(source)}, inventory of {made:%Y-%m-%d %H:%M} UTC: {counts['needed']:,} under {arn}, "
                f"{counts['other']:,} not, {counts['unknown']:,} unknown; what changed since then is not in it"
            )
            total += counts
    if total["needed"] + total["unknown"] + total["uploads"] + total["default"]:
        step = "Cancel the deletion of" if going else "Do not disable"
        click.echo(f"{step} {arn}: what is under it could not be read.", err=True)
        sys.exit(1)
    if manifests:
        click.echo(f"Look at the buckets themselves, by --bucket, before you disable {arn}.", err=True)
        sys.exit(1)
    click.echo(
        "S3's encryption of these objects does not need it. Messages in objects were not looked at: their data keys "
        "may be under it. Disable it first, and watch for refusals before you delete it."
    )


def counted(s3: Any, bucket: str, arn: str) -> Counter[str]:
    """Return how many versions are ``needed``, ``other`` or ``unknown``, ``uploads`` in progress, and ``default``.

    ``default`` is 1 if the bucket encrypts new objects under the key, or if that cannot be told.
    """
    # An upload that ends while the versions are listed may be in neither list; it was in progress before.
    counts: Counter[str] = Counter(uploads=uploads(s3, bucket), default=_may_be_default(s3, bucket, arn))
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for page in pages:
            counts.update(threads.map(partial(_look, s3, bucket, arn), page.get("Versions", [])))
    counts["uploads"] = max(counts["uploads"], uploads(s3, bucket))
    return counts


def _look(s3: Any, bucket: str, arn: str, version: Mapping[str, str]) -> str:
    which = {"VersionId": version["VersionId"]} if version.get("VersionId") else {}
    try:
        found = s3.head_object(Bucket=bucket, Key=version["Key"], **which)
    except ClientError:
        return "unknown"
    return "needed" if found.get("SSEKMSKeyId") == arn else "other"


def inventory(s3: Any, place: str) -> tuple[str, datetime, Iterator[dict[str, str]]]:
    """Return the bucket that an inventory is of, when it was made, and its rows by column.

    Raises:
        ClickException: Its files are not CSV, or have no keys.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
    """
    bucket, _slash, key = place.removeprefix("s3://").partition("/")
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    columns = [name.strip() for name in str(manifest["fileSchema"]).split(",")]
    if manifest["fileFormat"] != "CSV" or "Key" not in columns:
        raise click.ClickException(f"{place} lists {manifest['fileFormat']} files: configure the inventory as CSV")
    where = str(manifest["destinationBucket"]).rpartition(":")[2]

    def rows() -> Iterator[dict[str, str]]:
        for file in manifest["files"]:
            with gzip.GzipFile(fileobj=s3.get_object(Bucket=where, Key=file["key"])["Body"]) as lines:
                yield from (dict(zip(columns, row, strict=True)) for row in csv.reader(line.decode() for line in lines))

    made = datetime.fromtimestamp(int(manifest["creationTimestamp"]) / 1000, UTC)
    return str(manifest["sourceBucket"]), made, rows()


def inventoried(s3: Any, bucket: str, rows: Iterator[Mapping[str, str]], arn: str) -> Counter[str]:
    """Return how many rows are ``needed``, ``other`` or ``unknown``; one without an encryption status is looked at."""

    def look(row: Mapping[str, str]) -> str:
        if row.get("EncryptionStatus") in _NOT_KMS:
            return "other"
        return _look(s3, bucket, arn, {**row, "Key": unquote_plus(row["Key"])})

    counts: Counter[str] = Counter()
    present = (row for row in rows if row.get("IsDeleteMarker", "").lower() != "true")
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        while page := list(islice(present, _PAGE)):
            counts.update(threads.map(look, page))
    return counts


def uploads(s3: Any, bucket: str) -> int:
    """Return the number of uploads in progress, which end under the key that they began with."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
    return sum(len(page.get("Uploads", [])) for page in pages)


def _may_be_default(s3: Any, bucket: str, arn: str) -> bool:
    try:
        found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError:
        return True
    names = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") for rule in found]
    # An alias may name any key.
    return any(name in {arn, arn.rpartition("/")[2]} or "alias/" in name for name in names if name)
