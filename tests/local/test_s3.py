"""S3: SSE-KMS, bucket rules, and its operations."""

import base64
import hashlib
import json
import ssl
import urllib.request
import uuid
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.config import Config

from kms_patterns.local.server.s3.s3_operations import unknown
from tests.local.test_acting import deployed

VIA_S3 = "s3.us-east-1.amazonaws.com"


@pytest.mark.parametrize("bucket_key", [True, False])
def test_put_generates_a_data_key_and_get_decrypts_it_as_the_caller_via_s3(
    aws: Any, s3_calls: Any, key: str, make_bucket: Any, s3_user: Any, bucket_key: bool
) -> None:
    bucket, s3 = make_bucket(key, bucket_key=bucket_key), s3_user("kms:GenerateDataKey", "kms:Decrypt")
    put = s3.put_object(Bucket=bucket, Key="a/b", Body=b"hello")
    got = s3.get_object(Bucket=bucket, Key="a/b")
    for answer in (put, got):
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", key)
        assert answer.get("BucketKeyEnabled", False) is bucket_key
    assert got["Body"].read() == b"hello"
    context = {"aws:s3:arn": f"arn:aws:s3:::{bucket}" + ("" if bucket_key else "/a/b")}
    assert s3_calls() == [("kms:GenerateDataKey", "allow", context), ("kms:Decrypt", "allow", context)]
    assert {(call["keyArn"], call["viaService"]) for call in aws.kms_calls()[-2:]} == {(key, VIA_S3)}
    assert all(":assumed-role/" in call["principal"] for call in aws.kms_calls()[-2:])


def test_the_wrapped_data_key_is_not_in_any_response(key: str, make_bucket: Any, s3_user: Any) -> None:
    bucket, s3 = make_bucket(key), s3_user("kms:GenerateDataKey", "kms:Decrypt")
    answers = [
        s3.put_object(Bucket=bucket, Key="k", Body=b"x"), s3.get_object(Bucket=bucket, Key="k"),
        s3.head_object(Bucket=bucket, Key="k"), s3.create_multipart_upload(Bucket=bucket, Key="m"),
    ]  # fmt: skip
    assert not any("kms-patterns" in name for answer in answers for name in answer["ResponseMetadata"]["HTTPHeaders"])


def test_put_without_generate_data_key_is_refused_naming_the_action_and_the_key(
    key: str, make_bucket: Any, s3_user: Any, refusal: Any, root_s3: Any
) -> None:
    bucket, s3 = make_bucket(key), s3_user("kms:Decrypt")
    code, message = refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x")
    assert code == "AccessDenied"
    assert f"is not authorized to perform: kms:GenerateDataKey on resource: {key}" in message
    assert "Contents" not in root_s3.list_objects_v2(Bucket=bucket)


def test_get_without_decrypt_is_refused_naming_the_action_and_the_key(
    key: str, make_bucket: Any, s3_user: Any, refusal: Any
) -> None:
    bucket, s3 = make_bucket(key), s3_user("kms:GenerateDataKey")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    code, message = refusal(s3.get_object, Bucket=bucket, Key="k")
    assert code == "AccessDenied"
    assert f"is not authorized to perform: kms:Decrypt on resource: {key}" in message
    assert refusal(s3.get_object, Bucket=bucket, Key="k", Range="bytes=0-0")[0] == "AccessDenied"


