"""``kms-patterns re-encrypt-bucket``: a bucket comes under a new key."""

import csv
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote_plus

import boto3
import click
from botocore.exceptions import ClientError

from kms_patterns.cli.failures import Failed, errors_explained, with_profile, written_by_others
from kms_patterns.cli.still_needed import uploads
from kms_patterns.local.aws_session import reach_s3_control
from kms_patterns.policy.prices import OF_A_BATCH_JOB, OF_A_BULK_RUN

_WAITING, _ENDED = {"Suspended"}, {"Complete", "Failed", "Cancelled"}
_SHOWN, _COLONS = 20, 5


@click.command("re-encrypt-bucket")
@click.argument("bucket")
@click.option("--key", required=True, help="ARN of the key that every object comes under.")
@click.option("--role", required=True, help="ARN of the role of the jobs: BucketReEncryption's.")
@click.option("--reports", required=True, help="s3://BUCKET/PREFIX of manifests and reports, such as …/re-encryption/.")
@click.option("--only", help="ARN of the key that objects are under, or sse-s3. Defaults to every object.")
@click.option("--dry-run", is_flag=True, help="Only count the objects and the cost; the job is cancelled.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--every", type=click.FloatRange(min=0.1), default=10, show_default=True, help="Seconds between looks.")
@click.option("--region", help="Region of the bucket. Defaults to the profile's.")
@with_profile
def re_encrypt_bucket(bucket: str, *, dry_run: bool, yes: bool, every: float, **given: Any) -> None:
    """Bring the objects of BUCKET under a key by an S3 Batch Operations job, without moving their data.

    S3 lists the objects first; the job waits until its number of objects and its cost are confirmed. Objects that S3
    cannot update are listed with its reason, and uploads in progress counted; the status is 1 if there are any.
    """
    if given["role"].count(":") < _COLONS:
        raise click.UsageError(f"--role {given['role']} is not the ARN of a role: give the whole ARN")
    with errors_explained():
        session = reach_s3_control(boto3.Session(profile_name=given["profile"], region_name=given["region"]))
        s3, jobs, account = session.client("s3"), session.client("s3control"), given["role"].split(":")[4]
        pending = uploads(s3, bucket)
        name = jobs.create_job(**job(bucket, **given))["JobId"]
        click.echo(f"job {name}: S3 lists the objects")
        found = _followed(jobs, account, name, _WAITING | _ENDED, every)
        if found["Status"] not in _WAITING:
            raise click.ClickException(f"job {name} is {found['Status']}: {_reasons(found)}")
        many = found["ProgressSummary"]["TotalNumberOfTasks"]
        click.echo(f"{many:,} objects, about ${cost(many):,.2f} (https://aws.amazon.com/s3/pricing/, us-east-1)")
        if pending := max(pending, uploads(s3, bucket)):
            click.echo(f"{pending:,} uploads in progress end under the key they began with: run it again", err=True)
        agreed = yes and not dry_run
        if not (yes or dry_run):
            with suppress(click.Abort):
                agreed = click.confirm("Update them?")
        if not agreed:
            jobs.update_job_status(AccountId=account, JobId=name, RequestedJobStatus="Cancelled")
            click.echo(f"job {name} is cancelled, nothing was changed")
            return
        jobs.update_job_status(AccountId=account, JobId=name, RequestedJobStatus="Ready")
        found = _followed(jobs, account, name, _ENDED, every)
        if found["Status"] != "Complete":
            click.echo(f"job {name} is {found['Status']}: {_reasons(found)}", err=True)
        try:
            with written_by_others("the report"):
                outcomes = _say(name, found, _report(s3, found))
        except (ClientError, Failed) as error:
            raise click.ClickException(f"job {name} is {found['Status']}; its report was not read: {error}") from error
    counts = found["ProgressSummary"]
    listed, tasks, failed = outcomes.total(), counts["TotalNumberOfTasks"], counts["NumberOfTasksFailed"]
    if listed != tasks:
        click.echo(f"The report lists {listed:,} of {tasks:,} objects: what became of the others is unknown.", err=True)
    if pending or found["Status"] != "Complete" or failed or listed != tasks or set(outcomes) - {"succeeded"}:
        raise SystemExit(1)


