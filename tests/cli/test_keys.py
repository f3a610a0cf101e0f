"""Commands about an account: its keys (list, unused, cost, permissions), and bulk runs in it."""

import gzip
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import pytest
from click.testing import CliRunner, Result

from kms_patterns.access.live.key_inventory import ACTIONS, KeyRecord, dead_statements
from kms_patterns.cli import re_encryption
from kms_patterns.cli.bulk import line
from kms_patterns.cli.failures import Failed, written_by_others
from kms_patterns.cli.main import main
from kms_patterns.cli.re_encryption import cost, job
from kms_patterns.local import LocalAws
from kms_patterns.policy.actions import RE_ENCRYPTED

TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
NOW = datetime(2026, 11, 26, tzinfo=UTC)
Keys = Callable[..., Result]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def reading(aws: LocalAws, actions: list[str]) -> dict[str, str]:
    """Variables of a role that may do ``actions`` and nothing else."""
    iam, name = aws.client("iam"), f"keys-{uuid.uuid4().hex[:8]}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(TRUST))["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=policy(allowed))
    variables: dict[str, str] = aws.assume(role, "ec2.amazonaws.com").environment()
    return variables


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    """An account of its own: each list reads every key, and the shared one has those of hundreds of tests."""
    with LocalAws.start() as running:
        yield running


