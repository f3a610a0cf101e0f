"""A bulk run and the jobs that re-encrypt a bucket: what each role and function may do, below which prefix."""

from collections.abc import Iterator

from tests.access.minimality.world import (
    ADMINISTRATOR,
    DEPLOYER,
    SSE,
    TLS,
    VIA_S3,
    Access,
    Scenario,
    administration,
    assumed,
    bound_to_bucket,
    function,
    log_groups,
    upload,
)

STACK = "KmsPatterns-Bulk"
FEWEST_REMOVALS = 250
USES_DEPLOYED = 0  # each direct use is under a fixed context, which that trial does not send
DEPARTMENT = {
    "StringEquals": {"kms:EncryptionContext:department": "archive"},
    "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "department"},
}
ACCESS: Access = {
    "ContentKey": {
        "Bulk/Batch/Role": {"kms:GenerateDataKey": DEPARTMENT},
        "Bulk/Report/Role": {},
        "Bulk/Role": {},
        "ReEncryption/Role": {},
        "OperatorRole": {},
    },
}
ARN = "arn:aws:states:any-region-1:888877776666"
NAME = "KmsPatternsBulk-E2A22FAC"
ANY = "any other role"
LABELS = ("Objects", "Listed", "Inventoried", "Encoded")


def scenarios() -> Iterator[Scenario]:
    keys = [f"{STACK}/{name}Key" for name in ("Old", "Storage", "Content", "Logs")]
    for key in keys:
        yield from administration(key)
    yield from under_the_key()
    yield from batches()
    yield from reports()
    yield from machine()
    yield from jobs()
    yield from operator()
    yield from history()
    yield from log_groups(f"{STACK}/LogsKey")


def history() -> Iterator[Scenario]:
    """The state machine under its key: who runs, describes and deploys it, and no other machine."""
    key, via = f"{STACK}/LogsKey", {"kms:ViaService": "states.any-region-1.amazonaws.com"}
    mine, other = (
        {"kms:EncryptionContext:aws:states:stateMachineArn": f"{ARN}:stateMachine:{name}"} for name in (NAME, "another")
    )
    deploying = {"aws:PrincipalArn": DEPLOYER}
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        for who, context, allowed in (
            (f"{STACK}/Bulk/Role", mine, True),
            (f"{STACK}/Bulk/Role", other, False),
            (ANY, mine, False),
            (ADMINISTRATOR, {**via, **mine, **deploying}, True),
            (ADMINISTRATOR, {**mine, **deploying}, False),
            (ADMINISTRATOR, {**via, **mine}, False),
        ):
            yield Scenario(who, action, key, allowed=allowed, context=context)
    for context, allowed in (({**via, **mine}, True), (mine, False), ({**via, **other}, False)):
        yield Scenario(f"{STACK}/OperatorRole", "kms:Decrypt", key, allowed=allowed, context=context)


def under_the_key() -> Iterator[Scenario]:
    """Each bucket takes objects under its key alone."""
    storage = f"{STACK}/StorageKey"
    yield from upload(f"{STACK}/ReEncryption/Role", f"{STACK}/Inbox", storage, multipart=False)
    yield from upload(f"{STACK}/Bulk/Batch/Role", f"{STACK}/Vault", storage, "*out/a")
    yield from upload(f"{STACK}/Bulk/Report/Role", f"{STACK}/Reports", storage, "*bulk/reports/a")


def below(role: str, bucket: str, prefix: str, actions: str, kms: str) -> Iterator[Scenario]:
    """S3 and KMS for objects below one prefix, with a Bucket Key and without, and for no other."""
    place, key = f"{STACK}/{bucket}", f"{STACK}/StorageKey"
    for action in actions.split():
        for name, allowed in ((f"{prefix}a", True), ("elsewhere/a", False)):
            yield Scenario(role, f"s3:{action}", f"{place}/*{name}", allowed=allowed, context=TLS)
    for action in kms.split():
        yield from bound_to_bucket(role, f"kms:{action}", key, place)
        for name, allowed in ((f"{prefix}a", True), ("elsewhere/a", False)):
            context = {**VIA_S3, "kms:EncryptionContext:aws:s3:arn": f"<{place}>/{name}"}
            yield Scenario(role, f"kms:{action}", key, allowed=allowed, context=context)


def batches() -> Iterator[Scenario]:
    role, key = f"{STACK}/Bulk/Batch/Role", f"{STACK}/ContentKey"
    yield from function(f"{STACK}/Bulk/Batch")
    yield from below(role, "Inbox", "in/", "GetObject", "Decrypt")
    yield from below(role, "Vault", "out/", "GetObject PutObject AbortMultipartUpload", "Decrypt GenerateDataKey")
    mine = {"kms:EncryptionContext:department": "archive", "kms:EncryptionContextKeys": ["department"]}
    other = {**mine, "kms:EncryptionContext:department": "sales"}
    cased = {**mine, "kms:EncryptionContextKeys": ["Department"]}
    refused = ((role, other), (role, cased), (role, {}), (ANY, mine))
    for who, context, allowed in ((role, mine, True), *((who, context, False) for who, context in refused)):
        yield Scenario(who, "kms:GenerateDataKey", key, allowed=allowed, context=context)
    yield Scenario(role, "kms:Decrypt", key, allowed=False, context=mine)


