"""S3 Batch Operations and UpdateObjectEncryption: what is asked of whom, what is refused, how a job ends."""

import csv
import io
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kms_patterns.local import LocalAws
from kms_patterns.local.server.requests.request_members import Served
from kms_patterns.local.server.s3.control_documents import request_members
from kms_patterns.local.server.s3.s3_operations import S3Refusal

BATCH = {
    "Effect": "Allow",
    "Principal": {"Service": "batchoperations.s3.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
OBJECTS = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:UpdateObjectEncryption"]
NEW_KEY = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
CUSTOMER_KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
Run = Callable[..., dict[str, Any]]


def under(key: str, *, bucket_key: bool = True) -> dict[str, Any]:
    """Return the new encryption of a request."""
    return {"SSEKMS": {"KMSKeyArn": key, "BucketKeyEnabled": bucket_key}}


@pytest.fixture(scope="session")
def control(aws: LocalAws) -> Any:
    return aws.client("s3control")


@pytest.fixture
def job_role(make_role: Any, allow: Any) -> Callable[..., str]:
    """Return a function that makes the role of a job, without the actions of ``less``."""

    def make(*less: str) -> str:
        actions = [*OBJECTS, "s3:PutInventoryConfiguration", *NEW_KEY]
        return str(make_role(allow([it for it in actions if it not in less], "*"), trust=BATCH))

    return make


@pytest.fixture
def reports(make_bucket: Any) -> str:
    return str(make_bucket())


@pytest.fixture
def requested(aws: LocalAws, reports: str) -> Callable[..., dict[str, Any]]:
    """Return a function that makes the request for a job over all objects of a bucket."""

    def make(bucket: str, key: str, role: str, **more: Any) -> dict[str, Any]:
        generator = {
            "SourceBucket": f"arn:aws:s3:::{bucket}",
            "EnableManifestOutput": True,
            "ManifestOutputLocation": {
                "Bucket": f"arn:aws:s3:::{reports}",
                "ManifestPrefix": "manifests",
                "ManifestFormat": "S3InventoryReport_CSV_20211130",
            },
            **more.pop("generator", {}),
        }
        manifest = {} if "Manifest" in more else {"ManifestGenerator": {"S3JobManifestGenerator": generator}}
        return {
            "AccountId": aws.account,
            "ConfirmationRequired": False,
            "Operation": {"S3UpdateObjectEncryption": {"ObjectEncryption": under(key)}},
            "Report": {
                "Bucket": f"arn:aws:s3:::{reports}",
                "Format": "Report_CSV_20180820",
                "Enabled": True,
                "Prefix": "reports",
                "ReportScope": "AllTasks",
            },
            "ClientRequestToken": uuid.uuid4().hex,
            "Priority": 1,
            "RoleArn": role,
            **manifest,
            **more,
        }

    return make


@pytest.fixture
def run(control: Any, requested: Any) -> Run:
    """Return a function that makes a job and returns it when it has ended, or waits."""

    def make(*who: str, **more: Any) -> dict[str, Any]:
        request = requested(*who, **more)
        return waited(control, request["AccountId"], control.create_job(**request)["JobId"])

    return make


ENDED_OR_WAITING = ("Complete", "Failed", "Suspended")


def waited(control: Any, account: str, job_id: str, until: tuple[str, ...] = ENDED_OR_WAITING) -> dict[str, Any]:
    """Return a job when it has one of the statuses."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found: dict[str, Any] = control.describe_job(AccountId=account, JobId=job_id)["Job"]
        if found["Status"] in until:
            return found
        time.sleep(0.02)
    raise AssertionError(f"job {job_id} is still {found['Status']}")


def rows(s3: Any, job: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the rows of a job's report by key: status, HTTP status, error code, message."""
    bucket = job["Report"]["Bucket"].rpartition(":")[2]
    manifest = s3.get_object(Bucket=bucket, Key=f"reports/job-{job['JobId']}/manifest.json")["Body"].read()
    found = {}
    for result in json.loads(manifest)["Results"]:
        text = s3.get_object(Bucket=bucket, Key=result["Key"])["Body"].read().decode()
        found |= {row[1]: row[3:] for row in csv.reader(io.StringIO(text))}
    return found


def test_the_key_and_the_bucket_key_change_and_nothing_else_does(
    make_key: Any, make_bucket: Any, root_s3: Any, root_kms: Any
) -> None:
    old, new = make_key(), make_key()
    bucket = make_bucket(old, bucket_key=False)
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"data", Metadata={"m": "1"}, ContentType="text/x")
    before = root_s3.head_object(Bucket=bucket, Key="a")
    root_s3.update_object_encryption(Bucket=bucket, Key="a", ObjectEncryption=under(new))
    root_kms.disable_key(KeyId=old)
    after = root_s3.get_object(Bucket=bucket, Key="a")
    assert (after["SSEKMSKeyId"], after["BucketKeyEnabled"], after["Body"].read()) == (new, True, b"data")
    same = ("ETag", "LastModified", "Metadata", "ContentType", "ContentLength")
    assert [after[name] for name in same] == [before[name] for name in same]


def test_an_object_under_sse_s3_comes_under_a_key(key: str, make_bucket: Any, root_s3: Any, s3_calls: Any) -> None:
    bucket = make_bucket()
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"data", ServerSideEncryption="AES256")
    root_s3.update_object_encryption(Bucket=bucket, Key="a", ObjectEncryption=under(key, bucket_key=False))
    assert {context["aws:s3:arn"] for _, _, context in s3_calls()} == {f"arn:aws:s3:::{bucket}/a"}
    assert root_s3.get_object(Bucket=bucket, Key="a")["SSEKMSKeyId"] == key


