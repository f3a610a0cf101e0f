"""Whole buckets: a state machine encrypts what is there, once, and jobs bring objects under a new storage key."""

import json
import time
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

from demo.principals import administrator, client, directly, function_client
from demo.scenario import Group, Stage

STACK = "Bulk"
CONTEXT = {"department": "archive"}
_LOOK = 0.1
_NAMES = ("a", "b c", "deep/ä")
_OLD = ("in/old", "old")
_ENDED = {"Complete", "Failed", "Cancelled"}
_BATCH = "batchoperations.s3.amazonaws.com"

bulk = Group("Bulk runs: every object below a prefix by a Distributed Map", order=45)
jobs = Group("A new storage key: S3 Batch Operations updates what is under the old one", order=46)


def _run(stage: Stage, **given: str) -> dict[str, Any]:
    """Return the report of an execution that the operator starts and waits for."""
    states = client(stage, "stepfunctions", STACK, "OperatorRoleArn")
    machine = stage.output(STACK, "StateMachineArn")
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        time.sleep(_LOOK)
    s3, key = client(stage, "s3", STACK, "OperatorRoleArn"), f"bulk/reports/{found['name']}/report.json"
    report = json.loads(s3.get_object(Bucket=stage.output(STACK, "ReportsName"), Key=key)["Body"].read())
    return {"status": found["status"], **report}


def _shown(report: dict[str, Any]) -> str:
    counts = {"written": report["written"], "found written": report["foundWritten"], "failed": report["failed"]}
    said = ", ".join(f"{many} {what}" for what, many in counts.items())
    return f"{report['status']}: {said}, {report['kmsCalls']} KMS calls"


@bulk.scenario(
    "operator",
    "starts a run over the prefix of three objects",
    "SUCCEEDED: 3 written, 0 found written, 0 failed, 3 KMS calls",
)
def prefix_is_encrypted(stage: Stage) -> str:
    s3, inbox = stage.aws.session().client("s3"), stage.output(STACK, "InboxName")
    for name in _NAMES:
        s3.put_object(Bucket=inbox, Key=f"in/{name}", Body=name.encode())
    s3.put_object(Bucket=inbox, Key="elsewhere", Body=b"not in the prefix")
    return _shown(_run(stage))


@bulk.scenario(
    "operator",
    "starts it again after one of them was overwritten",
    "SUCCEEDED: 1 written, 2 found written, 0 failed, 1 KMS calls",
)
def only_what_is_missing_is_done(stage: Stage) -> str:
    s3 = stage.aws.session().client("s3")
    s3.put_object(Bucket=stage.output(STACK, "InboxName"), Key="in/a", Body=b"another content")
    return _shown(_run(stage))


@bulk.scenario(
    "operator",
    "starts a run over an S3 inventory, which has keys URL-encoded",
    "SUCCEEDED: 1 written, 2 found written, 0 failed, 1 KMS calls",
)
def inventory_is_encrypted(stage: Stage) -> str:
    s3, reports = stage.aws.session().client("s3"), stage.output(STACK, "ReportsName")
    s3.put_object(Bucket=stage.output(STACK, "InboxName"), Key="in/50% +1", Body=b"odd")
    keys = [f"in/{quote_plus(name)}" for name in ("50% +1", *_NAMES[1:])]
    s3.put_object(Bucket=reports, Key="inventory/1.csv", Body="".join(f'"inbox","{key}"\n' for key in keys).encode())
    manifest = {
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key",
        "destinationBucket": f"arn:aws:s3:::{reports}",
        "files": [{"key": "inventory/1.csv"}],
    }
    s3.put_object(Bucket=reports, Key="inventory/manifest.json", Body=json.dumps(manifest).encode())
    return _shown(_run(stage, manifest="inventory/manifest.json"))


@bulk.refused("batch function's role", "reads an object outside of the prefix", "AccessDenied (s3:GetObject)")
def batch_role_reads_one_prefix(stage: Stage) -> None:
    s3 = function_client(stage, "s3", STACK, "BatchRoleArn")
    s3.get_object(Bucket=stage.output(STACK, "InboxName"), Key="elsewhere")


@bulk.refused(
    "batch function's role", "generates a data key under another context", "AccessDeniedException (kms:GenerateDataKey)"
)
def batch_role_is_bound_to_the_context(stage: Stage) -> None:
    for context in (CONTEXT, {"department": "sales"}):
        wanted = {"KeySpec": "AES_256", "EncryptionContext": context}
        directly(stage, STACK, "Batch", "generate_data_key", "ContentKey", **wanted)


@bulk.refused(
    "operator", "invokes the batch function past the state machine", "AccessDeniedException (lambda:InvokeFunction)"
)
def operator_may_not_invoke_the_function(stage: Stage) -> None:
    functions = client(stage, "lambda", STACK, "OperatorRoleArn")
    functions.invoke(FunctionName=stage.output(STACK, "BatchFunctionName"), Payload=b'{"Items": [{"key": "in/a"}]}')


