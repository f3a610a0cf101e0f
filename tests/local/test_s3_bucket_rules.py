"""Bucket policies on encryption and transport, and the emulator's bucket defaults from the API and CloudFormation."""

import json
import uuid
from typing import Any

import pytest

ALGORITHM, KEY_ID = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"
CUSTOMER_ALGORITHM = f"{ALGORITHM}-customer-algorithm"
OWN_KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef0123456789abcdef"}


@pytest.fixture
def guarded(root_s3: Any, make_bucket: Any, make_key: Any) -> tuple[str, str]:
    """Return a bucket, and its key, that refuses uploads with other encryption headers than its own."""
    key = make_key()
    bucket = make_bucket(key)
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    statements = [
        deny | {"Condition": {"StringNotEquals": {ALGORITHM: "aws:kms"}, "Null": {ALGORITHM: "false"}}},
        deny | {"Condition": {"StringNotEquals": {KEY_ID: key}, "Null": {KEY_ID: "false"}}},
        deny | {"Condition": {"StringEquals": {ALGORITHM: "aws:kms"}, "Null": {KEY_ID: "true"}}},
        deny | {"Condition": {"Null": {CUSTOMER_ALGORITHM: "false"}}},
    ]
    root_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return bucket, key


@pytest.fixture
def writer(session_of: Any, allow: Any) -> Any:
    return session_of(allow(["s3:*", "kms:*"], "*")).client("s3")


def test_a_bucket_policy_may_require_the_buckets_own_encryption(
    guarded: tuple[str, str], writer: Any, make_key: Any, refusal: Any
) -> None:
    bucket, key = guarded
    own = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    for headers in ({}, own):
        assert writer.put_object(Bucket=bucket, Key="k", Body=b"x", **headers)["SSEKMSKeyId"] == key
    unkeyed = {"ServerSideEncryption": "aws:kms"}
    for headers in ({"ServerSideEncryption": "AES256"}, own | {"SSEKMSKeyId": make_key()}, unkeyed, OWN_KEY):
        code, message = refusal(writer.put_object, Bucket=bucket, Key="k", Body=b"x", **headers)
        assert (code, message.rsplit("with", 1)[1]) == ("AccessDenied", " an explicit deny in a resource-based policy")


def test_the_rule_holds_for_multipart_uploads_and_copies(
    guarded: tuple[str, str], writer: Any, make_key: Any, code_of: Any
) -> None:
    bucket, key = guarded
    other = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": make_key()}
    for headers in (other, {"ServerSideEncryption": "aws:kms"}, OWN_KEY):
        assert code_of(writer.create_multipart_upload, Bucket=bucket, Key="m", **headers) == "AccessDenied"
    upload = writer.create_multipart_upload(Bucket=bucket, Key="m", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    named = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    etag = writer.upload_part(PartNumber=1, Body=b"x", **named)["ETag"]
    writer.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}, **named)
    copy = {"Bucket": bucket, "Key": "c", "CopySource": {"Bucket": bucket, "Key": "m"}}
    assert writer.copy_object(**copy)["SSEKMSKeyId"] == key
    assert code_of(writer.copy_object, **copy, **other) == "AccessDenied"


def test_a_deny_without_the_null_guard_refuses_uploads_without_headers(
    root_s3: Any, make_bucket: Any, make_key: Any, writer: Any, code_of: Any
) -> None:
    key = make_key()
    bucket = make_bucket(key)
    strict = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*",
              "Condition": {"StringNotEquals": {KEY_ID: key}}}  # fmt: skip
    root_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [strict]}))
    own = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    assert writer.put_object(Bucket=bucket, Key="k", Body=b"x", **own)["SSEKMSKeyId"] == key
    assert code_of(writer.put_object, Bucket=bucket, Key="k", Body=b"x") == "AccessDenied"
    upload = writer.create_multipart_upload(Bucket=bucket, Key="m", **own)["UploadId"]
    assert writer.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")["SSEKMSKeyId"] == key


@pytest.mark.parametrize(("secure", "allowed"), [("false", True), ("true", False)])
def test_the_transport_condition_sees_tls(
    root_s3: Any, make_bucket: Any, writer: Any, code_of: Any, secure: str, allowed: bool
) -> None:
    bucket = make_bucket()
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*",
            "Condition": {"Bool": {"aws:SecureTransport": secure}}}  # fmt: skip
    root_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    if allowed:
        assert writer.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    else:
        assert code_of(writer.put_object, Bucket=bucket, Key="k", Body=b"x") == "AccessDenied"


def test_an_algorithm_that_is_not_implemented_refuses_writes(root_s3: Any, make_bucket: Any, code_of: Any) -> None:
    bucket, double = make_bucket(), {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms:dsse"}}
    root_s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [double]})
    assert code_of(root_s3.put_object, Bucket=bucket, Key="k", Body=b"x") == "NotImplemented"


def test_get_bucket_encryption_returns_what_was_put(root_s3: Any, make_bucket: Any, make_key: Any) -> None:
    key = make_key()
    [rule] = root_s3.get_bucket_encryption(Bucket=make_bucket(key))["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert rule["BucketKeyEnabled"] is True


def _deploy(aws: Any, resources: dict[str, Any]) -> dict[str, str]:
    cloudformation, name = aws.client("cloudformation"), f"stack-{uuid.uuid4().hex[:8]}"
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    found = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found} | {"": name}


def _bucket(by_default: dict[str, Any], *, bucket_key: bool) -> dict[str, Any]:
    rule = {"ServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": bucket_key}
    properties = {"BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}}
    return {"Type": "AWS::S3::Bucket", "Properties": properties}


def test_cloudformation_sets_the_bucket_encryption_and_changes_and_removes_it(
    aws: Any, root_s3: Any, root_statement: Any
) -> None:
    key_policy = {"Version": "2012-10-17", "Statement": [root_statement]}
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": key_policy}}
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]}}
    ids = _deploy(aws, {"Key": key, "Bucket": _bucket(by_key, bucket_key=True)})
    put = root_s3.put_object(Bucket=ids["Bucket"], Key="k", Body=b"x")
    assert (put["SSEKMSKeyId"].rsplit("/", 1)[1], put["BucketKeyEnabled"]) == (ids["Key"], True)
    cloudformation = aws.client("cloudformation")
    for bucket, algorithm in (
        (_bucket({"SSEAlgorithm": "aws:kms"}, bucket_key=False), "aws:kms"), ({"Type": "AWS::S3::Bucket"}, "AES256"),
    ):  # fmt: skip
        template = json.dumps({"Resources": {"Key": key, "Bucket": bucket}})
        cloudformation.update_stack(StackName=ids[""], TemplateBody=template)
        cloudformation.get_waiter("stack_update_complete").wait(StackName=ids[""], WaiterConfig={"Delay": 1})
        found = root_s3.get_bucket_encryption(Bucket=ids["Bucket"])["ServerSideEncryptionConfiguration"]["Rules"]
        assert found[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": algorithm}
        assert found[0]["BucketKeyEnabled"] is False
