"""``re-encrypt-bucket``, ``keys still-needed`` and ``bulk status``: against the embedded AWS, as their operator."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kms_patterns.cli.bulk import line
from kms_patterns.cli.main import main
from kms_patterns.cli.re_encryption import cost, job
from kms_patterns.local import LocalAws
from kms_patterns.policy.actions import RE_ENCRYPTED

Run = Callable[..., Result]
SERVICE = "batchoperations.s3.amazonaws.com"


@pytest.fixture
def run(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(main, [*words], catch_exceptions=False)


@pytest.fixture(scope="session")
def bucket(aws: LocalAws) -> SimpleNamespace:
    return bucket_of(aws, 12)


def bucket_of(aws: LocalAws, objects: int) -> SimpleNamespace:
    """Return a bucket with objects under three old keys and SSE-S3, a quarter each."""
    s3, kms = aws.client("s3"), aws.client("kms")
    new, *old = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(4))
    name, reports = f"old-{uuid.uuid4().hex[:8]}", f"reports-{uuid.uuid4().hex[:8]}"
    for made in (name, reports):
        s3.create_bucket(Bucket=made)
    etags = {}
    for number in range(objects):
        key = f"dir {number}/ä+{number}"
        under = [
            {"ServerSideEncryption": "AES256"},
            *({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": k} for k in old),
        ]
        etags[key] = s3.put_object(Bucket=name, Key=key, Body=key.encode(), **under[number % 4])["ETag"]
    return SimpleNamespace(name=name, reports=reports, new=new, old=old, etags=etags, s3=s3, kms=kms)


def role_of_jobs(aws: LocalAws, bucket: SimpleNamespace, *, without: str = "") -> str:
    """A role with what BucketReEncryption grants, or without one of the actions."""
    iam, name = aws.client("iam"), f"jobs-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    home, reports = f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.reports}"
    allowed = [
        (RE_ENCRYPTED.objects, [f"{home}/*"]),
        (RE_ENCRYPTED.bucket, [home]),
        (RE_ENCRYPTED.kms, [bucket.new]),
        (("kms:Decrypt", "kms:ReEncryptFrom"), bucket.old),
        (("s3:PutObject", "s3:GetObject", "s3:GetObjectVersion"), [f"{reports}/*"]),
    ]
    statements = [
        {"Effect": "Allow", "Action": [action for action in actions if action != without], "Resource": resources}
        for actions, resources in allowed
        if set(actions) - {without}
    ]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*statements))
    return str(arn)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def words(bucket: SimpleNamespace, role: str, *more: str) -> list[str]:
    return [
        "re-encrypt-bucket", bucket.name, "--key", bucket.new, "--role", role,
        "--reports", f"s3://{bucket.reports}/re-encryption/", "--every", "0.1", *more,
    ]  # fmt: skip


def under(bucket: SimpleNamespace) -> list[str]:
    heads = [bucket.s3.head_object(Bucket=bucket.name, Key=key) for key in bucket.etags]
    return [head.get("SSEKMSKeyId", "SSE-S3") for head in heads]


def test_dry_run_tells_number_and_cost_and_changes_nothing(aws: LocalAws, bucket: SimpleNamespace, run: Run) -> None:
    before = under(bucket)
    result = run(*words(bucket, role_of_jobs(aws, bucket), "--dry-run"))
    assert (result.exit_code, "12 objects, about $0.25" in result.output) == (0, True), result.output
    assert "is cancelled, nothing was changed" in result.output
    assert under(bucket) == before


@pytest.mark.parametrize("without", ["kms:GenerateDataKey", "s3:UpdateObjectEncryption"])
def test_role_without_one_permission_updates_nothing_and_the_report_says_so(
    aws: LocalAws, bucket: SimpleNamespace, run: Run, without: str
) -> None:
    before = under(bucket)
    result = run(*words(bucket, role_of_jobs(aws, bucket, without=without), "--yes"))
    assert result.exit_code == 1, result.output
    assert "0 updated, 12 not" in result.output
    assert "AccessDenied" in result.output
    assert under(bucket) == before


def test_bucket_comes_under_the_new_key_and_the_old_ones_can_be_disabled(
    aws: LocalAws, bucket: SimpleNamespace, run: Run
) -> None:
    needed = run("keys", "still-needed", bucket.old[0], "--bucket", bucket.name)
    assert (needed.exit_code, f"{bucket.name}: 3 under {bucket.old[0]}, 9 not" in needed.output) == (1, True)
    result = run(*words(bucket, role_of_jobs(aws, bucket), "--yes"))
    assert (result.exit_code, "12 updated, 0 not" in result.output) == (0, True), result.output
    assert set(under(bucket)) == {bucket.new}
    for key in bucket.old:
        assert run("keys", "still-needed", key, "--bucket", bucket.name).exit_code == 0
        bucket.kms.disable_key(KeyId=key)
    for key, etag in bucket.etags.items():
        found = bucket.s3.get_object(Bucket=bucket.name, Key=key)
        assert (found["ETag"], found["Body"].read()) == (etag, key.encode())


def test_request_for_a_job_is_of_the_service_model_and_takes_one_filter(aws: LocalAws) -> None:
    given = {"key": "arn:aws:kms:eu-west-1:111122223333:key/a", "role": "arn:aws:iam::111122223333:role/r"}
    made = job("b", **given, reports="s3://r/p/", only="sse-s3")
    generator = made["ManifestGenerator"]["S3JobManifestGenerator"]
    assert generator["Filter"] == {"MatchAnyObjectEncryption": [{"SSES3": {}}]}
    assert (
        "Filter" not in job("b", **given, reports="s3://r/p/", only=None)["ManifestGenerator"]["S3JobManifestGenerator"]
    )
    assert made["ConfirmationRequired"] is True
    assert round(cost(10**9)) == 6015


def test_status_line_has_counts_rate_and_the_time_that_is_left() -> None:
    start = datetime(2026, 11, 26, tzinfo=UTC)
    counts = {"total": 1_000, "succeeded": 400, "failed": 100, "timedOut": 0}
    found = {"itemCounts": counts, "executionCounts": {"running": 3}, "startDate": start}
    now = (start + timedelta(seconds=100)).timestamp()
    assert line({"status": "RUNNING"}, found, now) == (
        "RUNNING  400 of 1,000 objects in batches that succeeded, 100 in failed batches, 3 batches running, "
        "5.0 objects a second, 1 min 40 s left"
    )
    assert line({"status": "RUNNING"}, None, now) == "RUNNING  no objects yet"