def test_the_permission_may_be_limited_to_use_via_s3(
    key: str, make_bucket: Any, session_of: Any, allow: Any, code_of: Any, s3_actions: Any
) -> None:
    bucket = make_bucket(key)
    via_s3 = {"kms:ViaService": VIA_S3, "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}"}
    session = session_of(allow(s3_actions, "*"), allow(["kms:GenerateDataKey"], key, StringEquals=via_s3))
    assert session.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")["SSEKMSKeyId"] == key
    direct = {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": {"aws:s3:arn": f"arn:aws:s3:::{bucket}"}}
    assert code_of(session.client("kms").generate_data_key, **direct) == "AccessDeniedException"
    assert code_of(session.client("s3").put_object, Bucket=make_bucket(key), Key="k", Body=b"x") == "AccessDenied"


def test_head_needs_decrypt_only_for_the_checksum(key: str, make_bucket: Any, s3_user: Any, root_s3: Any) -> None:
    bucket, s3 = make_bucket(key), s3_user()
    root_s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == key
    with pytest.raises(s3.exceptions.ClientError) as refused:
        s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "ChecksumSHA256" in s3_user("kms:Decrypt").head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")


def test_the_headers_of_a_request_choose_the_key_over_the_bucket_default(
    s3_calls: Any, key: str, make_key: Any, make_bucket: Any, s3_user: Any, root_kms: Any
) -> None:
    other, bucket, s3 = make_key(), make_bucket(key), s3_user("kms:GenerateDataKey")
    root_kms.create_alias(AliasName="alias/header", TargetKeyId=other)
    alias_arn = other.rsplit(":", 1)[0] + ":alias/header"
    s3_calls()
    for reference in (other, other.rsplit("/", 1)[1], "alias/header", alias_arn):
        request = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": reference, "BucketKeyEnabled": False}
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", **request)
        assert put["SSEKMSKeyId"] == other
        assert s3_calls() == [("kms:GenerateDataKey", "allow", {"aws:s3:arn": f"arn:aws:s3:::{bucket}/k"})]


def test_an_explicit_sse_s3_write_asks_no_key(s3_calls: Any, key: str, make_bucket: Any, s3_user: Any) -> None:
    bucket, s3 = make_bucket(key), s3_user()
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    assert put["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert s3_calls() == []


def test_the_callers_own_encryption_context_is_authenticated_too(
    s3_calls: Any, key: str, make_bucket: Any, s3_user: Any
) -> None:
    bucket, s3 = make_bucket(), s3_user("kms:GenerateDataKey", "kms:Decrypt")
    own = "eyJ0ZW5hbnQiOiAiYSJ9"  # {"tenant": "a"}
    s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key, SSEKMSEncryptionContext=own
    )
    s3.get_object(Bucket=bucket, Key="k")
    context = {"tenant": "a", "aws:s3:arn": f"arn:aws:s3:::{bucket}/k"}
    assert [call[2] for call in s3_calls()] == [context, context]
    # S3 adds its own pair to a context that has none.
    whole = {"aws:s3:arn": "another"}
    given = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    encoded = base64.b64encode(json.dumps(whole).encode()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **given, SSEKMSEncryptionContext=encoded)
    assert [call[2] for call in s3_calls()] == [whole]


def test_an_object_under_a_disabled_or_missing_key_is_refused(
    key: str, make_bucket: Any, root_s3: Any, root_kms: Any, code_of: Any
) -> None:
    bucket = make_bucket(key)
    root_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    root_kms.disable_key(KeyId=key)
    assert code_of(root_s3.get_object, Bucket=bucket, Key="k") == "KMS.DisabledException"
    assert code_of(root_s3.put_object, Bucket=bucket, Key="n", Body=b"x") == "KMS.DisabledException"
    missing = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/never-made"}
    assert code_of(root_s3.put_object, Bucket=bucket, Key="n", Body=b"x", **missing) == "KMS.NotFoundException"


def test_without_a_named_key_the_aws_managed_key_serves_everybody_via_s3_only(
    aws: Any, make_bucket: Any, s3_user: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    bucket, s3 = make_bucket(), s3_user()
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert aws.client("kms").describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["Arn"] == put["SSEKMSKeyId"]
    direct = session_of(allow("kms:*", "*")).client("kms")
    assert code_of(direct.generate_data_key, KeyId="alias/aws/s3", KeySpec="AES_256") == "AccessDeniedException"


def test_a_presigned_url_asks_the_key_as_its_signer(
    key: str, make_bucket: Any, s3_user: Any, root_s3: Any, aws: Any
) -> None:
    bucket, trusted = make_bucket(key), ssl.create_default_context(cafile=str(aws.ca_bundle))
    root_s3.put_object(Bucket=bucket, Key="k", Body=b"shared")
    allowed, refused = (
        s3_user(*actions).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
        for actions in (("kms:Decrypt",), ())
    )
    with urllib.request.urlopen(allowed, context=trusted) as answer:
        assert answer.read() == b"shared"
    with pytest.raises(HTTPError, match="403"):
        urllib.request.urlopen(refused, context=trusted)


ONCE = Config(retries={"total_max_attempts": 1})


@pytest.mark.parametrize(("operation", "request_"), [
    ("rename_object", {"RenameSource": "other"}),
    ("get_object_torrent", {}),
    ("put_object", {"Body": b"y", "WriteOffsetBytes": 1}),
])  # fmt: skip
def test_unknown_operation_on_an_object_leaves_it_as_it_was(
    root_s3: Any, aws: Any, make_bucket: Any, code_of: Any, operation: str, request_: Any
) -> None:
    place = {"Bucket": make_bucket(), "Key": "k"}
    root_s3.put_object(**place, Body=b"content")
    call = getattr(aws.client("s3", config=ONCE), operation)
    assert code_of(call, **place, **request_) == "NotImplemented"
    assert root_s3.get_object(**place)["Body"].read() == b"content"


@pytest.mark.parametrize("operation", ["get_bucket_policy_status", "list_bucket_metrics_configurations"])
def test_unknown_operation_on_a_bucket_is_no_list_of_its_objects(
    aws: Any, make_bucket: Any, code_of: Any, operation: str
) -> None:
    assert code_of(getattr(aws.client("s3", config=ONCE), operation), Bucket=make_bucket()) == "NotImplemented"


def test_who_pays_for_requests_is_returned(root_s3: Any, make_bucket: Any) -> None:
    bucket = make_bucket()
    assert root_s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    root_s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert root_s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"


def test_presigned_request_with_an_overridden_header_is_known(root_s3: Any, aws: Any, make_bucket: Any) -> None:
    place = {"Bucket": make_bucket(), "Key": "k"}
    root_s3.put_object(**place, Body=b"content")
    signing = aws.client("s3", config=Config(signature_version="s3v4"))
    url = signing.generate_presigned_url("get_object", {**place, "ResponseContentType": "text/plain"})
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(aws.ca_bundle)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
    assert opener.open(url, timeout=10).read() == b"content"


@pytest.mark.parametrize("name", ["X-Amz-Signature", "response-content-type", "x-id", "x-own", "AWSAccessKeyId"])
def test_parameter_that_names_no_operation_is_known(name: str) -> None:
    assert unknown("GET", "k", {}, [name]) is None


PART = b"p" * (5 * 1024 * 1024)


def test_a_multipart_upload_generates_once_and_decrypts_for_each_part(
    s3_calls: Any, key: str, make_bucket: Any, s3_user: Any
) -> None:
    bucket, s3 = make_bucket(key), s3_user("kms:GenerateDataKey", "kms:Decrypt")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")
    assert (upload["ServerSideEncryption"], upload["SSEKMSKeyId"], upload["BucketKeyEnabled"]) == ("aws:kms", key, True)
    named = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=body, **named)["ETag"]}
        for n, body in ((1, PART), (2, b"end"))
    ]
    assert s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **named)["SSEKMSKeyId"] == key
    actions = [call[0] for call in s3_calls()]
    assert (actions[0], set(actions[1:]), len(actions) >= 3) == ("kms:GenerateDataKey", {"kms:Decrypt"}, True)
    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == PART + b"end"