def reports() -> Iterator[Scenario]:
    role = f"{STACK}/Bulk/Report/Role"
    yield from function(f"{STACK}/Bulk/Report")
    yield from below(role, "Reports", "bulk/results/", "GetObject", "Decrypt")
    for part in ("lists", "reports"):
        yield from below(role, "Reports", f"bulk/{part}/", "PutObject AbortMultipartUpload", "Decrypt GenerateDataKey")


def machine() -> Iterator[Scenario]:
    role = f"{STACK}/Bulk/Role"
    yield from assumed(role, "states.amazonaws.com")
    for prefix, allowed in (("in/", True), ("", False), ("other/", False)):
        context = {**TLS, "s3:prefix": prefix}
        yield Scenario(role, "s3:ListBucket", f"{STACK}/Inbox", allowed=allowed, context=context)
    for prefix in ("bulk/lists/", "inventory/"):
        yield from below(role, "Reports", prefix, "GetObject", "Decrypt")
    written = "GetObject PutObject AbortMultipartUpload ListMultipartUploadParts"
    yield from below(role, "Reports", "bulk/results/", written, "Decrypt GenerateDataKey")
    for name in ("Batch", "Report"):
        yield Scenario(role, "lambda:InvokeFunction", f"{STACK}/Bulk/{name}/Function", allowed=True)
    for resource, action in (("stateMachine:{}", "Start"), ("execution:{}:run", "Describe")):
        for name, allowed in ((NAME, True), ("another", False)):
            on = f"{ARN}:{resource.format(name)}"
            yield Scenario(role, f"states:{action}Execution", on, allowed=allowed)
    yield Scenario(role, "states:ListMapRuns", f"{ARN}:execution:{NAME}:run", allowed=True)
    for label in LABELS:
        yield Scenario(role, "states:RedriveExecution", f"{ARN}:execution:{NAME}/{label}:run", allowed=True)


def jobs() -> Iterator[Scenario]:
    role, inbox = f"{STACK}/ReEncryption/Role", f"{STACK}/Inbox"
    yield from assumed(role, "batchoperations.s3.amazonaws.com")
    for action in ("GetObject", "GetObjectVersion", "PutObject", "UpdateObjectEncryption"):
        headers = {f"{SSE}-aws-kms-key-id": f"<{STACK}/StorageKey>"} if action.startswith("Update") else {}
        yield Scenario(role, f"s3:{action}", f"{inbox}/*", allowed=True, context={**TLS, **headers})
        yield Scenario(role, f"s3:{action}", f"{STACK}/Vault/*", allowed=False, context={**TLS, **headers})
    yield Scenario(role, "s3:PutInventoryConfiguration", inbox, allowed=True, context=TLS)
    for key, actions in (
        ("StorageKey", ("Decrypt", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo")),
        ("OldKey", ("Decrypt", "ReEncryptFrom")),
    ):
        for action in actions:
            yield from bound_to_bucket(role, f"kms:{action}", f"{STACK}/{key}", inbox)
    yield Scenario(role, "kms:ReEncryptTo", f"{STACK}/OldKey", allowed=False, context=VIA_S3)
    yield from below(role, "JobReports", "re-encryption/manifests/", "GetObject GetObjectVersion PutObject", "")
    yield from below(role, "JobReports", "re-encryption/reports/", "PutObject", "")
    for on in (f"{STACK}/JobReports/*", f"{STACK}/JobReports"):
        action = "s3:ListBucket" if on.endswith("s") else "s3:PutObject"
        yield Scenario(ADMINISTRATOR, action, on, allowed=False, context={"aws:SecureTransport": "false"})


def operator() -> Iterator[Scenario]:
    role, job_role = f"{STACK}/OperatorRole", f"{STACK}/ReEncryption/Role"
    yield from assumed(role, "ec2.amazonaws.com")
    yield from below(role, "Reports", "bulk/reports/", "GetObject", "Decrypt")
    yield from below(role, "JobReports", "re-encryption/", "GetObject", "")
    asked = {"stateMachine:{}": "StartExecution", "mapRun:{}/Objects:id": "DescribeMapRun"}
    executions = ("DescribeExecution", "ListMapRuns", "RedriveExecution", "StopExecution")
    for resource, action in (*asked.items(), *(("execution:{}:run", action) for action in executions)):
        for name, allowed in ((NAME, True), ("another", False)):
            yield Scenario(role, f"states:{action}", f"{ARN}:{resource.format(name)}", allowed=allowed)
    job = "arn:aws:s3:any-region-1:888877776666:job/1"
    for name, allowed in (("S3UpdateObjectEncryption", True), ("S3PutObjectCopy", False)):
        asked_for, existing = {"s3:RequestJobOperation": name}, {"s3:ExistingJobOperation": name}
        yield Scenario(role, "s3:CreateJob", "*", allowed=allowed, context=asked_for)
        yield Scenario(role, "s3:UpdateJobStatus", job, allowed=allowed, context=existing)
    yield Scenario(role, "s3:DescribeJob", job, allowed=True)
    yield Scenario(role, "s3:ListBucketMultipartUploads", f"{STACK}/Inbox", allowed=True, context=TLS)
    for service, on, allowed in (
        ("batchoperations.s3.amazonaws.com", job_role, True),
        ("lambda.amazonaws.com", job_role, False),
        ("batchoperations.s3.amazonaws.com", f"{STACK}/Bulk/Role", False),
    ):
        yield Scenario(role, "iam:PassRole", on, allowed=allowed, context={"iam:PassedToService": service})
