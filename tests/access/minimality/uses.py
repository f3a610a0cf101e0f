"""What several patterns are used for, and what all of them must withstand: the words that scenarios are made of."""

from collections.abc import Iterator

from minimality.scenario import Scenario

# https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-administrators
ADMINISTRATION = (
    "CancelKeyDeletion CreateAlias DeleteAlias DescribeKey DisableKey DisableKeyRotation EnableKey EnableKeyRotation",
    "GetKeyPolicy GetKeyRotationStatus ListGrants ListKeyPolicies ListKeyRotations ListResourceTags PutKeyPolicy",
    "RevokeGrant ScheduleKeyDeletion TagResource UntagResource UpdateAlias UpdateKeyDescription",
)

TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
VIA_S3 = {"kms:ViaService": "s3.any-region-1.amazonaws.com"}
ADMINISTRATOR = "account administrator"
CONFIGURATION = "DeleteBucket DeleteBucketPolicy PutBucketPolicy PutEncryptionConfiguration PutReplicationConfiguration"
DEPLOYER = "arn:aws:iam::888877776666:role/cdk-hnb659fds-cfn-exec-role-888877776666-any-region-1"
SSE = "s3:x-amz-server-side-encryption"


def administration(key: str) -> Iterator[Scenario]:
    for name in " ".join(ADMINISTRATION).split():
        yield Scenario(ADMINISTRATOR, f"kms:{name}", key, allowed=True)
    for name in ("Decrypt", "Encrypt", "GenerateDataKey", "CreateGrant"):
        yield Scenario(ADMINISTRATOR, f"kms:{name}", key, allowed=False, context={**VIA_S3, **tenant()})
    yield from guardrails(key)


def guardrails(key: str) -> Iterator[Scenario]:
    """What even an administrator must not do to a key; grants are for AWS services, which make them by themselves."""
    bypass = {"kms:BypassPolicyLockoutSafetyCheck": "true"}
    yield Scenario(ADMINISTRATOR, "kms:PutKeyPolicy", key, allowed=False, context=bypass)
    for days, allowed in (("7", False), ("30", True)):
        window = {"kms:ScheduleKeyDeletionPendingWindowInDays": days}
        yield Scenario(ADMINISTRATOR, "kms:ScheduleKeyDeletion", key, allowed=allowed, context=window)
    for context in ({}, {"kms:GrantIsForAWSResource": "true"}, {"kms:GrantIsForAWSResource": "false"}):
        yield Scenario(ADMINISTRATOR, "kms:CreateGrant", key, allowed=False, context=context)
    service = {"aws:PrincipalIsAWSService": "true"}
    yield Scenario("backup.amazonaws.com", "kms:CreateGrant", key, allowed=False, context=service)


def tenant() -> dict[str, str]:
    return {"kms:EncryptionContext:tenant": "blue"}


def bound_to_tenant(role: str, action: str, key: str) -> Iterator[Scenario]:
    yield Scenario(role, action, key, allowed=True, context=tenant())
    yield Scenario(role, action, key, allowed=False)
    yield Scenario("any other role", action, key, allowed=False, context=tenant())


def bound_to_bucket(role: str, action: str, key: str, bucket: str) -> Iterator[Scenario]:
    context = {"kms:EncryptionContext:aws:s3:arn": f"<{bucket}>"}
    elsewhere = {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::somebody-elses"}
    yield Scenario(role, action, key, allowed=True, context={**VIA_S3, **context})
    yield Scenario(role, action, key, allowed=False, context=context)
    yield Scenario(role, action, key, allowed=False, context={**VIA_S3, **elsewhere})
    yield Scenario("any other role", action, key, allowed=False, context={**VIA_S3, **context})


def download(role: str, bucket: str, key: str, objects: str = "*") -> Iterator[Scenario]:
    yield Scenario(role, "s3:GetObject", f"{bucket}/{objects}", allowed=True, context=TLS)
    yield from insecurely(role, "s3:GetObject", f"{bucket}/{objects}")
    yield from bound_to_bucket(role, "kms:Decrypt", key, bucket)


def upload(role: str, bucket: str, key: str, objects: str = "*", *, multipart: bool = True) -> Iterator[Scenario]:
    """With the bucket's default encryption, or naming it; in parts if ``multipart``; never under anything else.

    ``aws:kms`` without a key is the AWS managed key, which every administrator may use.
    """
    named = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": f"<{key}>"}
    for headers in ({}, named):
        yield Scenario(role, "s3:PutObject", f"{bucket}/{objects}", allowed=True, context={**TLS, **headers})
    refused = (
        {SSE: "aws:kms"},
        {SSE: "AES256"},
        {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "arn:aws:kms:any-region-1:888877776666:key/another"},
        {f"{SSE}-customer-algorithm": "AES256"},
    )
    for headers in refused:
        yield Scenario(role, "s3:PutObject", f"{bucket}/{objects}", allowed=False, context={**TLS, **headers})
    yield from insecurely(role, "s3:PutObject", f"{bucket}/{objects}")
    yield Scenario(role, "s3:AbortMultipartUpload", f"{bucket}/{objects}", allowed=multipart, context=TLS)
    yield from bound_to_bucket(role, "kms:GenerateDataKey", key, bucket)
    yield from bound_to_bucket(role, "kms:Decrypt", key, bucket)
    yield from configuration(bucket)
    for headers in refused:
        yield Scenario(ADMINISTRATOR, "s3:ReplicateObject", f"{bucket}/*", allowed=False, context={**TLS, **headers})
    for headers, allowed in ((named, True), (refused[2], False)):
        context = {**TLS, **headers}
        yield Scenario(ADMINISTRATOR, "s3:UpdateObjectEncryption", f"{bucket}/*", allowed=allowed, context=context)


def configuration(bucket: str) -> Iterator[Scenario]:
    """What decides under which key later objects are, or where else they go, is for the deployment alone."""
    for action in CONFIGURATION.split():
        for context, allowed in ((TLS, False), ({**TLS, "aws:PrincipalArn": DEPLOYER}, True)):
            yield Scenario(ADMINISTRATOR, f"s3:{action}", bucket, allowed=allowed, context=context)


def insecurely(role: str, action: str, objects: str) -> Iterator[Scenario]:
    yield Scenario(role, action, objects, allowed=False, context={"aws:SecureTransport": "false"})
    yield Scenario(role, action, objects, allowed=False, context={**TLS, "s3:TlsVersion": "1.1"})
    bucket = objects.partition("/*")[0]
    for context in ({"aws:SecureTransport": "false"}, {**TLS, "s3:TlsVersion": "1.1"}):
        yield Scenario(ADMINISTRATOR, "s3:ListBucket", bucket, allowed=False, context=context)


def function(place: str) -> Iterator[Scenario]:
    """Logs, failed asynchronous invocations, and the role that the function takes."""
    role = f"{place}/Role"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Scenario(role, action, f"{place}/Logs", allowed=True)
    queue = f"{place}/DeadLetters"
    yield Scenario(role, "sqs:SendMessage", queue, allowed=True, context={"aws:SecureTransport": "true"})
    yield Scenario(role, "sqs:SendMessage", queue, allowed=False, context={"aws:SecureTransport": "false"})
    yield from assumed(role, "lambda.amazonaws.com")


def assumed(role: str, service: str) -> Iterator[Scenario]:
    yield Scenario(service, "sts:AssumeRole", role, allowed=True)
    yield Scenario(ADMINISTRATOR, "sts:AssumeRole", role, allowed=False)
