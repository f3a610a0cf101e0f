"""What a job of S3 Batch Operations does in the name of its role: its manifest, its tasks, its completion report.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-update-encryption.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html
"""

import asyncio
import csv
import hashlib
import io
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from kms_patterns.local.server.emulator.acting import Acting, NotAssumable, NotPermitted, service_role
from kms_patterns.local.server.emulator.emulator import APP, RESPONSES, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_members import local_name, parsed_xml

SERVICE: Final = "batchoperations.s3.amazonaws.com"
OPERATION: Final = "S3UpdateObjectEncryption"
ENDED: Final = frozenset({"Cancelled", "Complete", "Failed"})
FEWEST_TASKS: Final = 1000
"""A job of which more than half has failed after so many tasks is ended."""
_REPORT_REFUSED: Final = "The job report could not be written to your report bucket. Please check your permissions."
_SCHEMA: Final = "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"


class JobFailed(Exception):
    """The job as a whole cannot go on."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Task:
    """One object of a manifest; ``version`` is None for the current one, empty where the manifest has none."""

    bucket: str
    key: str
    version: str | None = None


@dataclass
class Job:
    """A job, with the members of the request that made it."""

    job_id: str
    request: Mapping[str, Any]
    account: str
    region: str
    status: str = "New"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    priority: int = 0
    tasks: list[Task] = field(default_factory=list)
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    active_seconds: float = 0
    reasons: list[dict[str, str]] = field(default_factory=list)
    generated: dict[str, Any] | None = None
    suspended: datetime | None = None
    ended: datetime | None = None
    update_reason: str | None = None
    principal: Acting | None = None

    @property
    def arn(self) -> str:
        """The ARN of the job."""
        return f"arn:aws:s3:{self.region}:{self.account}:job/{self.job_id}"

    def end(self, status: str) -> None:
        """Bring the job to its last status."""
        self.status, self.ended = status, datetime.now(UTC)
        self.tasks = []

    def fail(self, failed: JobFailed) -> None:
        """End the job for a reason, which DescribeJob tells."""
        self.reasons.append({"FailureCode": failed.code, "FailureReason": failed.reason[:256]})
        self.end("Failed")


def become(job: Job) -> Acting:
    """Return the session in which the job acts, a new one if it has none.

    Raises:
        JobFailed: Its role does not exist, or does not trust S3 Batch Operations.
    """
    if job.principal is None:
        try:
            job.principal = service_role(str(job.request["RoleArn"]), SERVICE, f"s3-batch-ops_{job.job_id}"[:64])
        except NotAssumable as refused:
            raise JobFailed("AccessDenied", f"The role could not be assumed: {refused}") from refused
    return job.principal


async def as_role(
    job: Job,
    method: str,
    path: str,
    query: Mapping[str, str],
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return S3's response to a request of the job's role, through the door of clients' requests."""
    own = {"host": "127.0.0.1", **(headers or {}), "authorization": become(job).credential("s3")}
    listed = {name: [value] for name, value in query.items()}
    status, answered, content = await reach(APP, "_dispatch_service_request")(
        method, path, own, body, listed, str(uuid4())
    )
    return status, answered, content if isinstance(content, bytes) else bytes(content or b"")


async def execute(job: Job) -> None:
    """Do the tasks of a job that is ready, write its report, and end it."""
    with reach(RESPONSES, "request_scope")(job.account, job.region):
        # Confirmed long after it was made, the job needs a new session of its role.
        job.principal = None
        try:
            become(job)
        except JobFailed as failed:
            job.fail(failed)
            return
        if job.status == "Ready":
            job.status = "Active"
        started = time.monotonic()
        rows: dict[str, list[list[str]]] = {"succeeded": [], "failed": []}
        async for status, row in _done(job):
            rows[status].append(row)
            job.active_seconds = time.monotonic() - started
        stopped = job.status
        if stopped == "Active":
            job.status = "Completing"
        try:
            await _report(job, rows)
        except JobFailed as failed:
            job.fail(failed)
            return
        if stopped == "Failing":
            job.fail(JobFailed("JobFailureThreshold", "More than 50% of the tasks failed."))
        else:
            job.end("Cancelled" if stopped == "Cancelling" else "Complete")