def test_one_version_is_updated_the_current_one_without_a_version_id(
    make_key: Any, make_bucket: Any, root_s3: Any
) -> None:
    old, new = make_key(), make_key()
    bucket = make_bucket(old)
    root_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first, second = (root_s3.put_object(Bucket=bucket, Key="a", Body=b"x")["VersionId"] for _ in range(2))

    def keys() -> list[str]:
        return [root_s3.head_object(Bucket=bucket, Key="a", VersionId=it)["SSEKMSKeyId"] for it in (first, second)]

    root_s3.update_object_encryption(Bucket=bucket, Key="a", ObjectEncryption=under(new))
    assert keys() == [old, new]
    root_s3.update_object_encryption(Bucket=bucket, Key="a", VersionId=first, ObjectEncryption=under(new))
    assert keys() == [new, new]


@pytest.mark.parametrize("source", [{}, {"ServerSideEncryption": "AES256"}], ids=["SSE-KMS", "SSE-S3"])
def test_each_permission_of_awss_page_is_asked(
    source: dict[str, str], aws: LocalAws, make_key: Any, make_bucket: Any, root_s3: Any, make_role: Any, refusal: Any
) -> None:
    old, new = make_key(), make_key()
    bucket = make_bucket(old)
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"x", **source)
    request = {"Bucket": bucket, "Key": "a", "ObjectEncryption": under(new)}
    role, iam = make_role(), aws.client("iam")
    s3 = aws.assume(role, "ec2.amazonaws.com").client("s3")
    needed = ["s3:UpdateObjectEncryption", "s3:PutObject", *NEW_KEY]

    def allow_all_but(missing: str | None) -> None:
        allowed = {"Effect": "Allow", "Action": [it for it in needed if it != missing], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_role_policy(RoleName=role.rpartition("/")[2], PolicyName="p", PolicyDocument=policy)

    for missing in needed:
        allow_all_but(missing)
        code, message = refusal(s3.update_object_encryption, **request)
        assert (code, missing in message) == ("AccessDenied", True), message
    assert root_s3.head_object(Bucket=bucket, Key="a").get("SSEKMSKeyId") != new
    allow_all_but(None)
    s3.update_object_encryption(**request)
    assert root_s3.head_object(Bucket=bucket, Key="a")["SSEKMSKeyId"] == new


def test_the_old_key_must_allow_reading(
    make_key: Any, make_bucket: Any, root_s3: Any, session_of: Any, allow: Any, refusal: Any, root_kms: Any
) -> None:
    old, new = make_key(), make_key()
    bucket = make_bucket(old)
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    request = {"Bucket": bucket, "Key": "a", "ObjectEncryption": under(new)}
    for allowed, missing in ((["kms:ReEncryptFrom"], "kms:Decrypt"), (["kms:Decrypt"], "kms:ReEncryptFrom")):
        s3 = session_of(allow(OBJECTS, "*"), allow(NEW_KEY, new), allow(allowed, old)).client("s3")
        assert missing in refusal(s3.update_object_encryption, **request)[1]
    root_kms.disable_key(KeyId=old)
    assert refusal(root_s3.update_object_encryption, **request)[0] == "KMS.DisabledException"


def test_a_condition_on_the_new_key_is_decided_by_the_body(
    make_key: Any, make_bucket: Any, root_s3: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    old, new = make_key(), make_key()
    bucket = make_bucket(old)
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    named = {"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": new}}
    s3 = session_of(allow(OBJECTS, "*", **named), allow(NEW_KEY, "*")).client("s3")
    s3.update_object_encryption(Bucket=bucket, Key="a", ObjectEncryption=under(new))
    request = {"Bucket": bucket, "Key": "a", "ObjectEncryption": under(old)}
    assert code_of(s3.update_object_encryption, **request) == "AccessDenied"


def test_what_aws_cannot_update_is_refused(
    key: str, make_bucket: Any, root_s3: Any, root_kms: Any, refusal: Any
) -> None:
    bucket, locked = make_bucket(key, customer_keys=True), f"locked-{uuid.uuid4().hex[:8]}"
    root_s3.put_object(Bucket=bucket, Key="c", Body=b"x", **CUSTOMER_KEY)
    root_s3.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    root_s3.put_object(Bucket=locked, Key="a", Body=b"x", ObjectLockLegalHoldStatus="ON")
    root_kms.create_alias(AliasName=(alias := f"alias/{uuid.uuid4().hex}"), TargetKeyId=key)
    base = key.rpartition("key/")[0]
    cases = {
        (bucket, "c", key): ("InvalidRequest", "SSE-C"),
        (bucket, "absent", key): ("NoSuchKey", "does not exist"),
        (locked, "a", key): ("AccessDenied", "Object Lock"),
        (bucket, "c", base + alias): ("InvalidRequest", "valid AWS KMS key"),
        (bucket, "c", key.replace(base.split(":")[4], "999999999999")): ("AccessDenied", "same account"),
    }
    for (where, name, arn), (code, part) in cases.items():
        request = {"Bucket": where, "Key": name, "ObjectEncryption": under(arn)}
        found = refusal(root_s3.update_object_encryption, **request)
        assert (found[0], part in found[1]) == (code, True), (name, arn, found)


def test_a_job_brings_a_bucket_under_a_key_and_reports_each_object(
    run: Run, job_role: Any, make_key: Any, make_bucket: Any, root_s3: Any, root_kms: Any
) -> None:
    old, other, new = (make_key() for _ in range(3))
    bucket = make_bucket(old, customer_keys=True)
    root_s3.put_object(Bucket=bucket, Key="a b+c%ü", Body=b"1")
    root_s3.put_object(Bucket=bucket, Key="other", Body=b"2", ServerSideEncryption="aws:kms", SSEKMSKeyId=other)
    root_s3.put_object(Bucket=bucket, Key="s3", Body=b"3", ServerSideEncryption="AES256")
    root_s3.put_object(Bucket=bucket, Key="customer", Body=b"4", **CUSTOMER_KEY)
    insecure = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    older = {**insecure, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}
    resources = {"Resource": [f"arn:aws:s3:::{bucket}{part}" for part in ("", "/*")]}
    statements = [it | resources for it in (insecure, older)]
    root_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    etags = {it["Key"]: it["ETag"] for it in root_s3.list_objects_v2(Bucket=bucket)["Contents"]}
    job = run(bucket, new, job_role())
    assert job["Status"] == "Complete", job
    assert {name: job["ProgressSummary"][f"NumberOfTasks{name}"] for name in ("Succeeded", "Failed")} == {
        "Succeeded": 3,
        "Failed": 1,
    }
    told = rows(root_s3, job)
    assert told["customer"][:3] == ["failed", "400", "InvalidRequest"]
    assert [told[name] for name in ("a%20b%2Bc%25%C3%BC", "other", "s3")] == [
        ["succeeded", "200", "", "Successful"]
    ] * 3
    for gone in (old, other):
        root_kms.disable_key(KeyId=gone)
    for name in ("a b+c%ü", "other", "s3"):
        found = root_s3.get_object(Bucket=bucket, Key=name)
        assert (found["SSEKMSKeyId"], found["BucketKeyEnabled"], found["ETag"]) == (new, True, etags[name])
    assert {it["Key"]: it["ETag"] for it in root_s3.list_objects_v2(Bucket=bucket)["Contents"]} == etags
    report = job["Report"]["Bucket"].rpartition(":")[2]
    of_report = root_s3.head_object(Bucket=report, Key=f"reports/job-{job['JobId']}/manifest.json")
    assert of_report["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize(
    ("less", "told"),
    [
        ("s3:PutInventoryConfiguration", "s3:PutInventoryConfiguration"),
        ("s3:PutObject", "Failed to write manifest"),
        ("s3:GetObject", "Reading the manifest is forbidden"),
    ],
)
def test_a_role_without_what_the_manifest_needs_fails_the_job(
    less: str, told: str, run: Run, job_role: Any, key: str, make_bucket: Any, root_s3: Any
) -> None:
    bucket = make_bucket()
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    job = run(bucket, key, job_role(less))
    assert job["Status"] == "Failed"
    assert told in job["FailureReasons"][0]["FailureReason"]


def test_a_role_without_what_an_update_needs_fails_every_task(
    run: Run, job_role: Any, make_key: Any, make_bucket: Any, root_s3: Any
) -> None:
    old, new = make_key(), make_key()
    bucket = make_bucket(old)
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    for less in ("s3:UpdateObjectEncryption", "s3:GetObject", *NEW_KEY):
        job = run(bucket, new, job_role(less), generator={"EnableManifestOutput": False})
        assert (job["Status"], job["ProgressSummary"]["NumberOfTasksFailed"]) == ("Complete", 1)
        status, http, code, message = rows(root_s3, job)["a"]
        assert (status, http, code, less in message) == ("failed", "403", "AccessDenied", True), message
    assert root_s3.head_object(Bucket=bucket, Key="a")["SSEKMSKeyId"] == old


def test_a_report_is_written_under_sse_s3_so_that_a_bucket_may_refuse_it(
    run: Run, job_role: Any, key: str, make_bucket: Any, root_s3: Any, reports: str
) -> None:
    bucket, place = make_bucket(), f"arn:aws:s3:::{reports}/*"
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    other = {"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}}
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": place, "Condition": other}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    root_s3.put_bucket_policy(Bucket=reports, Policy=policy)
    job = run(bucket, key, job_role())
    assert (job["Status"], job["ProgressSummary"]["NumberOfTasksSucceeded"]) == ("Failed", 1)
    assert "report could not be written" in job["FailureReasons"][0]["FailureReason"]


def test_a_job_fails_if_its_role_does_not_trust_batch_operations(
    run: Run, make_role: Any, allow: Any, key: str, make_bucket: Any
) -> None:
    job = run(make_bucket(), key, make_role(allow("*", "*")))
    assert "batchoperations.s3.amazonaws.com" in job["FailureReasons"][0]["FailureReason"]


def test_a_job_that_awaits_confirmation_changes_nothing_until_it_is_confirmed(
    run: Run, control: Any, aws: LocalAws, job_role: Any, key: str, make_bucket: Any, root_s3: Any, code_of: Any
) -> None:
    bucket = make_bucket()
    root_s3.put_object(Bucket=bucket, Key="a", Body=b"x", ServerSideEncryption="AES256")
    first, second = (run(bucket, key, job_role(), ConfirmationRequired=True) for _ in range(2))
    assert (first["Status"], first["SuspendedCause"]) == ("Suspended", "AWAITING_CONFIRMATION")
    assert first["ProgressSummary"]["TotalNumberOfTasks"] == 1
    assert root_s3.head_object(Bucket=bucket, Key="a")["ServerSideEncryption"] == "AES256"

    def move(job: Mapping[str, Any], status: str) -> dict[str, Any]:
        return {"AccountId": aws.account, "JobId": job["JobId"], "RequestedJobStatus": status}

    control.update_job_status(**move(first, "Cancelled"))
    control.update_job_status(**move(second, "Ready"))
    assert (
        waited(control, aws.account, second["JobId"], ("Complete",))["ProgressSummary"]["NumberOfTasksSucceeded"] == 1
    )
    assert root_s3.head_object(Bucket=bucket, Key="a")["SSEKMSKeyId"] == key
    for job, status in ((first, "Ready"), (second, "Ready"), (second, "Cancelled")):
        assert code_of(control.update_job_status, **move(job, status)) == "JobStatusException"
    listed = control.list_jobs(AccountId=aws.account, JobStatuses=["Cancelled"])["Jobs"]
    assert first["JobId"] in {job["JobId"] for job in listed}
    assert second["JobId"] not in {job["JobId"] for job in listed}


def test_filters_choose_by_encryption_name_and_size(
    run: Run, job_role: Any, make_key: Any, make_bucket: Any, root_s3: Any
) -> None:
    old, new = make_key(), make_key()
    bucket = make_bucket(old)
    root_s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"xx")
    root_s3.put_object(Bucket=bucket, Key="in/b.txt", Body=b"xx", ServerSideEncryption="AES256")
    root_s3.put_object(Bucket=bucket, Key="out/a.txt", Body=b"")
    of_key = [{"SSEKMS": {"KmsKeyArn": old, "BucketKeyEnabled": True}}]
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"MatchAnyObjectEncryption": [{"SSES3": {}}]}, ["in/b.txt"]),
        ({"MatchAnyObjectEncryption": of_key, "KeyNameConstraint": {"MatchAnyPrefix": ["in/", "x"]}}, ["in/a.txt"]),
        ({"MatchAnyObjectEncryption": of_key, "ObjectSizeLessThanBytes": 1}, ["out/a.txt"]),
    ]
    for wanted, chosen in cases:
        job = run(bucket, new, job_role(), generator={"Filter": wanted}, ConfirmationRequired=True)
        location = job["GeneratedManifestDescriptor"]["Location"]["ObjectArn"]
        place, _, name = location.rpartition(":")[2].partition("/")
        manifest = json.loads(root_s3.get_object(Bucket=place, Key=name)["Body"].read())
        assert manifest["sourceBucket"] == bucket
        assert job["ProgressSummary"]["TotalNumberOfTasks"] == len(chosen)
    none = run(bucket, new, job_role(), generator={"Filter": {"MatchAnyObjectEncryption": [{"NOTSSE": {}}]}})
    assert "found no keys" in none["FailureReasons"][0]["FailureReason"]


