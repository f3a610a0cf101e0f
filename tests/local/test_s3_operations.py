"""S3 operations: unknown ones are refused; multipart uploads, copies and versions ask KMS for what S3 needs.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
"""

import ssl
import urllib.request
from typing import Any

import pytest
from botocore.config import Config

from kms_patterns.local.server.s3.s3_operations import unknown

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.mark.parametrize(("operation", "request_"), [
    ("update_object_encryption", {"ObjectEncryption": {"SSEKMS": {"KMSKeyArn": "arn:aws:kms:us-east-1:1:key/x"}}}),
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