def test_a_multipart_upload_needs_generate_data_key_to_start_and_decrypt_for_parts(
    key: str, make_bucket: Any, s3_user: Any, code_of: Any
) -> None:
    bucket, starter, opener = make_bucket(key), s3_user("kms:GenerateDataKey"), s3_user("kms:Decrypt")
    assert code_of(opener.create_multipart_upload, Bucket=bucket, Key="m") == "AccessDenied"
    upload = starter.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = {"Bucket": bucket, "Key": "m", "UploadId": upload, "PartNumber": 1, "Body": b"x"}
    assert code_of(starter.upload_part, **part) == "AccessDenied"
    etag = opener.upload_part(**part)["ETag"]
    done = {
        "Bucket": bucket,
        "Key": "m",
        "UploadId": upload,
        "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]},
    }
    assert starter.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    assert code_of(opener.complete_multipart_upload, **done) == "NoSuchUpload"


def test_copy_decrypts_the_source_and_generates_for_the_destination(
    aws: Any,
    s3_calls: Any,
    s3_actions: Any,
    key: str,
    make_key: Any,
    make_bucket: Any,
    root_s3: Any,
    session_of: Any,
    allow: Any,
    code_of: Any,
) -> None:
    other = make_key()
    source, destination = make_bucket(key), make_bucket(other)
    root_s3.put_object(Bucket=source, Key="k", Body=b"copied")
    request = {"Bucket": destination, "Key": "k", "CopySource": {"Bucket": source, "Key": "k"}}
    both = session_of(allow(s3_actions, "*"), allow("kms:Decrypt", key), allow("kms:GenerateDataKey", other)).client(
        "s3"
    )
    s3_calls()
    assert both.copy_object(**request)["SSEKMSKeyId"] == other
    assert s3_calls() == [
        ("kms:Decrypt", "allow", {"aws:s3:arn": f"arn:aws:s3:::{source}"}),
        ("kms:GenerateDataKey", "allow", {"aws:s3:arn": f"arn:aws:s3:::{destination}"}),
    ]
    assert root_s3.get_object(Bucket=destination, Key="k")["Body"].read() == b"copied"
    assert aws.kms_calls()[-1]["keyArn"] == other
    only_source = session_of(allow(s3_actions, "*"), allow("kms:Decrypt", key)).client("s3")
    only_destination = session_of(allow(s3_actions, "*"), allow("kms:GenerateDataKey", other)).client("s3")
    assert {code_of(client.copy_object, **request) for client in (only_source, only_destination)} == {"AccessDenied"}