def _job(stage: Stage, control: Any, role: str, operation: Any = None) -> str:
    """Return what became of a job over the objects of the inbox under the old key; it updates their encryption."""
    old, new = (stage.output(STACK, f"{name}KeyArn") for name in ("Old", "Storage"))
    inbox, reports = (f"arn:aws:s3:::{stage.output(STACK, name)}" for name in ("InboxName", "JobReportsName"))
    place = {"Bucket": reports, "ManifestPrefix": "re-encryption/manifests"}
    generator = {
        "SourceBucket": inbox,
        "EnableManifestOutput": True,
        "ManifestOutputLocation": {**place, "ManifestFormat": "S3InventoryReport_CSV_20211130"},
        "Filter": {"MatchAnyObjectEncryption": [{"SSEKMS": {"KmsKeyArn": old}}]},
    }
    report = {"Bucket": reports, "Prefix": "re-encryption/reports", "ReportScope": "AllTasks", "Enabled": True}
    encryption = {"SSEKMS": {"KMSKeyArn": new, "BucketKeyEnabled": True}}
    name = control.create_job(
        AccountId=stage.aws.account,
        ConfirmationRequired=False,
        Operation=operation or {"S3UpdateObjectEncryption": {"ObjectEncryption": encryption}},
        Report={**report, "Format": "Report_CSV_20180820"},
        ClientRequestToken=uuid4().hex,
        Priority=1,
        RoleArn=role,
        ManifestGenerator={"S3JobManifestGenerator": generator},
    )["JobId"]
    while (found := control.describe_job(AccountId=stage.aws.account, JobId=name)["Job"])["Status"] not in _ENDED:
        time.sleep(_LOOK)
    done = found["ProgressSummary"]
    return f"{found['Status']}: {done['NumberOfTasksSucceeded']} updated, {done['NumberOfTasksFailed']} failed"


def _stored_under_the_old_key(stage: Stage) -> None:
    """Store two objects as they were before the bucket got its key, and with it the policy that refuses others."""
    s3, bucket = stage.aws.session().client("s3"), stage.output(STACK, "InboxName")
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    under = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": stage.output(STACK, "OldKeyArn")}
    for key in _OLD:
        stage.notes[key] = s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), **under)["ETag"]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)


@jobs.scenario(
    "administrator",
    "runs a job whose role has every permission in IAM and is not in the new key's policy",
    "Complete: 0 updated, 2 failed",
)
def role_without_the_new_key_updates_nothing(stage: Stage) -> str:
    _stored_under_the_old_key(stage)
    trusted = {"Effect": "Allow", "Principal": {"Service": _BATCH}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam, name = stage.aws.session().client("iam"), f"kms-patterns-demo-{uuid4().hex[:8]}"
    trust, policy = (json.dumps({"Version": "2012-10-17", "Statement": [it]}) for it in (trusted, everything))
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="demo", PolicyDocument=policy)
    return _job(stage, administrator(stage, "s3control"), role)


@jobs.refused("operator", "passes another role to a job", "AccessDenied (iam:PassRole)")
def operator_may_not_pass_another_role(stage: Stage) -> str:
    control = client(stage, "s3control", STACK, "OperatorRoleArn")
    return _job(stage, control, stage.output(STACK, "BatchRoleArn"))


@jobs.refused("operator", "has a job copy the objects to the reports, which it may read", "AccessDenied (s3:CreateJob)")
def operator_may_not_copy_by_a_job(stage: Stage) -> str:
    control, reports = client(stage, "s3control", STACK, "OperatorRoleArn"), stage.output(STACK, "JobReportsName")
    copied = {"TargetResource": f"arn:aws:s3:::{reports}", "TargetKeyPrefix": "re-encryption/reports/"}
    return _job(stage, control, stage.output(STACK, "JobRoleArn"), {"S3PutObjectCopy": copied})


@jobs.scenario("operator", "runs a job with the role of BucketReEncryption", "Complete: 2 updated, 0 failed")
def bucket_comes_under_the_new_key(stage: Stage) -> str:
    control = client(stage, "s3control", STACK, "OperatorRoleArn")
    return _job(stage, control, stage.output(STACK, "JobRoleArn"))


@jobs.scenario(
    "administrator",
    "disables the old key; the batch function's role reads on below its prefix",
    "read under the new key with the old ETag",
)
def old_key_is_not_needed(stage: Stage) -> str:
    kms, old = stage.aws.session().client("kms"), stage.output(STACK, "OldKeyArn")
    kms.disable_key(KeyId=old)
    s3 = function_client(stage, "s3", STACK, "BatchRoleArn")
    found = s3.get_object(Bucket=stage.output(STACK, "InboxName"), Key=_OLD[0])
    kms.enable_key(KeyId=old)
    same = found["ETag"] == stage.notes[_OLD[0]]
    under = "new" if found["SSEKMSKeyId"] == stage.output(STACK, "StorageKeyArn") else "another"
    return f"read under the {under} key with {'the old' if same else 'another'} ETag"
