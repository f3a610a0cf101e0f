"""One embedded AWS for the whole folder, with factories of roles, keys and buckets."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kms_patterns.local import AwsSession, LocalAws

EC2_TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}

S3_ALL = ["s3:PutObject", "s3:GetObject", "s3:GetObjectVersion", "s3:AbortMultipartUpload", "s3:ListBucket"]

Statement = dict[str, Any]
MakeRole = Callable[..., str]
MakeKey = Callable[..., str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option; it is known when this folder is named on the command line."""
    parser.addoption("--differential-cases", type=int, default=2000, help="random policies to compare (2000)")
    parser.addoption("--random-requests", type=int, default=600, help="random KMS requests to send (600)")


@pytest.fixture(scope="session")
def root_kms(aws: LocalAws) -> Any:
    return aws.client("kms")


@pytest.fixture(scope="session")
def root_s3(aws: LocalAws) -> Any:
    return aws.client("s3")


@pytest.fixture(scope="session")
def root_statement(aws: LocalAws) -> Statement:
    """The default key policy's statement: the account delegates to IAM."""
    principal = {"AWS": f"arn:aws:iam::{aws.account}:root"}
    return {"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"}


@pytest.fixture
def make_role(aws: LocalAws) -> MakeRole:
    """Return a function that makes a role which EC2 may assume, with one policy, and returns its ARN."""

    def make(*statements: Statement, path: str = "/", trust: Statement = EC2_TRUST, name: str | None = None) -> str:
        iam, name = aws.client("iam"), name or f"role-{uuid.uuid4().hex[:8]}"
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document)["Role"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy)
        return str(role["Arn"])

    return make


@pytest.fixture
def session_of(aws: LocalAws, make_role: MakeRole) -> Callable[..., AwsSession]:
    """Return a function that makes a role with the given statements and returns an EC2 session of it."""

    def make(*statements: Statement, **options: Any) -> AwsSession:
        return aws.assume(make_role(*statements, **options), "ec2.amazonaws.com")

    return make


@pytest.fixture
def make_key(root_kms: Any, root_statement: Statement) -> MakeKey:
    """Return a function that makes a key and returns its ARN; without statements, the account delegates to IAM."""

    def make(*statements: Statement, **options: Any) -> str:
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements or (root_statement,))})
        return str(
            root_kms.create_key(Policy=policy, BypassPolicyLockoutSafetyCheck=True, **options)["KeyMetadata"]["Arn"]
        )

    return make


@pytest.fixture
def make_bucket(root_s3: Any) -> Callable[..., str]:
    """Return a function that makes a bucket, encrypted by default under ``key`` if given, and returns its name."""

    def make(key: str | None = None, *, bucket_key: bool = True) -> str:
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        root_s3.create_bucket(Bucket=name)
        if key:
            default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
            rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}
            root_s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
        return name

    return make


def _refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**request)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture(scope="session")
def refusal() -> Callable[..., tuple[str, str]]:
    """Return a function that makes a call which must fail, and returns the error's code and message."""
    return _refusal


@pytest.fixture(scope="session")
def code_of() -> Callable[..., str]:
    """Return a function that makes a call which must fail, and returns the error's code."""
    return lambda call, **request: _refusal(call, **request)[0]


@pytest.fixture
def allow() -> Callable[..., Statement]:
    """Return a function that makes an Allow statement of an identity policy."""

    def make(action: str | list[str], resource: str | list[str], **conditions: Any) -> Statement:
        statement: Statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        return statement | ({"Condition": conditions} if conditions else {})

    return make


@pytest.fixture
def key(make_key: Any) -> str:
    return str(make_key())


@pytest.fixture
def s3_user(session_of: Any, allow: Any) -> Callable[..., Any]:
    """Return a function that makes an S3 client of a role with all S3 actions and some KMS actions."""

    def make(*kms_actions: str, key: str = "*", **conditions: Any) -> Any:
        kms = [allow(list(kms_actions), key, **conditions)] if kms_actions else []
        return session_of(allow(S3_ALL, "*"), *kms).client("s3")

    return make


@pytest.fixture
def s3_actions() -> list[str]:
    """Every S3 action that an uploader and a downloader need."""
    return S3_ALL


@pytest.fixture
def s3_calls(aws: LocalAws) -> Callable[[], list[tuple[str, str, dict[str, str]]]]:
    """Return a function that returns action, decision and context of the KMS calls by S3 since it was last called."""
    seen = [len(aws.kms_calls())]

    def take() -> list[tuple[str, str, dict[str, str]]]:
        calls = aws.kms_calls()[seen[0] :]
        seen[0] += len(calls)
        return [(call["action"], call["decision"], call["encryptionContext"]) for call in calls if call["viaService"]]

    return take