def test_an_old_version_is_decrypted_with_its_own_data_key(
    s3_actions: Any, key: str, make_key: Any, make_bucket: Any, root_s3: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    bucket, other = make_bucket(key), make_key()
    root_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = root_s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    root_s3.put_object(Bucket=bucket, Key="k", Body=b"new", ServerSideEncryption="aws:kms", SSEKMSKeyId=other)
    s3 = session_of(allow(s3_actions, "*"), allow("kms:Decrypt", key)).client("s3")
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=old)["Body"].read() == b"old"
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == "AccessDenied"


@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_missing_object_is_told_to_a_caller_with_list_bucket_only(
    session_of: Any, allow: Any, make_bucket: Any, code_of: Any, operation: str
) -> None:
    bucket = make_bucket()
    codes = []
    for actions in (["s3:GetObject"], ["s3:GetObject", "s3:ListBucket"]):
        s3 = session_of(allow(actions, "*")).client("s3")
        codes.append(code_of(getattr(s3, operation), Bucket=bucket, Key="missing"))
    assert codes == (["AccessDenied", "NoSuchKey"] if operation == "get_object" else ["403", "404"])


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


@pytest.mark.parametrize(("action", "option"), [
    ("s3:PutObjectTagging", {"Tagging": "a=b"}), ("s3:PutObjectAcl", {"ACL": "bucket-owner-full-control"}),
    ("s3:PutObjectLegalHold", {"ObjectLockLegalHoldStatus": "ON"}),
])  # fmt: skip
def test_what_an_upload_sets_besides_needs_its_own_permission(
    root_s3: Any, session_of: Any, allow: Any, refusal: Any, action: str, option: dict[str, str]
) -> None:
    bucket = f"locked-{uuid.uuid4().hex[:8]}"
    root_s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    both = ("s3:PutObject", ["s3:PutObject", action])
    without, with_it = (session_of(allow(given, "*")).client("s3") for given in both)
    code, message = refusal(without.put_object, Bucket=bucket, Key="k", Body=b"", **option)
    assert (code, action in message) == ("AccessDenied", True)
    assert with_it.put_object(Bucket=bucket, Key="k", Body=b"", **option)["ETag"]
    suspended = {"VersioningConfiguration": {"Status": "Suspended"}}
    assert refusal(root_s3.put_bucket_versioning, Bucket=bucket, **suspended)[0] == "InvalidBucketState"


