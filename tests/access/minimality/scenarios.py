"""What the patterns of the reference app are used for, and what must stay impossible, as single requests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

S3, SECRETS, ENVELOPE = "KmsPatterns-S3", "KmsPatterns-Secrets", "KmsPatterns-Envelope"

# https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-administrators
ADMINISTRATION = (
    "CancelKeyDeletion CreateAlias DeleteAlias DescribeKey DisableKey DisableKeyRotation EnableKey EnableKeyRotation",
    "GetKeyPolicy GetKeyRotationStatus ListGrants ListKeyPolicies ListKeyRotations ListResourceTags PutKeyPolicy",
    "RevokeGrant ScheduleKeyDeletion TagResource UntagResource UpdateAlias UpdateKeyDescription",
)

TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
VIA_S3 = {"kms:ViaService": "s3.any-region-1.amazonaws.com"}
SSE = "s3:x-amz-server-side-encryption"


@dataclass(frozen=True)
class Scenario:
    """One request, and whether it must be allowed.

    Attributes:
        who: A role's construct path, a service, or one of the principals that always exist.
        action: The action.
        on: A resource's construct path, for objects followed by ``/*``.
        allowed: The outcome.
        context: What the request carries; ``<path>`` in a value stands for the ARN of that resource.
    """

    who: str
    action: str
    on: str
    allowed: bool
    context: Mapping[str, str] = field(default_factory=dict)


def of_stack(stack: str) -> list[Scenario]:
    """Return the scenarios of one stack of the reference app."""
    return list({S3: _documents, SECRETS: _secrets, ENVELOPE: _files}[stack]())


def _documents() -> Iterator[Scenario]:
    key, bucket = f"{S3}/Key", f"{S3}/Bucket"
    yield from _administration(key)
    for role in ("Uploader", "ReadWrite"):
        yield from _upload(f"{S3}/{role}Role", bucket, key)
    for role in ("Downloader", "ReadWrite"):
        yield from _download(f"{S3}/{role}Role", bucket, key)
    for role in ("Uploader", "Downloader", "ReadWrite"):
        yield from _assumed(f"{S3}/{role}Role", "ec2.amazonaws.com")
    yield Scenario(f"{S3}/UploaderRole", "s3:GetObject", f"{bucket}/*", allowed=False, context=TLS)
    yield Scenario(f"{S3}/DownloaderRole", "s3:PutObject", f"{bucket}/*", allowed=False, context=TLS)


def _secrets() -> Iterator[Scenario]:
    key = f"{SECRETS}/Key"
    yield from _administration(key)
    for side, action, caller in (("Encrypt", "kms:Encrypt", "Writer"), ("Decrypt", "kms:Decrypt", "Reader")):
        role = f"{SECRETS}/Cipher/{side}/Role"
        yield from _bound_to_tenant(role, action, key)
        yield from _function(SECRETS, side)
        yield Scenario(
            f"{SECRETS}/{caller}Role", "lambda:InvokeFunction", f"{SECRETS}/Cipher/{side}/Function", allowed=True
        )
        yield from _assumed(f"{SECRETS}/{caller}Role", "ec2.amazonaws.com")
        other = f"{SECRETS}/Cipher/{'Decrypt' if side == 'Encrypt' else 'Encrypt'}/Function"
        yield Scenario(f"{SECRETS}/{caller}Role", "lambda:InvokeFunction", other, allowed=False)
    parameter = "arn:aws:ssm:any-region-1:888877776666:parameter/kms-patterns/secrets/a"
    yield Scenario(f"{SECRETS}/WriterRole", "dynamodb:PutItem", f"{SECRETS}/Table", allowed=True)
    yield Scenario(f"{SECRETS}/ReaderRole", "dynamodb:GetItem", f"{SECRETS}/Table", allowed=True)
    yield Scenario(f"{SECRETS}/WriterRole", "ssm:PutParameter", parameter, allowed=True)
    yield Scenario(f"{SECRETS}/ReaderRole", "ssm:GetParameter", parameter, allowed=True)


def _files() -> Iterator[Scenario]:
    key, storage = f"{ENVELOPE}/Key", f"{ENVELOPE}/StorageKey"
    inbox, vault, restored = (f"{ENVELOPE}/{name}" for name in ("Inbox", "Vault", "Restored"))
    encrypt, decrypt, operator = (
        f"{ENVELOPE}/{name}" for name in ("Cipher/Encrypt/Role", "Cipher/Decrypt/Role", "OperatorRole")
    )
    yield from _administration(key)
    yield from _administration(storage)
    yield from _bound_to_tenant(encrypt, "kms:GenerateDataKey", key)
    yield from _bound_to_tenant(decrypt, "kms:Decrypt", key)
    for role, bucket in ((encrypt, inbox), (decrypt, vault), (operator, vault), (operator, restored)):
        yield from _download(role, bucket, storage)
    for role, bucket in ((encrypt, vault), (decrypt, restored), (operator, inbox)):
        yield from _upload(role, bucket, storage)
    for side in ("Encrypt", "Decrypt"):
        yield from _function(ENVELOPE, side)
        yield Scenario(operator, "lambda:InvokeFunction", f"{ENVELOPE}/Cipher/{side}/Function", allowed=True)
    yield from _assumed(operator, "ec2.amazonaws.com")


def _administration(key: str) -> Iterator[Scenario]:
    for name in " ".join(ADMINISTRATION).split():
        yield Scenario("account administrator", f"kms:{name}", key, allowed=True)
    for name in ("Decrypt", "Encrypt", "GenerateDataKey", "CreateGrant"):
        yield Scenario("account administrator", f"kms:{name}", key, allowed=False, context={**VIA_S3, **_tenant()})
    yield from _guardrails(key)


def _guardrails(key: str) -> Iterator[Scenario]:
    """What even an administrator must not do to a key; grants are for AWS services, which make them by themselves."""
    bypass = {"kms:BypassPolicyLockoutSafetyCheck": "true"}
    yield Scenario("account administrator", "kms:PutKeyPolicy", key, allowed=False, context=bypass)
    for days, allowed in (("7", False), ("30", True)):
        window = {"kms:ScheduleKeyDeletionPendingWindowInDays": days}
        yield Scenario("account administrator", "kms:ScheduleKeyDeletion", key, allowed=allowed, context=window)
    for context in ({}, {"kms:GrantIsForAWSResource": "true"}, {"kms:GrantIsForAWSResource": "false"}):
        yield Scenario("account administrator", "kms:CreateGrant", key, allowed=False, context=context)
    service = {"aws:PrincipalIsAWSService": "true"}
    yield Scenario("backup.amazonaws.com", "kms:CreateGrant", key, allowed=False, context=service)


def _tenant() -> dict[str, str]:
    return {"kms:EncryptionContext:tenant": "blue"}


def _bound_to_tenant(role: str, action: str, key: str) -> Iterator[Scenario]:
    yield Scenario(role, action, key, allowed=True, context=_tenant())
    yield Scenario(role, action, key, allowed=False)
    yield Scenario("any other role", action, key, allowed=False, context=_tenant())


def _bound_to_bucket(role: str, action: str, key: str, bucket: str) -> Iterator[Scenario]:
    context = {"kms:EncryptionContext:aws:s3:arn": f"<{bucket}>"}
    elsewhere = {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::somebody-elses"}
    yield Scenario(role, action, key, allowed=True, context={**VIA_S3, **context})
    yield Scenario(role, action, key, allowed=False, context=context)
    yield Scenario(role, action, key, allowed=False, context={**VIA_S3, **elsewhere})
    yield Scenario("any other role", action, key, allowed=False, context={**VIA_S3, **context})


def _download(role: str, bucket: str, key: str) -> Iterator[Scenario]:
    yield Scenario(role, "s3:GetObject", f"{bucket}/*", allowed=True, context=TLS)
    yield from _insecurely(role, "s3:GetObject", f"{bucket}/*")
    yield from _bound_to_bucket(role, "kms:Decrypt", key, bucket)


def _upload(role: str, bucket: str, key: str) -> Iterator[Scenario]:
    """With the bucket's default encryption, or naming it; in parts, or giving up; never under anything else.

    ``aws:kms`` without a key is the AWS managed key, which every administrator may use.
    """
    named = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": f"<{key}>"}
    for headers in ({}, named):
        yield Scenario(role, "s3:PutObject", f"{bucket}/*", allowed=True, context={**TLS, **headers})
    refused = (
        {SSE: "aws:kms"},
        {SSE: "AES256"},
        {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "arn:aws:kms:any-region-1:888877776666:key/another"},
        {f"{SSE}-customer-algorithm": "AES256"},
    )
    for headers in refused:
        yield Scenario(role, "s3:PutObject", f"{bucket}/*", allowed=False, context={**TLS, **headers})
    yield from _insecurely(role, "s3:PutObject", f"{bucket}/*")
    yield Scenario(role, "s3:AbortMultipartUpload", f"{bucket}/*", allowed=True, context=TLS)
    yield from _bound_to_bucket(role, "kms:GenerateDataKey", key, bucket)
    yield from _bound_to_bucket(role, "kms:Decrypt", key, bucket)


def _insecurely(role: str, action: str, objects: str) -> Iterator[Scenario]:
    yield Scenario(role, action, objects, allowed=False, context={"aws:SecureTransport": "false"})
    yield Scenario(role, action, objects, allowed=False, context={**TLS, "s3:TlsVersion": "1.1"})
    bucket = objects.removesuffix("/*")
    for context in ({"aws:SecureTransport": "false"}, {**TLS, "s3:TlsVersion": "1.1"}):
        yield Scenario("account administrator", "s3:ListBucket", bucket, allowed=False, context=context)


def _function(stack: str, side: str) -> Iterator[Scenario]:
    """Logs, failed asynchronous invocations, and the role that the function takes."""
    role = f"{stack}/Cipher/{side}/Role"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Scenario(role, action, f"{stack}/Cipher/{side}/Logs", allowed=True)
    queue = f"{stack}/Cipher/{side}/DeadLetters"
    yield Scenario(role, "sqs:SendMessage", queue, allowed=True, context={"aws:SecureTransport": "true"})
    yield Scenario(role, "sqs:SendMessage", queue, allowed=False, context={"aws:SecureTransport": "false"})
    yield from _assumed(role, "lambda.amazonaws.com")


def _assumed(role: str, service: str) -> Iterator[Scenario]:
    yield Scenario(service, "sts:AssumeRole", role, allowed=True)
    yield Scenario("account administrator", "sts:AssumeRole", role, allowed=False)
