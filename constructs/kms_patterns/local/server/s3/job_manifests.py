"""The manifest of an S3 Batch Operations job: read from a bucket, or generated from a bucket's objects by a filter.

A generated manifest lists every version of a bucket with versioning, and the objects of another one.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-create-job.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_JobManifestGeneratorFilter.html
"""

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote_plus

from kms_patterns.local.server.emulator.acting import NotPermitted
from kms_patterns.local.server.emulator.emulator import RESPONSES, S3, reach
from kms_patterns.local.server.s3.batch_runs import Job, JobFailed, Task, as_role, become
from kms_patterns.local.server.s3.object_encryption import kind_of
from kms_patterns.local.server.s3.s3_encryption import BUCKET_KEY, KEY_ID
from kms_patterns.local.server.s3.s3_operations import ALGORITHM, S3Refusal

_UNREAD: Final = "Reading the manifest is forbidden: AccessDenied"
_NOT_WRITTEN: Final = "Error occurred when preparing manifest: Failed to write manifest"
_NO_KEYS: Final = "Manifest generation found no keys matching the filter criteria."
_UNSERVED_FILTERS: Final = {"EligibleForReplication", "ObjectReplicationStatuses"}
_CSV: Final = "S3BatchOperations_CSV_20180820"


def check_manifest(members: Mapping[str, Any]) -> None:
    """Refuse a manifest, or a generator of one, that AWS refuses or that is not served.

    Raises:
        S3Refusal: InvalidRequest, NotImplemented.
    """
    if "Manifest" in members:
        spec = members["Manifest"]["Spec"]
        columns = set(spec.get("Fields") or ())
        if spec["Format"] == _CSV and not {"Bucket", "Key"} <= columns:
            raise S3Refusal("InvalidRequest", "Fields of a CSV manifest must have Bucket and Key.")
        return
    generator = members["ManifestGenerator"].get("S3JobManifestGenerator")
    if generator is None:
        raise S3Refusal("InvalidRequest", "A ManifestGenerator must specify S3JobManifestGenerator.")
    if generator["EnableManifestOutput"] and "ManifestOutputLocation" not in generator:
        raise S3Refusal("InvalidRequest", "EnableManifestOutput needs a ManifestOutputLocation.")
    wanted = generator.get("Filter") or {}
    if unserved := sorted(_UNSERVED_FILTERS & wanted.keys()):
        raise S3Refusal("NotImplemented", f"The filter {unserved[0]} is not served by the embedded AWS.", 501)
    if any(len(one) != 1 for one in wanted.get("MatchAnyObjectEncryption", ())):
        raise S3Refusal("InvalidRequest", "An item of MatchAnyObjectEncryption names exactly one type of encryption.")


async def prepare(job: Job) -> None:
    """Read or generate the job's manifest; it is ready then, suspended until it is confirmed, or has failed."""
    with reach(RESPONSES, "request_scope")(job.account, job.region):
        job.status = "Preparing"
        try:
            become(job)
            given = job.request.get("Manifest")
            tasks = _checked(await (_of_manifest(job, given) if given else _generated(job)))
        except JobFailed as failed:
            if job.status == "Preparing":
                job.fail(failed)
            return
        if job.status == "Preparing":
            job.tasks, job.total = tasks, len(tasks)
            confirmed = not job.request.get("ConfirmationRequired")
            job.status, job.suspended = "Ready" if confirmed else "Suspended", None if confirmed else datetime.now(UTC)


def _checked(tasks: list[Task]) -> list[Task]:
    if not tasks:
        raise JobFailed("EmptyManifest", _NO_KEYS)
    if len({task.bucket for task in tasks}) > 1:
        raise JobFailed("InvalidManifest", "All objects of a manifest must be in one bucket.")
    return tasks


