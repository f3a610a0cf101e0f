"""Access to some objects of a bucket only, told apart from access to the others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.report.wording import in_words

Statements = list[dict[str, Any]]
Evaluate = Callable[[Statements], AccessMatrix]


@pytest.fixture
def of_user(tmp_path: Path, running: Simulator) -> Evaluate:
    """Evaluate a user with these statements and a bucket without a policy."""

    def evaluate(statements: Statements) -> AccessMatrix:
        policy = {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}
        bucket: dict[str, Any] = {"BucketName": "files"}
        encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
        bucket["BucketEncryption"] = {"ServerSideEncryptionConfiguration": [encryption]}
        resources = {
            "User": {"Type": "AWS::IAM::User", "Properties": {"UserName": "alice", "Policies": [policy]}},
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": bucket},
        }
        path = tmp_path / "Stack.template.json"
        path.write_text(json.dumps({"Resources": resources}))
        return build_with(read_model(path), running)

    return evaluate


def allow(pattern: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{pattern}"}


def scopes(matrix: AccessMatrix) -> dict[str | None, str]:
    return {
        entry.scope: in_words(entry.condition)
        for entry in matrix.entries
        if (entry.principal, entry.resource, entry.action) == ("Stack/User", "Stack/Bucket", "s3:GetObject")
    }


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([allow("files/*")], {None: "always"}),
        ([allow("*")], {None: "always"}),
        ([allow("f*/*")], {None: "always"}),
        ([allow("other/*")], {}),
        ([allow("files/shared/*")], {"shared/*": "always"}),
        ([allow("files/*"), allow("files/vault/*", "Deny")], {None: "always", "vault/*": "never"}),
        ([allow("files/a/*"), allow("files/a/b/*", "Deny")], {"a/*": "always", "a/b/*": "never"}),
        ([allow("files/a/*"), allow("files/b/*", "Deny")], {"a/*": "always"}),
        ([allow("fi*.txt")], {"*.txt": "always"}),
        ([allow("files*/x/*.txt")], {"*/x/*.txt": "always", "x/*.txt": "always"}),
        ([allow("files/*"), allow("*secret*", "Deny")], {None: "always", "*secret*": "never"}),
        ([allow("files/home/${aws:username}/*")], {"home/${aws:username}/*": "always"}),
        ([allow("files/${aws:PrincipalTag/team}/*")], {"${aws:PrincipalTag/team}/*": "always"}),
        ([allow("files/one-object")], {"one-object": "always"}),
    ],
)
def test_scope(statements: Statements, expected: dict[str | None, str], of_user: Evaluate) -> None:
    assert scopes(of_user(statements)) == expected


def test_bucket_under_the_aws_managed_key_says_so(of_user: Evaluate) -> None:
    assert of_user([allow("files/*")]).resource("Bucket").encrypted_by == "alias/aws/s3"