def test_a_csv_manifest_names_the_objects_and_its_etag_must_be_right(
    run: Run, job_role: Any, key: str, make_bucket: Any, root_s3: Any, reports: str
) -> None:
    bucket = make_bucket()
    root_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = root_s3.put_object(Bucket=bucket, Key="a b", Body=b"x")["VersionId"]
    text = f"{bucket},a+b,{version}\n{bucket},empty,\n".encode()

    def manifest(name: str, etag: str) -> dict[str, Any]:
        spec = {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key", "VersionId"]}
        return {"Spec": spec, "Location": {"ObjectArn": f"arn:aws:s3:::{reports}/{name}", "ETag": etag}}

    put = root_s3.put_object(Bucket=reports, Key="list.csv", Body=text)
    job = run(bucket, key, job_role(), Manifest=manifest("list.csv", put["ETag"]))
    assert job["ProgressSummary"]["NumberOfTasksSucceeded"] == 1
    told = rows(root_s3, job)
    assert told["a%20b"][0] == "succeeded"
    assert told["empty"] == ["failed", "400", "InvalidRequest", "Task failed due to missing VersionId"]
    failed = run(bucket, key, job_role(), Manifest=manifest("list.csv", '"0"'))
    assert "ETag" in failed["FailureReasons"][0]["FailureReason"]
    put = root_s3.put_object(Bucket=reports, Key="k.csv", Body=text, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    refused = run(bucket, key, job_role(), Manifest=manifest("k.csv", put["ETag"]))
    assert "SSE-KMS" in refused["FailureReasons"][0]["FailureReason"]


@pytest.mark.parametrize(("tasks", "status", "failed"), [(1200, "Failed", 1000), (999, "Complete", 999)])
def test_a_job_of_which_most_tasks_fail_ends_after_a_thousand(
    tasks: int, status: str, failed: int, run: Run, job_role: Any, key: str, reports: str, root_s3: Any
) -> None:
    text = "".join(f"{reports},{number},\n" for number in range(tasks)).encode()
    etag = root_s3.put_object(Bucket=reports, Key="list.csv", Body=text)["ETag"]
    spec = {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key", "VersionId"]}
    manifest = {"Spec": spec, "Location": {"ObjectArn": f"arn:aws:s3:::{reports}/list.csv", "ETag": etag}}
    job = run(reports, key, job_role(), Manifest=manifest)
    assert (job["Status"], job["ProgressSummary"]["NumberOfTasksFailed"]) == (status, failed)
    assert ("FailureReasons" in job) is (status == "Failed")
    assert len(rows(root_s3, job)) == failed


def test_creating_a_job_needs_its_permission_and_iam_pass_role_to_batch_operations(
    aws: LocalAws, requested: Any, session_of: Any, allow: Any, job_role: Any, key: str, make_bucket: Any, refusal: Any
) -> None:
    role, bucket = job_role(), make_bucket()
    request = requested(bucket, key, role)
    to_batch = {"StringEquals": {"iam:PassedToService": "batchoperations.s3.amazonaws.com"}}
    passing = allow("iam:PassRole", role, **to_batch)
    creating = allow("s3:CreateJob", "*", StringEquals={"s3:RequestJobOperation": "S3UpdateObjectEncryption"})
    for statements, missing in (([passing], "s3:CreateJob"), ([creating], "iam:PassRole")):
        code, message = refusal(session_of(*statements).client("s3control").create_job, **request)
        assert (code, missing in message) == ("AccessDenied", True), message
    session = session_of(creating, passing).client("s3control")
    assert session.create_job(**request)["JobId"] == session.create_job(**request)["JobId"]
    changed = refusal(session.create_job, **request | {"Priority": 2})
    assert changed[0] == "IdempotencyException"
    assert refusal(session.describe_job, AccountId=aws.account, JobId="12345678")[0] == "AccessDenied"


def test_what_a_job_cannot_be_is_refused_when_it_is_made(
    aws: LocalAws, control: Any, requested: Any, key: str, make_bucket: Any, job_role: Any, code_of: Any
) -> None:
    request = requested(make_bucket(), key, job_role())
    both = {
        "Spec": {"Format": "S3InventoryReport_CSV_20161130"},
        "Location": {"ObjectArn": "arn:aws:s3:::b/k", "ETag": "e"},
    }
    two = {"MatchAnyObjectEncryption": [{"SSES3": {}}, {"SSEKMS": {}}]}
    generator = request["ManifestGenerator"]["S3JobManifestGenerator"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"Operation": {"S3PutObjectCopy": {"TargetResource": "arn:aws:s3:::b"}}}, "NotImplemented"),
        ({"Operation": {"S3UpdateObjectEncryption": {}}}, "InvalidRequest"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "NotImplemented"),
        ({"Manifest": both}, "InvalidRequest"),
        ({"Report": {"Enabled": True}}, "InvalidRequest"),
        ({"ManifestGenerator": {"S3JobManifestGenerator": {**generator, "Filter": two}}}, "InvalidRequest"),
        (
            {
                "ManifestGenerator": {
                    "S3JobManifestGenerator": {**generator, "Filter": {"EligibleForReplication": True}}
                }
            },
            "NotImplemented",
        ),
    ]
    for changed, code in cases:
        assert code_of(control.create_job, **request | changed) == code, changed
    assert code_of(control.describe_job, AccountId=aws.account, JobId="nothing-here") == "NoSuchJob"
    assert code_of(control.get_job_tagging, AccountId=aws.account, JobId="nothing-here") == "NotImplemented"


@pytest.mark.parametrize(
    "body",
    [
        "<CreateJobRequest><Prioriti>1</Prioriti></CreateJobRequest>",
        "<CreateJobRequest><Priority>1</Priority><Priority>2</Priority></CreateJobRequest>",
        "<CreateJobRequest><Priority>one</Priority></CreateJobRequest>",
        "<CreateJobRequest><ConfirmationRequired>yes</ConfirmationRequired></CreateJobRequest>",
        "<CreateJobRequest><Tags><member><Kez>a</Kez></member></Tags></CreateJobRequest>",
        "<CreateJob><Priority>1</Priority></CreateJob>",
        "<CreateJobRequest><Priority>1</CreateJobRequest>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><CreateJobRequest><Description>&b;</Description></CreateJobRequest>",
    ],
)
def test_a_document_that_the_model_does_not_describe_is_refused(body: str) -> None:
    with pytest.raises(S3Refusal) as refused:
        request_members("CreateJob", Served("POST", "/v20180820/jobs", {}, body.encode(), {}))
    assert refused.value.code == "MalformedXML"