@pytest.mark.parametrize("changed", [
    {"Principal": {"AWS": "arn:aws:iam::000000000000:user/never-made"}}, {"Action": "kms:Decrypt"},
    {"Resource": "arn:aws:s3:::another/*"}, {"Condition": {"Foo": {"a": "b"}}}, {"Effect": "deny"},
])  # fmt: skip
def test_bucket_policy_that_s3_does_not_store_is_refused(
    root_s3: Any, make_bucket: Any, make_key: Any, code_of: Any, changed: dict[str, Any]
) -> None:
    bucket = make_bucket(make_key())
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    for statements, refused in ([statement], None), ([statement | changed], "MalformedPolicy"):
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        if refused is None:
            root_s3.put_bucket_policy(Bucket=bucket, Policy=document)
        else:
            assert code_of(root_s3.put_bucket_policy, Bucket=bucket, Policy=document) == refused


@pytest.mark.parametrize("option", [
    {"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": "e30x"},
])  # fmt: skip
def test_encryption_headers_that_do_not_fit_are_an_invalid_argument(
    root_s3: Any, make_bucket: Any, key: str, code_of: Any, option: dict[str, str]
) -> None:
    request = {"Bucket": make_bucket(key), "Key": "k", "Body": b"", "SSEKMSKeyId": key}
    assert code_of(root_s3.put_object, **request, **option) == "InvalidArgument"


