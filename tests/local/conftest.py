"""One embedded AWS for the whole folder, with factories of roles, keys and buckets; and our KMS in this process.

Without a server KMS answers thousands of requests a second.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ministack.core import iam_evaluator
from ministack.core.responses import request_scope
from ministack.services import kms as emulated

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.local.server.authorization import emulator_policies
from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.authorization.policy_statements import parse
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.control_plane import key_creation, rotation
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response
from kms_patterns.local.server.kms.kms_service import KmsService

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
    """Return a function that makes a bucket, encrypted by default under ``key`` if given, and returns its name.

    With ``customer_keys`` it takes objects under SSE-C, which S3 blocks by default.
    """

    def make(key: str | None = None, *, bucket_key: bool = True, customer_keys: bool = False) -> str:
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        root_s3.create_bucket(Bucket=name)
        if key or customer_keys:
            default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}
            rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}
            rule |= {"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}} if customer_keys else {}
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


@pytest.fixture(name="allow")
def _allow() -> Callable[..., Statement]:
    """Return the function that makes an Allow statement of an identity policy."""
    return allow


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


# As in test_policies.py, whose simulator is asked about these requests.
ACCOUNT, REGION = "123456789012", "us-east-1"
USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def policy(*statements: dict[str, Any]) -> str:
    """Return the JSON of a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any = "kms:*", resource: Any = "*", **conditions: Any) -> dict[str, Any]:
    """Return an Allow of an identity policy."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": conditions} if conditions else {})


def deny(action: Any = "kms:*", **conditions: Any) -> dict[str, Any]:
    """Return a Deny of an identity policy on everything."""
    return allow(action, **conditions) | {"Effect": "Deny"}


def caller(*statements: dict[str, Any], kind: str = "User", arn: str = USER) -> Caller:
    """Return a principal with one identity policy; without statements the account root."""
    if not statements:
        return Caller(ROOT, "Root", ACCOUNT)
    return Caller(arn, kind, ACCOUNT, parse({"Version": "2012-10-17", "Statement": list(statements)}, "policy"))


@dataclass
class KmsInProcess:
    """Calls KMS as the account root, or as the principal ``by``, or through the AWS service ``via``."""

    service: KmsService

    def status(self, operation: str, request: Any, by: Caller | None = None, via: str | None = None) -> Response:
        """Return status, headers and body as the server does."""

        async def by_emulator(body: bytes) -> Response:
            headers = {"x-amz-target": f"TrentService.{operation}"}
            response: Response = await emulated.handle_request("POST", "/", headers, body, {})
            return response

        call = self.service.serve(KmsCall(operation, request, by or caller(), via), by_emulator)
        try:
            call.send(None)
        except StopIteration as done:
            response: Response = done.value
            return response
        raise AssertionError("neither our KMS nor the emulator's waits for anything")

    def answer(
        self, operation: str, by: Caller | None = None, via: str | None = None, **request: Any
    ) -> dict[str, Any]:
        """Return the response's members.

        Raises:
            KmsError: Refused, by us or by the emulator.
        """
        status, _headers, body = self.status(operation, request, by, via)
        answer: dict[str, Any] = json.loads(body or b"{}")
        assert status in {200, 400}, status
        if status != 200:
            raise KmsError(answer["__type"], answer.get("message", ""))
        return answer

    def code(self, operation: str, by: Caller | None = None, via: str | None = None, **request: Any) -> str:
        """Return the code of the refusal, ``OK`` if there is none."""
        try:
            self.answer(operation, by, via, **request)
        except KmsError as refused:
            return refused.code
        return "OK"

    def key(self, **request: Any) -> str:
        """Make a key and return its ARN."""
        return str(self.answer("CreateKey", **request)["KeyMetadata"]["Arn"])


@contextmanager
def kms_in_process(log: Path) -> Iterator[KmsInProcess]:
    """Put our KMS in front of the emulator's in this process, and take it away again with all keys."""
    with pytest.MonkeyPatch.context() as patch, request_scope(ACCOUNT, REGION):
        patch.setattr(emulated, "_create_key", key_creation.create_key(emulated._create_key))
        patch.setattr(emulated, "_key_metadata", key_creation.key_metadata(emulated._key_metadata))
        fields = (*emulated._KEY_MATERIAL_FIELDS, *rotation.SHARED)
        patch.setattr(emulated, "_KEY_MATERIAL_FIELDS", fields)
        resolve = emulator_policies.resolve_condition_key(iam_evaluator._resolve_condition_key)
        patch.setattr(iam_evaluator, "_resolve_condition_key", resolve)
        yield KmsInProcess(KmsService(CallLog(log)))
        emulated.reset()