async def _of_manifest(job: Job, given: Mapping[str, Any]) -> list[Task]:
    location, spec = given["Location"], given["Spec"]
    bucket, _, key = str(location["ObjectArn"]).split(":::")[-1].partition("/")
    content, headers = await _read(job, bucket, key, location.get("ObjectVersionId"))
    if str(headers.get("ETag", "")).strip('"') != str(location["ETag"]).strip('"'):
        raise JobFailed("InvalidManifest", f"The ETag of the manifest {key} is not {location['ETag']}.")
    try:
        if spec["Format"] == _CSV:
            # AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshooting-batch-operations.html
            if headers.get(ALGORITHM) == "aws:kms":
                raise JobFailed("AccessDenied", f"{_UNREAD} (a CSV manifest under SSE-KMS is not supported)")
            return list(_tasks(content.decode(), list(spec.get("Fields") or ("Bucket", "Key"))))
        return await _of_inventory(job, bucket, json.loads(content))
    except (ValueError, LookupError, OSError, EOFError, zlib.error) as malformed:
        raise JobFailed("InvalidManifest", f"Failed to parse task from manifest: {malformed}") from malformed


async def _of_inventory(job: Job, bucket: str, manifest: Mapping[str, Any]) -> list[Task]:
    columns = [name.strip() for name in str(manifest["fileSchema"]).split(",")]
    found: list[Task] = []
    for file in manifest["files"]:
        content, _headers = await _read(job, bucket, str(file["key"]))
        found += _tasks(gzip.decompress(content).decode(), columns)
    return found


def _tasks(text: str, columns: Sequence[str]) -> Iterator[Task]:
    places = {name: columns.index(name) for name in ("Bucket", "Key", "VersionId") if name in columns}
    marker = columns.index("IsDeleteMarker") if "IsDeleteMarker" in columns else None
    for row in csv.reader(io.StringIO(text)):
        if row and not (marker is not None and row[marker].lower() == "true"):
            version = row[places["VersionId"]] if "VersionId" in places else None
            yield Task(row[places["Bucket"]], unquote_plus(row[places["Key"]]), version)


async def _read(job: Job, bucket: str, key: str, version: str | None = None) -> tuple[bytes, Mapping[str, str]]:
    status, headers, content = await as_role(job, "GET", f"/{bucket}/{key}", {"versionId": version} if version else {})
    if status != HTTPStatus.OK:
        raise JobFailed("AccessDenied", _UNREAD if status == HTTPStatus.FORBIDDEN else f"No manifest {bucket}/{key}.")
    return content, headers


async def _generated(job: Job) -> list[Task]:
    generator = job.request["ManifestGenerator"]["S3JobManifestGenerator"]
    bucket = str(generator["SourceBucket"]).rpartition(":")[2]
    try:
        become(job).require("s3:PutInventoryConfiguration", f"arn:aws:s3:::{bucket}")
    except NotPermitted as refused:
        raise JobFailed("AccessDenied", str(refused)) from refused
    if bucket not in reach(S3, "_buckets") or generator.get("ExpectedBucketOwner", job.account) != job.account:
        raise JobFailed("AccessDenied", f"The source bucket {bucket} is not a bucket of the expected owner.")
    found = [task for task, record in _objects(bucket) if _matches(task, record, generator.get("Filter") or {})]
    place = generator.get("ManifestOutputLocation")
    if found and generator["EnableManifestOutput"] and place:
        await _write(job, bucket, place, found)
    return found


def _objects(bucket: str) -> Iterator[tuple[Task, Mapping[str, Any]]]:
    current = reach(S3, "_buckets")[bucket]["objects"]
    if reach(S3, "_bucket_versioning").get(bucket) not in {"Enabled", "Suspended"}:
        yield from ((Task(bucket, key), record) for key, record in sorted(current.items()))
        return
    versions = {place[1]: listed for place, listed in reach(S3, "_object_versions").items() if place[0] == bucket}
    for key in sorted({*current, *versions}):
        listed = {version["version_id"]: version for version in versions.get(key, [])}
        if key in current:
            listed.setdefault(current[key].get("version_id") or "null", current[key])
        for version_id, version in listed.items():
            if not version.get("is_delete_marker"):
                yield Task(bucket, key, version_id), version