async def _done(job: Job) -> AsyncIterator[tuple[str, list[str]]]:
    encryption = job.request["Operation"][OPERATION]["ObjectEncryption"]["SSEKMS"]
    bucket_key = str(encryption.get("BucketKeyEnabled", False)).lower()
    body = (
        f"<ObjectEncryption><SSE-KMS><KMSKeyArn>{encryption['KMSKeyArn']}</KMSKeyArn>"
        f"<BucketKeyEnabled>{bucket_key}</BucketKeyEnabled></SSE-KMS></ObjectEncryption>"
    ).encode()
    for number, task in enumerate(job.tasks, 1):
        # Other requests are served between two tasks.
        await asyncio.sleep(0)
        if job.status == "Cancelling":
            return
        http, code, message = await _task(job, task, body)
        done = http == HTTPStatus.OK
        job.succeeded, job.failed = job.succeeded + done, job.failed + (not done)
        outcome = "succeeded" if done else "failed"
        # The schema has the error code first; every example of AWS's page has the HTTP status there.
        yield outcome, [task.bucket, quote(task.key), task.version or "", outcome, str(http), code, message]
        if number >= FEWEST_TASKS and job.failed * 2 > number:
            job.status = "Failing"
            return


async def _task(job: Job, task: Task, body: bytes) -> tuple[int, str, str]:
    """Return HTTP status, error code and message of one object's update."""
    if task.version == "":
        return int(HTTPStatus.BAD_REQUEST), "InvalidRequest", "Task failed due to missing VersionId"
    reading = "s3:GetObjectVersion" if task.version else "s3:GetObject"
    try:
        become(job).require(reading, f"arn:aws:s3:::{task.bucket}/{task.key}")
    except NotPermitted as refused:
        return int(HTTPStatus.FORBIDDEN), "AccessDenied", str(refused)
    query = {"encryption": ""} | ({"versionId": task.version} if task.version else {})
    status, _headers, content = await as_role(job, "PUT", f"/{task.bucket}/{task.key}", query, body=body)
    if status == HTTPStatus.OK:
        return status, "", "Successful"
    root = parsed_xml(content.decode("utf-8", "replace"))
    told = {local_name(element): element.text or "" for element in root.iter()} if root is not None else {}
    return status, told.get("Code", "InternalError"), told.get("Message", "")


async def _report(job: Job, rows: Mapping[str, list[list[str]]]) -> None:
    wanted = job.request["Report"]
    if not wanted["Enabled"] or not any(rows.values()):
        return
    bucket = str(wanted["Bucket"]).rpartition(":")[2]
    prefix = str(wanted.get("Prefix", "")).strip("/")
    folder = "/".join(part for part in (prefix, f"job-{job.job_id}") if part)
    owner = wanted.get("ExpectedBucketOwner")
    results = []
    for status, lines in rows.items():
        if lines and (status == "failed" or wanted["ReportScope"] == "AllTasks"):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(lines)
            content = text.getvalue().encode()
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            key = f"{folder}/results/{hashlib.sha1(content, usedforsecurity=False).hexdigest()}.csv"
            await _write_report(job, bucket, key, content, owner)
            results.append({"TaskExecutionStatus": status, "Bucket": bucket, "MD5Checksum": digest, "Key": key})
    manifest = {
        "Format": "Report_CSV_20180820",
        "ReportCreationDate": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "Results": results,
        "ReportSchema": _SCHEMA,
    }
    await _write_report(job, bucket, f"{folder}/manifest.json", json.dumps(manifest).encode(), owner)


async def _write_report(job: Job, bucket: str, key: str, content: bytes, owner: str | None) -> None:
    # Completion reports are always under SSE-S3, by AWS's page.
    headers = {"x-amz-server-side-encryption": "AES256"} | ({"x-amz-expected-bucket-owner": owner} if owner else {})
    status, _headers, _content = await as_role(job, "PUT", f"/{bucket}/{key}", {}, body=content, headers=headers)
    if status != HTTPStatus.OK:
        raise JobFailed("ReportWriteFailed", _REPORT_REFUSED)