@pytest.fixture
def keys(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Run the command with the permissions that it prints, or without one of them."""

    def run(*words: str, without: str | None = None) -> Result:
        for name, value in reading(aws, [action for action in ACTIONS if action != without]).items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(main, ["keys", *words], catch_exceptions=False)

    return run


def found(result: Result, arn: str) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return next(record for record in json.loads(result.stdout) if record["arn"] == arn)


def test_list_tells_state_owner_rotation_use_and_cost(aws: LocalAws, keys: Keys) -> None:
    kms = aws.client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/listed", TargetKeyId=arn)
    kms.enable_key_rotation(KeyId=arn)
    before = found(keys("list", "--format", "json"), arn)
    assert (before["last_used"], before["dollars_a_month"]) == (None, 1)
    kms.encrypt(KeyId=arn, Plaintext=b"text")
    for _ in range(3):
        kms.rotate_key_on_demand(KeyId=arn)
    kms.disable_key(KeyId=arn)
    record = found(keys("list", "--format", "json"), arn)
    assert {name: record[name] for name in ("state", "aliases", "rotates", "rotations", "dollars_a_month")} == {
        "state": "Disabled", "aliases": ["alias/listed"], "rotates": True, "rotations": 3, "dollars_a_month": 3,
    }  # fmt: skip
    assert record["last_used"] is not None
    text = keys("list").output
    assert f"{arn}  Disabled  SYMMETRIC_DEFAULT  $3 a month\n    aliases alias/listed\n    last used: 20" in text
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    assert found(keys("list", "--format", "json"), arn)["dollars_a_month"] == 0


def test_retained_key_of_a_removed_stack_is_told_from_that_of_a_stack_that_is_there(aws: LocalAws, keys: Keys) -> None:
    cloudformation = aws.client("cloudformation")
    root = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    statement = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    key = {"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain", "Properties": {"KeyPolicy": document}}
    outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}}
    template = json.dumps({"Resources": {"Key": key}, "Outputs": outputs})
    arns = {}
    for name in ("Here", "Removed"):
        cloudformation.create_stack(StackName=name, TemplateBody=template)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        arns[name] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"][0]["OutputValue"]
    cloudformation.delete_stack(StackName="Removed")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="Removed", WaiterConfig={"Delay": 1})
    listed = keys("list", "--format", "json")
    assert {name: found(listed, arn)["stack_gone"] for name, arn in arns.items()} == {"Here": False, "Removed": True}
    assert "stack Removed, which does not exist any more\n" in keys("list").output
    costs = json.loads(keys("cost", "--format", "json").stdout)
    assert (costs["by_stack"]["Here"], costs["by_stack"]["Removed"]) == (1, 1)
    assert "$1 a month  Removed\n" in keys("cost").output


def test_statement_of_a_role_that_was_deleted_is_dead_and_that_of_a_living_one_is_not(
    aws: LocalAws, keys: Keys
) -> None:
    iam, kms = aws.client("iam"), aws.client("kms")
    roles = {
        name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(TRUST))["Role"]["Arn"]
        for name in ("alive", "gone-by-id", "gone-by-name")
    }
    root = {"AWS": f"arn:aws:iam::{aws.account}:root"}
    statements = [{"Sid": "Root", "Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}]
    allowed = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    statements += [{**allowed, "Sid": it, "Principal": {"AWS": roles[it]}} for it in ("alive", "gone-by-id")]
    named = {it: {"ArnEquals": {"aws:PrincipalArn": roles[it]}} for it in ("alive", "gone-by-name")}
    statements += [
        {**allowed, "Sid": f"condition-{it}", "Principal": root, "Condition": when} for it, when in named.items()
    ]
    arn = kms.create_key(Policy=policy(*statements))["KeyMetadata"]["Arn"]
    assert found(keys("list", "--format", "json"), arn)["dead_statements"] == []
    for name in ("gone-by-id", "gone-by-name"):
        iam.delete_role(RoleName=name)
    dead = found(keys("list", "--format", "json"), arn)["dead_statements"]
    assert [text.partition(":")[0] for text in dead] == ["gone-by-id", "condition-gone-by-name"]


def test_principal_of_another_account_or_in_a_pattern_is_never_called_gone() -> None:
    names = ["arn:aws:iam::222222222222:role/other", "arn:aws:iam::111111111111:role/*", "*"]
    statement = {"Effect": "Allow", "Principal": {"AWS": names}, "Action": "kms:Decrypt", "Resource": "*"}
    assert list(dead_statements({"Statement": statement}, lambda _arn: None)) == []
    assert list(dead_statements({"Statement": statement}, lambda arn: arn != names[0])) != []


@pytest.mark.parametrize(
    ("used", "made", "tracked", "expected"),
    [
        (91, 400, 200, "last used 2026-08-27"),
        (89, 400, 200, None),
        (None, 91, 200, "never used since it was made, 2026-08-27"),
        (None, 89, 200, None),
        (None, 400, 200, "no use since 2026-05-10, earlier use unknown"),
        (None, 400, 89, None),
        (None, 400, None, None),
    ],
)
def test_unused_needs_a_record_of_that_many_days(
    used: int | None, made: int, tracked: int | None, expected: str | None
) -> None:
    def ago(days: int | None) -> str | None:
        return None if days is None else (NOW - timedelta(days=days)).isoformat()

    record = KeyRecord("arn", "Enabled", created=ago(made), last_used=ago(used), tracked_since=ago(tracked))
    assert record.unused_for(90, NOW) == expected
    record.state = "PendingDeletion"
    assert record.unused_for(90, NOW) is None


def test_new_key_is_not_listed_as_unused(aws: LocalAws, keys: Keys) -> None:
    arn = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    assert arn not in keys("unused", "--days", "1").output


@pytest.mark.parametrize("action", ["kms:GetKeyLastUsage", "kms:GetKeyPolicy", "kms:ListResourceTags"])
def test_permission_that_lacks_is_said_at_each_key_and_nothing_is_taken_for_unused(
    action: str, aws: LocalAws, keys: Keys
) -> None:
    arn = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    operation = action.partition(":")[2]
    record = found(keys("list", "--format", "json", without=action), arn)
    assert record["not_read"] == [f"{operation}: {action} was refused: AccessDeniedException"]


def test_every_region_is_read_on_request(aws: LocalAws, keys: Keys) -> None:
    arn = aws.client("kms", region_name="eu-west-1").create_key()["KeyMetadata"]["Arn"]
    assert arn not in keys("list").output
    assert arn in keys("list", "--all-regions").output
    assert arn in keys("list", "--region", "eu-west-1").output


def test_permissions_are_those_that_are_asked_for_and_none_writes(keys: Keys) -> None:
    (statement,) = json.loads(keys("permissions").output)["Statement"]
    assert statement["Action"] == list(ACTIONS)
    assert [action for action in ACTIONS if not action.partition(":")[2].startswith(("Get", "List", "Describe"))] == []


@pytest.fixture(autouse=True)
def _region(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", aws.region)


Run = Callable[..., Result]
SERVICE = "batchoperations.s3.amazonaws.com"


@pytest.fixture
def run(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(main, [*words], catch_exceptions=False)


@pytest.fixture(scope="module")
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


def words(bucket: SimpleNamespace, role: str, *more: str) -> list[str]:
    return [
        "re-encrypt-bucket", bucket.name, "--key", bucket.new, "--role", role,
        "--reports", f"s3://{bucket.reports}/re-encryption", "--every", "0.1", *more,
    ]  # fmt: skip


def under(bucket: SimpleNamespace) -> list[str]:
    heads = [bucket.s3.head_object(Bucket=bucket.name, Key=key) for key in bucket.etags]
    return [head.get("SSEKMSKeyId", "SSE-S3") for head in heads]


@pytest.mark.parametrize("ends_first", [True, False])
def test_upload_in_progress_before_or_after_s3_listed_the_objects_is_told(
    aws: LocalAws, bucket: SimpleNamespace, run: Run, monkeypatch: pytest.MonkeyPatch, *, ends_first: bool
) -> None:
    begin = lambda: bucket.s3.create_multipart_upload(Bucket=bucket.name, Key="begun")["UploadId"]  # noqa: E731
    end = lambda upload: bucket.s3.abort_multipart_upload(Bucket=bucket.name, Key="begun", UploadId=upload)  # noqa: E731
    open_, before, followed = ([begin()] if ends_first else []), under(bucket), re_encryption._followed

    def listing(*given: Any) -> Any:
        end(open_.pop()) if ends_first else open_.append(begin())
        return followed(*given)

    monkeypatch.setattr(re_encryption, "_followed", listing)
    unanswered = run(*words(bucket, role_of_jobs(aws, bucket)))
    [end(upload) for upload in open_]
    assert "1 uploads in progress end under the key they began with" in unanswered.output
    assert "is cancelled, nothing was changed" in unanswered.output
    assert under(bucket) == before


def test_who_may_not_count_uploads_in_progress_leaves_no_job_behind(
    aws: LocalAws, bucket: SimpleNamespace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions = ["s3:CreateJob", "s3:DescribeJob", "s3:UpdateJobStatus", "iam:PassRole"]
    for name, value in reading(aws, actions).items():
        monkeypatch.setenv(name, value)
    refused = run(*words(bucket, role_of_jobs(aws, bucket), "--dry-run"))
    assert (refused.exit_code, "s3:ListBucketMultipartUploads" in refused.output) == (2, True), refused.output
    assert "job " not in refused.output


def test_dry_run_tells_number_and_cost_and_changes_nothing(aws: LocalAws, bucket: SimpleNamespace, run: Run) -> None:
    before = under(bucket)
    result = run(*words(bucket, role_of_jobs(aws, bucket), "--dry-run"))
    assert (result.exit_code, "12 objects, about $0.25" in result.output) == (0, True), result.output
    assert "is cancelled, nothing was changed" in result.output
    listed = bucket.s3.list_objects_v2(Bucket=bucket.reports)["Contents"]
    assert {it["Key"].partition("/job-")[0] for it in listed} == {"re-encryption/manifests"}
    assert under(bucket) == before


def test_role_that_is_not_an_arn_is_refused_before_a_job_is_made(bucket: SimpleNamespace, run: Run) -> None:
    refused = run(*words(bucket, "jobs"))
    assert (refused.exit_code, "is not the ARN of a role" in refused.output) == (2, True)


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
    bucket.kms.schedule_key_deletion(KeyId=bucket.old[0], PendingWindowInDays=7)
    going = run("keys", "still-needed", bucket.old[0], "--bucket", bucket.name)
    assert (going.exit_code, f"Cancel the deletion of {bucket.old[0]}" in going.output) == (1, True)
    bucket.kms.cancel_key_deletion(KeyId=bucket.old[0])
    bucket.kms.enable_key(KeyId=bucket.old[0])
    result = run(*words(bucket, role_of_jobs(aws, bucket), "--yes"))
    assert (result.exit_code, "12 updated, 0 not" in result.output) == (0, True), result.output
    assert set(under(bucket)) == {bucket.new}
    default = run("keys", "still-needed", bucket.new, "--bucket", bucket.name)
    assert (default.exit_code, "12 under" in default.output) == (1, True)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": bucket.old[0]}}
    rules = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    bucket.s3.put_bucket_encryption(Bucket=bucket.name, **rules)
    moved = run("keys", "still-needed", bucket.old[0], "--bucket", bucket.name)
    assert (moved.exit_code, "0 under" in moved.output, "the bucket's default" in moved.output) == (1, True, True)
    rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] = bucket.new
    bucket.s3.put_bucket_encryption(Bucket=bucket.name, **rules)
    for key in bucket.old:
        assert run("keys", "still-needed", key, "--bucket", bucket.name).exit_code == 0
        bucket.kms.disable_key(KeyId=key)
    for key, etag in bucket.etags.items():
        found = bucket.s3.get_object(Bucket=bucket.name, Key=key)
        assert (found["ETag"], found["Body"].read()) == (etag, key.encode())


def test_inventory_is_counted_and_never_enough_to_disable_the_key(aws: LocalAws, run: Run) -> None:
    bucket = bucket_of(aws, 4)
    s3, listed = bucket.s3, list(bucket.etags)
    statuses = ["SSE-S3", "SSE-KMS", "SSE-KMS", ""]
    rows = [f'"b","{quote_plus(key)}","","false","{it}"' for key, it in zip(listed, statuses, strict=True)]
    rows += ['"b","gone","","false","SSE-KMS"', '"b","deleted","","true",""']
    s3.put_object(Bucket=bucket.reports, Key="1.csv.gz", Body=gzip.compress("\n".join(rows).encode()))
    manifest = {
        "sourceBucket": bucket.name, "destinationBucket": f"arn:aws:s3:::{bucket.reports}", "fileFormat": "CSV",
        "creationTimestamp": "1764144000000", "files": [{"key": "1.csv.gz"}],
        "fileSchema": "Bucket, Key, VersionId, IsDeleteMarker, EncryptionStatus",
    }  # fmt: skip
    s3.put_object(Bucket=bucket.reports, Key="manifest.json", Body=json.dumps(manifest).encode())
    words = ["keys", "still-needed", bucket.old[0], "--inventory", f"s3://{bucket.reports}/manifest.json"]
    under_it = run(*words)
    assert (under_it.exit_code, f"1 under {bucket.old[0]}, 3 not, 1 unknown" in under_it.output) == (1, True)
    s3.put_object(Bucket=bucket.reports, Key="1.csv.gz", Body=gzip.compress("\n".join(rows[:4]).encode()))
    other = run(*words[:2], bucket.new, *words[3:])
    assert (other.exit_code, "0 under" in other.output, "0 unknown" in other.output) == (1, True, True)
    assert "Look at the buckets themselves" in other.output
    s3.put_object(Bucket=bucket.reports, Key="manifest.json", Body=json.dumps({**manifest, "fileFormat": "ORC"}))
    assert "configure the inventory as CSV" in run(*words).output
    for written in ([], manifest | {"files": [5]}, manifest | {"creationTimestamp": "\x1b[2K"}):
        s3.put_object(Bucket=bucket.reports, Key="manifest.json", Body=json.dumps(written))
        refused = run(*words)
        assert (refused.exit_code, refused.output.count("\n"), "\x1b" in refused.output) == (2, 1, False)
    s3.put_object(Bucket=bucket.reports, Key="1.csv.gz", Body=gzip.compress(rows[0].encode()))
    s3.put_object(Bucket=bucket.reports, Key="manifest.json", Body=json.dumps(manifest | {"sourceBucket": "b\x1b[8m"}))
    assert "\\x1b[8m, inventory of" in run(*words).output


@pytest.mark.parametrize("report", [b"too,short\n", b"\xff\n", b"\n"])
def test_report_that_another_principal_wrote_is_refused_in_one_line(bucket: SimpleNamespace, report: bytes) -> None:
    found = {"Report": {"Bucket": f"arn:aws:s3:::{bucket.reports}", "Prefix": "written"}, "JobId": "1"}
    bucket.s3.put_object(Bucket=bucket.reports, Key="rows", Body=report)
    manifest = json.dumps({"Results": [{"Key": "rows"}]})
    bucket.s3.put_object(Bucket=bucket.reports, Key="written/job-1/manifest.json", Body=manifest)
    with pytest.raises(Failed, match="the report is not as AWS writes it"), written_by_others("the report"):
        list(re_encryption._report(bucket.s3, found))


def test_report_that_lacks_an_object_is_not_a_success(
    aws: LocalAws, bucket: SimpleNamespace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = re_encryption._report
    monkeypatch.setattr(re_encryption, "_report", lambda *given: islice(whole(*given), 11))
    result = run(*words(bucket, role_of_jobs(aws, bucket), "--yes"))
    assert (result.exit_code, "lists 11 of 12 objects" in result.output) == (1, True), result.output


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
        "5.0 objects a second, 0:01:40 left"
    )
    assert line({"status": "RUNNING"}, None, now) == "RUNNING  no objects yet"