def _matches(task: Task, record: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    names = wanted.get("KeyNameConstraint") or {}
    stored, size = record.get("preserved_headers") or {}, int(record["size"])
    written = datetime.fromisoformat(str(record["last_modified"])).astimezone(UTC)
    classes, encryptions = wanted.get("MatchAnyStorageClass"), wanted.get("MatchAnyObjectEncryption")
    return (
        (not names.get("MatchAnyPrefix") or task.key.startswith(tuple(names["MatchAnyPrefix"])))
        and (not names.get("MatchAnySuffix") or task.key.endswith(tuple(names["MatchAnySuffix"])))
        and (not names.get("MatchAnySubstring") or any(part in task.key for part in names["MatchAnySubstring"]))
        and ("CreatedAfter" not in wanted or written > wanted["CreatedAfter"])
        and ("CreatedBefore" not in wanted or written < wanted["CreatedBefore"])
        and size > wanted.get("ObjectSizeGreaterThanBytes", -1)
        and ("ObjectSizeLessThanBytes" not in wanted or size < wanted["ObjectSizeLessThanBytes"])
        and (not classes or (record.get("storage_class") or "STANDARD") in classes)
        and (not encryptions or any(_encrypted(stored, one) for one in encryptions))
    )


def _encrypted(stored: Mapping[str, str], wanted: Mapping[str, Any]) -> bool:
    kind = kind_of(stored)
    if kind not in wanted:
        return False
    members = wanted[kind]
    bucket_key = stored.get(BUCKET_KEY) == "true"
    of_key = members.get("KmsKeyArn", stored.get(KEY_ID)) == stored.get(KEY_ID)
    return bool(of_key and members.get("BucketKeyEnabled", bucket_key) == bucket_key)


async def _write(job: Job, bucket: str, place: Mapping[str, Any], tasks: Sequence[Task]) -> None:
    target, prefix = str(place["Bucket"]).rpartition(":")[2], str(place.get("ManifestPrefix", "")).strip("/")
    folder = "/".join(part for part in (prefix, f"job-{job.job_id}") if part)
    encryption = place.get("ManifestEncryption") or {}
    headers = {ALGORITHM: "AES256"} if "SSES3" in encryption else {}
    if "SSEKMS" in encryption:
        headers = {ALGORITHM: "aws:kms", KEY_ID: str(encryption["SSEKMS"]["KeyId"])}
    if "ExpectedManifestBucketOwner" in place:
        headers["x-amz-expected-bucket-owner"] = str(place["ExpectedManifestBucketOwner"])
    versioned = any(task.version for task in tasks)
    text = io.StringIO()
    rows = ([task.bucket, quote(task.key), *([task.version or ""] if versioned else [])] for task in tasks)
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    data = gzip.compress(text.getvalue().encode())
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    named = {"key": f"{folder}/data/{job.job_id}.csv.gz", "size": len(data), "MD5checksum": digest}
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{target}",
        "version": "2021-11-30",
        "creationTimestamp": str(int(datetime.now(UTC).timestamp() * 1000)),
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, VersionId" if versioned else "Bucket, Key",
        "files": [named],
    }
    for key, content in ((named["key"], data), (f"{folder}/manifest.json", json.dumps(manifest).encode())):
        status, answered, _content = await as_role(job, "PUT", f"/{target}/{key}", {}, body=content, headers=headers)
        if status != HTTPStatus.OK:
            raise JobFailed("AccessDenied", _NOT_WRITTEN)
    location = {"ObjectArn": f"arn:aws:s3:::{target}/{folder}/manifest.json", "ETag": answered["ETag"].strip('"')}
    version = answered.get("x-amz-version-id")
    job.generated = {
        "Format": place["ManifestFormat"],
        "Location": location | ({"ObjectVersionId": version} if version else {}),
    }
    for key in (f"{folder}/manifest.json", str(named["key"])):
        await _read(job, target, key)
