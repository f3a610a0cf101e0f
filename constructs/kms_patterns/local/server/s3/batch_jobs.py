"""S3 Batch Operations: jobs that update the encryption of objects, as S3 Control serves them.

Every job runs as soon as it may, without a queue in which its priority would matter. Jobs end with the server.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-job-status.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_CreateJob.html
"""

import asyncio
import contextvars
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from kms_patterns.local.server.emulator.emulator import APP, EVALUATOR, RESPONSES, S3, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_members import Served
from kms_patterns.local.server.s3 import control_documents
from kms_patterns.local.server.s3.batch_runs import ENDED, OPERATION, Job, JobFailed, execute
from kms_patterns.local.server.s3.job_manifests import check_manifest, prepare
from kms_patterns.local.server.s3.s3_operations import S3Refusal

logger = logging.getLogger("kms_patterns")
Handler = Callable[..., Awaitable[Response | None]]
_JOBS = re.compile(r"/v20180820/jobs(?:/([^/]+)(?:/(priority|status|tagging))?)?/?")
_OPERATIONS: Final[Mapping[tuple[str, bool, str], str]] = {
    ("POST", False, ""): "CreateJob",
    ("GET", False, ""): "ListJobs",
    ("GET", True, ""): "DescribeJob",
    ("POST", True, "status"): "UpdateJobStatus",
}
_AS_REQUESTED: Final = ("ConfirmationRequired", "Manifest", "ManifestGenerator", "Operation", "Report", "RoleArn")
_LISTED: Final = 1000
_ADDRESS: Final = "127.0.0.1"
_AWAITING: Final = "AWAITING_CONFIRMATION"
_jobs: dict[tuple[str, str], dict[str, Job]] = {}
_running: set[asyncio.Task[None]] = set()


def controlling(original: Handler) -> Handler:
    """Serve the jobs of S3 Control, which the emulator does not have."""

    async def control(*request: Any) -> Response | None:
        path, method, body, query, request_id, headers = request
        found = _JOBS.fullmatch(path)
        if found is None:
            return await original(*request)
        operation = _OPERATIONS.get((method, found[1] is not None, found[2] or ""))
        if operation is None:
            refused = S3Refusal("NotImplemented", f"{method} {path} is not implemented.", 501)
            return control_documents.error_response(refused)
        return _served(operation, Served(method, path, headers or {}, body, query), request_id)

    return control


def _served(operation: str, request: Served, request_id: str) -> Response:
    members: dict[str, Any] = {}
    unread: S3Refusal | None = None
    try:
        members = control_documents.request_members(operation, request)
    except S3Refusal as refused:
        # Permissions come first, on what could be read.
        unread = refused
    job = _mine().get(str(members.get("JobId", "")))
    account, region = reach(RESPONSES, "get_account_id")(), reach(RESPONSES, "get_region")()
    denied: Response | None = reach(APP, "_enforce_data_plane")(
        "s3", f"s3:{operation}", request.headers, request.query, request_id,
        resource_arn=f"arn:aws:s3:{region}:{account}:job/{members['JobId']}" if "JobId" in members else "*",
        service_context=_conditions(operation, members, job),
    ) or reach(S3, "s3control_account_error")(request.headers)  # fmt: skip
    if denied:
        return denied
    try:
        return control_documents.response(operation, _told(operation, members, job, unread))
    except S3Refusal as refused:
        return control_documents.error_response(refused)


def _told(operation: str, members: Mapping[str, Any], job: Job | None, unread: S3Refusal | None) -> dict[str, Any]:
    if unread is not None:
        raise unread
    if operation in {"CreateJob", "ListJobs"}:
        return _create(members) if operation == "CreateJob" else _listed(members)
    if job is None:
        raise S3Refusal("NoSuchJob", "No such job", int(HTTPStatus.NOT_FOUND))
    return _moved(members, job) if operation == "UpdateJobStatus" else _described(job)


def _mine() -> dict[str, Job]:
    return _jobs.setdefault((reach(RESPONSES, "get_account_id")(), reach(RESPONSES, "get_region")()), {})