def test_key_has_at_most_1024_bytes(root_s3: Any, make_bucket: Any, code_of: Any) -> None:
    """AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""
    bucket, most = make_bucket(), "é" * 512
    root_s3.put_object(Bucket=bucket, Key=most, Body=b"x")
    longer = {"Bucket": bucket, "Key": f"{most}a"}
    copied = {**longer, "CopySource": {"Bucket": bucket, "Key": most}}
    for call, request in (
        (root_s3.put_object, longer), (root_s3.create_multipart_upload, longer), (root_s3.get_object, longer),
        (root_s3.copy_object, copied),
    ):  # fmt: skip
        assert code_of(call, **request) == "KeyTooLongError"


# AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
_CUSTOMER_KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}


def test_every_write_says_how_it_is_encrypted_and_no_other_etag_than_of_sse_s3_is_a_digest(
    root_s3: Any, key: str, make_bucket: Any
) -> None:
    bucket, digest = make_bucket(customer_keys=True), f'"{hashlib.md5(b"x", usedforsecurity=False).hexdigest()}"'
    plain = root_s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert (plain["ServerSideEncryption"], plain["ETag"]) == ("AES256", digest)
    assert root_s3.head_object(Bucket=bucket, Key="plain")["ServerSideEncryption"] == "AES256"
    for given in ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}, _CUSTOMER_KEY):
        put = root_s3.put_object(Bucket=bucket, Key="k", Body=b"x", **given)
        read = {} if "SSEKMSKeyId" in given else _CUSTOMER_KEY
        assert put["ETag"] == root_s3.get_object(Bucket=bucket, Key="k", **read)["ETag"] != digest


@pytest.mark.parametrize(("change", "code"), [
    ({"SSECustomerAlgorithm": "aws:kms"}, "InvalidEncryptionAlgorithmError"),
    ({"SSECustomerKey": "short"}, "InvalidArgument"),
    ({"ServerSideEncryption": "AES256"}, "InvalidArgument"),
])  # fmt: skip
def test_malformed_customer_key_is_refused_with_the_argument(
    root_s3: Any, make_bucket: Any, change: dict[str, str], code: str
) -> None:
    with pytest.raises(root_s3.exceptions.ClientError) as refused:
        root_s3.put_object(Bucket=make_bucket(customer_keys=True), Key="k", Body=b"x", **_CUSTOMER_KEY | change)
    error = refused.value.response["Error"]
    assert (error["Code"], error["ArgumentName"]) == (code, "x-amz-server-side-encryption")


def test_upload_under_a_customer_key_is_completed_without_it_and_described_with_it(
    root_s3: Any, make_bucket: Any, code_of: Any
) -> None:
    where: dict[str, Any] = {"Bucket": make_bucket(customer_keys=True), "Key": "k"}
    where["UploadId"] = root_s3.create_multipart_upload(**where, **_CUSTOMER_KEY)["UploadId"]
    assert code_of(root_s3.upload_part, PartNumber=1, Body=b"x", **where) == "InvalidRequest"
    part = root_s3.upload_part(PartNumber=1, Body=b"x", **where, **_CUSTOMER_KEY)
    root_s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    del where["UploadId"]
    described = {**where, "ObjectAttributes": ["ObjectSize"]}
    assert code_of(root_s3.get_object_attributes, **described) == "InvalidRequest"
    # botocore encodes the key for other operations only.
    key, digest = b"k" * 32, hashlib.md5(b"k" * 32, usedforsecurity=False).digest()
    encoded = {"SSECustomerKey": base64.b64encode(key).decode(), "SSECustomerKeyMD5": base64.b64encode(digest).decode()}
    assert root_s3.get_object_attributes(**described, **_CUSTOMER_KEY | encoded)["ObjectSize"] == 1


def test_checksum_among_the_attributes_needs_decrypt(
    key: str, make_bucket: Any, session_of: Any, allow: Any, root_s3: Any
) -> None:
    bucket = make_bucket(key)
    root_s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    asked = {"Bucket": bucket, "Key": "k", "ObjectAttributes": ["Checksum"]}
    with pytest.raises(root_s3.exceptions.ClientError, match="kms:Decrypt"):
        session_of(allow("s3:*", "*")).client("s3").get_object_attributes(**asked)
    allowed = session_of(allow("s3:*", "*"), allow("kms:Decrypt", key)).client("s3")
    assert allowed.get_object_attributes(**asked)["Checksum"]["ChecksumSHA256"]


@pytest.mark.parametrize(("rules", "code"), [
    ([], "MalformedXML"),
    ([{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}] * 2, "MalformedXML"),
    ([{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}}], "InvalidArgument"),
])  # fmt: skip
def test_default_encryption_that_s3_does_not_store(
    root_s3: Any, make_bucket: Any, code_of: Any, rules: list[Any], code: str
) -> None:
    given = {"ServerSideEncryptionConfiguration": {"Rules": rules}}
    assert code_of(root_s3.put_bucket_encryption, Bucket=make_bucket(), **given) == code


def test_stack_fails_with_a_default_encryption_that_s3_does_not_store(aws: Any) -> None:
    rule = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}}
    encryption = {"BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}}
    refused = deployed(aws.session(), {"B": {"Type": "AWS::S3::Bucket", "Properties": encryption}})
    assert "KMSMasterKeyID is not applicable" in refused


MANY = {"Objects": [{"Key": str(number)} for number in range(1001)]}
UNTIL = {"ObjectLockRetainUntilDate": "2020-01-01T00:00:00Z"}


def test_what_s3_refuses_for_its_content(root_s3: Any, make_bucket: Any, code_of: Any) -> None:
    where = {"Bucket": make_bucket()}
    named = {**where, "Key": "k", "UploadId": root_s3.create_multipart_upload(**where, Key="k")["UploadId"]}
    tags = [root_s3.upload_part(PartNumber=number, Body=b"x", **named)["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    for code, call, request in (
        ("MetadataTooLarge", "put_object", {"Key": "k", "Metadata": {"a": "x" * 2048}}),
        ("InvalidRequest", "copy_object", {"Key": "k", "CopySource": {**where, "Key": "k"}}),
        ("InvalidTag", "put_object", {"Key": "k", "Tagging": "aws:x=y"}),
        ("InvalidArgument", "put_object", {"Key": "k", "ObjectLockMode": "GOVERNANCE", **UNTIL}),
        ("MalformedXML", "delete_objects", {"Delete": MANY}),
        ("MalformedPolicy", "put_bucket_policy", {"Policy": " " * 20481}),
        ("EntityTooSmall", "complete_multipart_upload", named | {"MultipartUpload": {"Parts": parts}}),
        ("InvalidPartOrder", "complete_multipart_upload", named | {"MultipartUpload": {"Parts": parts[::-1]}}),
    ):  # fmt: skip
        assert code_of(getattr(root_s3, call), **where | request) == code