def job(bucket: str, *, key: str, role: str, reports: str, only: str | None, **_: Any) -> dict[str, Any]:
    """Return the request for a job.

    S3 takes one filter by encryption. Without one every object is in the manifest, so that the report also lists those
    that cannot be updated.
    """
    _arn, partition, _iam, _region, account, *_rest = role.split(":")
    place, _slash, prefix = reports.removeprefix("s3://").rstrip("/").partition("/")
    prefix += "/" if prefix else ""
    where = f"arn:{partition}:s3:::{place}"
    report = {"Bucket": where, "Prefix": f"{prefix}reports", "Enabled": True}
    listed = {"Bucket": where, "ManifestPrefix": f"{prefix}manifests", "ManifestEncryption": {"SSES3": {}}}
    kind = {"SSES3": {}} if only == "sse-s3" else {"SSEKMS": {"KmsKeyArn": only}}
    chosen = {"Filter": {"MatchAnyObjectEncryption": [kind]}} if only else {}
    return {
        "AccountId": account,
        "ConfirmationRequired": True,
        "Operation": {
            "S3UpdateObjectEncryption": {"ObjectEncryption": {"SSEKMS": {"KMSKeyArn": key, "BucketKeyEnabled": True}}}
        },
        "Report": {**report, "Format": "Report_CSV_20180820", "ReportScope": "AllTasks"},
        "ClientRequestToken": uuid.uuid4().hex,
        "Description": f"Objects of {bucket} under {key}"[:256],
        "Priority": 10,
        "RoleArn": role,
        "ManifestGenerator": {
            "S3JobManifestGenerator": {
                "SourceBucket": f"arn:{partition}:s3:::{bucket}",
                "EnableManifestOutput": True,
                "ManifestOutputLocation": {**listed, "ManifestFormat": "S3InventoryReport_CSV_20211130"},
                **chosen,
            }
        },
    }


def cost(objects: int) -> float:
    """Return the dollars of a job: itself, listing, its objects, and an update of each at the price of a PUT."""
    each = OF_A_BATCH_JOB["object"] + OF_A_BATCH_JOB["listed"] + OF_A_BULK_RUN["put"]
    return OF_A_BATCH_JOB["job"] + objects * each


def _followed(jobs: Any, account: str, name: str, until: set[str], every: float) -> Mapping[str, Any]:
    shown = ""
    while True:
        found: Mapping[str, Any] = jobs.describe_job(AccountId=account, JobId=name)["Job"]
        progress = found.get("ProgressSummary", {})
        done, failed = (progress.get(f"NumberOfTasks{it}", 0) for it in ("Succeeded", "Failed"))
        text = f"{found['Status']}: {done:,} of {progress.get('TotalNumberOfTasks', 0):,} updated, {failed:,} failed"
        if text != shown:
            click.echo(shown := text)
        if found["Status"] in until:
            return found
        time.sleep(every)


def _reasons(found: Mapping[str, Any]) -> str:
    from kms_patterns.access.report.wording import visible  # noqa: PLC0415

    reasons = [f"{it.get('FailureCode')}: {it.get('FailureReason')}" for it in found.get("FailureReasons", [])]
    return visible("; ".join(reasons) or str(found.get("StatusUpdateReason") or "no reason given"))


_COLUMNS: Final = ("Bucket", "Key", "VersionId", "TaskStatus", "ErrorCode", "HTTPStatusCode", "ResultMessage")
_CODE, _STATUS = 4, 5


def _report(s3: Any, found: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the rows of a job's completion report.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html
    """
    place = found["Report"]["Bucket"].rpartition(":")[2]
    prefix = f"{found['Report']['Prefix']}/job-{found['JobId']}"
    manifest = json.loads(s3.get_object(Bucket=place, Key=f"{prefix}/manifest.json")["Body"].read())
    for result in manifest["Results"]:
        body = s3.get_object(Bucket=place, Key=result["Key"])["Body"]
        for row in csv.reader(line.decode() for line in body.iter_lines(keepends=True)):
            # AWS's page names the error first and shows examples with the status first.
            if row[_CODE].isdigit():
                row[_CODE], row[_STATUS] = row[_STATUS], row[_CODE]
            yield dict(zip(_COLUMNS, row, strict=False))


def _say(name: str, found: Mapping[str, Any], rows: Iterator[Mapping[str, str]]) -> Counter[str]:
    """Say how a job ended; return the number of rows by status. A report may have more rows than fit into memory."""
    from kms_patterns.access.report.wording import visible  # noqa: PLC0415

    outcomes: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    shown: list[Mapping[str, str]] = []
    for row in rows:
        outcomes[row["TaskStatus"]] += 1
        if row["TaskStatus"] != "succeeded":
            codes[row.get("ErrorCode") or "no code"] += 1
            shown += [row] if len(shown) < _SHOWN else []
    failed = codes.total()
    click.echo(f"job {name} is {found['Status']}: {outcomes['succeeded']:,} updated, {failed:,} not")
    for code, many in codes.most_common():
        click.echo(f"    {many:,} {visible(code)}")
    for row in shown:
        told = f"{unquote_plus(row['Key'])} {row.get('VersionId', '')}: {row.get('ResultMessage', '')}"
        click.echo(f"    {visible(told)}")
    if failed > len(shown):
        click.echo(f"    … and {failed - len(shown):,} more, in {found['Report']['Prefix']}/job-{found['JobId']}")
    return outcomes