def _conditions(operation: str, members: Mapping[str, Any], job: Job | None) -> dict[str, Any]:
    """Return the condition keys of jobs.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-job-tags-examples.html
    """
    named = sorted(members.get("Operation") or {})
    values = {
        "s3:RequestJobOperation": named[0] if len(named) == 1 else None,
        "s3:RequestJobPriority": members.get("Priority"),
        "s3:ExistingJobOperation": OPERATION if job and operation.startswith("Update") else None,
        "s3:ExistingJobPriority": job.priority if job and operation.startswith("Update") else None,
        "s3:JobSuspendedCause": _AWAITING
        if job and job.status == "Suspended" and operation == "UpdateJobStatus"
        else None,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _create(members: Mapping[str, Any]) -> dict[str, Any]:
    _check(members)
    for made in _mine().values():
        if made.request["ClientRequestToken"] == members["ClientRequestToken"]:
            if made.request != members:
                raise S3Refusal("IdempotencyException", "The ClientRequestToken was used for another request.")
            return {"JobId": made.job_id}
    account, region = reach(RESPONSES, "get_account_id")(), reach(RESPONSES, "get_region")()
    job = Job(str(uuid4()), members, account, region, priority=members["Priority"])
    _mine()[job.job_id] = job
    _start(job, _run(job))
    return {"JobId": job.job_id}


def _check(members: Mapping[str, Any]) -> None:
    """Refuse what AWS refuses, and what is not served.

    Raises:
        S3Refusal: InvalidRequest, NotImplemented.
    """
    operations = members["Operation"]
    if len(operations) != 1:
        raise S3Refusal("InvalidRequest", "A job has exactly one operation.")
    if OPERATION not in operations or members.get("Tags"):
        what = "Tags of jobs" if OPERATION in operations else f"The operation {next(iter(operations))}"
        raise S3Refusal("NotImplemented", f"{what} is not served by the embedded AWS, {OPERATION} is.", 501)
    if "SSEKMS" not in operations[OPERATION].get("ObjectEncryption", {}):
        raise S3Refusal("InvalidRequest", "ObjectEncryption must specify SSEKMS with a KMSKeyArn.")
    if ("Manifest" in members) == ("ManifestGenerator" in members):
        raise S3Refusal("InvalidRequest", "A job has either a Manifest or a ManifestGenerator, and not both.")
    report = members["Report"]
    if report["Enabled"] and not {"Bucket", "Format", "ReportScope"} <= report.keys():
        raise S3Refusal("InvalidRequest", "An enabled Report must specify Bucket, Format and ReportScope.")
    check_manifest(members)


def _start(job: Job, work: Coroutine[Any, Any, None]) -> None:
    # A context of its own: the work outlives the request, whose signature and caller are not those of the job. S3
    # acts over TLS, as bucket policies demand.
    context = contextvars.Context()
    context.run(reach(EVALUATOR, "pin_request_origin"), _ADDRESS, secure_transport=True)
    task = asyncio.get_running_loop().create_task(work, context=context)
    _running.add(task)
    task.add_done_callback(partial(_finished, job))


def _finished(job: Job, task: asyncio.Task[None]) -> None:
    _running.discard(task)
    failed = None if task.cancelled() else task.exception()
    if failed is not None:
        logger.error("job %s", job.job_id, exc_info=failed)
        job.fail(JobFailed("InternalError", repr(failed)))


async def _run(job: Job) -> None:
    await prepare(job)
    if job.status == "Ready":
        await execute(job)


def _described(job: Job) -> dict[str, Any]:
    return {
        "Job": {
            **_summary(job),
            **{name: job.request.get(name) for name in _AS_REQUESTED},
            "JobArn": job.arn,
            "FailureReasons": job.reasons or None,
            "StatusUpdateReason": job.update_reason,
            "SuspendedDate": job.suspended,
            "SuspendedCause": _AWAITING if job.suspended else None,
            "GeneratedManifestDescriptor": job.generated,
        }
    }


def _summary(job: Job) -> dict[str, Any]:
    return {
        "JobId": job.job_id,
        "Description": job.request.get("Description"),
        "Operation": OPERATION,
        "Priority": job.priority,
        "Status": job.status,
        "CreationTime": job.created,
        "TerminationDate": job.ended,
        "ProgressSummary": {
            "TotalNumberOfTasks": job.total,
            "NumberOfTasksSucceeded": job.succeeded,
            "NumberOfTasksFailed": job.failed,
            "Timers": {"ElapsedTimeInActiveSeconds": int(job.active_seconds)},
        },
    }


def _listed(members: Mapping[str, Any]) -> dict[str, Any]:
    wanted = set(members.get("JobStatuses") or ())
    found = [job for job in reversed(_mine().values()) if not wanted or job.status in wanted]
    token, most = str(members.get("NextToken", "0")), members.get("MaxResults", _LISTED) or _LISTED
    if not token.isdecimal():
        raise S3Refusal("InvalidNextTokenException", "The NextToken is not one of ListJobs.")
    first = int(token)
    page = found[first : first + most]
    more = first + most < len(found)
    return {"Jobs": [_summary(job) for job in page], "NextToken": str(first + most) if more else None}


def _moved(members: Mapping[str, Any], job: Job) -> dict[str, Any]:
    wanted = members["RequestedJobStatus"]
    if job.status in {*ENDED, "Cancelling", "Completing", "Failing"} or (
        wanted == "Ready" and job.status != "Suspended"
    ):
        raise S3Refusal("JobStatusException", f"A job that is {job.status} cannot be {wanted}.")
    job.update_reason = members.get("StatusUpdateReason")
    if wanted == "Ready":
        job.status = "Ready"
        _start(job, execute(job))
    elif job.status in {"Active", "Ready"}:
        job.status = "Cancelling"
    else:
        job.end("Cancelled")
    return {"JobId": job.job_id, "Status": job.status, "StatusUpdateReason": job.update_reason}
