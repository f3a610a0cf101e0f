"""SSE-KMS: S3 asks KMS as the caller, via S3, on every write and read, and refuses with KMS's reason.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

from typing import Any

import pytest

VIA_S3 = "s3.us-east-1.amazonaws.com"
S3_ALL = ["s3:PutObject", "s3:GetObject", "s3:GetObjectVersion", "s3:AbortMultipartUpload", "s3:ListBucket"]
PART = b"p" * (5 * 1024 * 1024)


@pytest.fixture
def key(make_key: Any) -> str:
    return make_key()


@pytest.fixture
def user(session_of: Any, allow: Any) -> Any:
    """Return a function that makes an S3 client of a role with all S3 actions and some KMS actions."""

    def make(*kms_actions: str, key: str = "*", **conditions: Any) -> Any:
        kms = [allow(list(kms_actions), key, **conditions)] if kms_actions else []
        return session_of(allow(S3_ALL, "*"), *kms).client("s3")

    return make


def _calls(aws: Any, before: int) -> list[tuple[str, str, Any]]:
    return [(call["action"], call["decision"], call["encryptionContext"]) for call in aws.kms_calls()[before:]]


@pytest.mark.parametrize("bucket_key", [True, False])
def test_put_generates_a_data_key_and_get_decrypts_it_as_the_caller_via_s3(
    aws: Any, key: str, make_bucket: Any, user: Any, bucket_key: bool
) -> None:
    bucket, s3, before = make_bucket(key, bucket_key=bucket_key), user("kms:GenerateDataKey", "kms:Decrypt"), len(aws.kms_calls())
    put = s3.put_object(Bucket=bucket, Key="a/b", Body=b"hello")
    got = s3.get_object(Bucket=bucket, Key="a/b")
    for answer in (put, got):
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", key)
        assert answer.get("BucketKeyEnabled", False) is bucket_key
    assert got["Body"].read() == b"hello"
    context = {"aws:s3:arn": f"arn:aws:s3:::{bucket}" + ("" if bucket_key else "/a/b")}
    assert _calls(aws, before) == [("kms:GenerateDataKey", "allow", context), ("kms:Decrypt", "allow", context)]
    assert {(call["keyArn"], call["viaService"]) for call in aws.kms_calls()[before:]} == {(key, VIA_S3)}
    assert all(":assumed-role/" in call["principal"] for call in aws.kms_calls()[before:])


def test_the_wrapped_data_key_is_not_in_any_response(key: str, make_bucket: Any, user: Any) -> None:
    bucket, s3 = make_bucket(key), user("kms:GenerateDataKey", "kms:Decrypt")
    answers = [
        s3.put_object(Bucket=bucket, Key="k", Body=b"x"), s3.get_object(Bucket=bucket, Key="k"),
        s3.head_object(Bucket=bucket, Key="k"), s3.create_multipart_upload(Bucket=bucket, Key="m"),
    ]  # fmt: skip
    assert not any("kms-patterns" in name for answer in answers for name in answer["ResponseMetadata"]["HTTPHeaders"])


def test_put_without_generate_data_key_is_refused_naming_the_action_and_the_key(
    key: str, make_bucket: Any, user: Any, refusal: Any, root_s3: Any
) -> None:
    bucket, s3 = make_bucket(key), user("kms:Decrypt")
    code, message = refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x")
    assert code == "AccessDenied"
    assert f"is not authorized to perform: kms:GenerateDataKey on resource: {key}" in message
    assert "Contents" not in root_s3.list_objects_v2(Bucket=bucket)


def test_get_without_decrypt_is_refused_naming_the_action_and_the_key(
    key: str, make_bucket: Any, user: Any, refusal: Any
) -> None:
    bucket, s3 = make_bucket(key), user("kms:GenerateDataKey")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    code, message = refusal(s3.get_object, Bucket=bucket, Key="k")
    assert code == "AccessDenied"
    assert f"is not authorized to perform: kms:Decrypt on resource: {key}" in message
    assert refusal(s3.get_object, Bucket=bucket, Key="k", Range="bytes=0-0")[0] == "AccessDenied"


def test_the_permission_may_be_limited_to_use_via_s3(
    aws: Any, key: str, make_bucket: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    bucket = make_bucket(key)
    via_s3 = {"kms:ViaService": VIA_S3, "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}"}
    session = session_of(allow(S3_ALL, "*"), allow(["kms:GenerateDataKey"], key, StringEquals=via_s3))
    assert session.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")["SSEKMSKeyId"] == key
    direct = {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": {"aws:s3:arn": f"arn:aws:s3:::{bucket}"}}
    assert code_of(session.client("kms").generate_data_key, **direct) == "AccessDeniedException"
    assert code_of(session.client("s3").put_object, Bucket=make_bucket(key), Key="k", Body=b"x") == "AccessDenied"


def test_head_needs_decrypt_only_for_the_checksum(key: str, make_bucket: Any, user: Any, root_s3: Any) -> None:
    bucket, s3 = make_bucket(key), user()
    root_s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == key
    with pytest.raises(s3.exceptions.ClientError) as refused:
        s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "ChecksumSHA256" in user("kms:Decrypt").head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")


def test_the_headers_of_a_request_choose_the_key_over_the_bucket_default(
    aws: Any, key: str, make_key: Any, make_bucket: Any, user: Any, root_kms: Any
) -> None:
    other, bucket, s3 = make_key(), make_bucket(key), user("kms:GenerateDataKey")
    root_kms.create_alias(AliasName="alias/header", TargetKeyId=other)
    alias_arn = other.rsplit(":", 1)[0] + ":alias/header"
    for reference in (other, other.rsplit("/", 1)[1], "alias/header", alias_arn):
        request = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": reference, "BucketKeyEnabled": False}
        before, put = len(aws.kms_calls()), s3.put_object(Bucket=bucket, Key="k", Body=b"x", **request)
        assert put["SSEKMSKeyId"] == other
        assert _calls(aws, before) == [("kms:GenerateDataKey", "allow", {"aws:s3:arn": f"arn:aws:s3:::{bucket}/k"})]


def test_an_explicit_sse_s3_write_asks_no_key(aws: Any, key: str, make_bucket: Any, user: Any) -> None:
    bucket, s3, before = make_bucket(key), user(), len(aws.kms_calls())
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert aws.kms_calls()[before:] == []


def test_the_callers_own_encryption_context_is_authenticated_too(
    aws: Any, key: str, make_bucket: Any, user: Any
) -> None:
    bucket, s3, before = make_bucket(), user("kms:GenerateDataKey", "kms:Decrypt"), len(aws.kms_calls())
    own = "eyJ0ZW5hbnQiOiAiYSJ9"  # {"tenant": "a"}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key, SSEKMSEncryptionContext=own)
    s3.get_object(Bucket=bucket, Key="k")
    context = {"tenant": "a", "aws:s3:arn": f"arn:aws:s3:::{bucket}/k"}
    assert [call[2] for call in _calls(aws, before)] == [context, context]


def test_a_multipart_upload_generates_once_and_decrypts_for_each_part(
    aws: Any, key: str, make_bucket: Any, user: Any
) -> None:
    bucket, s3, before = make_bucket(key), user("kms:GenerateDataKey", "kms:Decrypt"), len(aws.kms_calls())
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")
    assert (upload["ServerSideEncryption"], upload["SSEKMSKeyId"], upload["BucketKeyEnabled"]) == ("aws:kms", key, True)
    named = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=body, **named)["ETag"]}
        for n, body in ((1, PART), (2, b"end"))
    ]
    assert s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **named)["SSEKMSKeyId"] == key
    actions = [call[0] for call in _calls(aws, before)]
    assert (actions[0], set(actions[1:]), len(actions) >= 3) == ("kms:GenerateDataKey", {"kms:Decrypt"}, True)
    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == PART + b"end"


def test_a_multipart_upload_needs_generate_data_key_to_start_and_decrypt_for_parts(
    key: str, make_bucket: Any, user: Any, code_of: Any
) -> None:
    bucket, starter, opener = make_bucket(key), user("kms:GenerateDataKey"), user("kms:Decrypt")
    assert code_of(opener.create_multipart_upload, Bucket=bucket, Key="m") == "AccessDenied"
    upload = starter.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = {"Bucket": bucket, "Key": "m", "UploadId": upload, "PartNumber": 1, "Body": b"x"}
    assert code_of(starter.upload_part, **part) == "AccessDenied"
    etag = opener.upload_part(**part)["ETag"]
    done = {"Bucket": bucket, "Key": "m", "UploadId": upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    assert starter.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    assert code_of(opener.complete_multipart_upload, **done) == "NoSuchUpload"


def test_copy_decrypts_the_source_and_generates_for_the_destination(
    aws: Any, key: str, make_key: Any, make_bucket: Any, root_s3: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    other = make_key()
    source, destination = make_bucket(key), make_bucket(other)
    root_s3.put_object(Bucket=source, Key="k", Body=b"copied")
    request = {"Bucket": destination, "Key": "k", "CopySource": {"Bucket": source, "Key": "k"}}
    both = session_of(allow(S3_ALL, "*"), allow("kms:Decrypt", key), allow("kms:GenerateDataKey", other)).client("s3")
    before = len(aws.kms_calls())
    assert both.copy_object(**request)["SSEKMSKeyId"] == other
    assert _calls(aws, before) == [
        ("kms:Decrypt", "allow", {"aws:s3:arn": f"arn:aws:s3:::{source}"}),
        ("kms:GenerateDataKey", "allow", {"aws:s3:arn": f"arn:aws:s3:::{destination}"}),
    ]
    assert root_s3.get_object(Bucket=destination, Key="k")["Body"].read() == b"copied"
    assert aws.kms_calls()[-1]["keyArn"] == other
    only_source = session_of(allow(S3_ALL, "*"), allow("kms:Decrypt", key)).client("s3")
    only_destination = session_of(allow(S3_ALL, "*"), allow("kms:GenerateDataKey", other)).client("s3")
    assert {code_of(client.copy_object, **request) for client in (only_source, only_destination)} == {"AccessDenied"}


def test_an_old_version_is_decrypted_with_its_own_data_key(
    aws: Any, key: str, make_key: Any, make_bucket: Any, root_s3: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    bucket, other = make_bucket(key), make_key()
    root_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = root_s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    root_s3.put_object(Bucket=bucket, Key="k", Body=b"new", ServerSideEncryption="aws:kms", SSEKMSKeyId=other)
    s3 = session_of(allow(S3_ALL, "*"), allow("kms:Decrypt", key)).client("s3")
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=old)["Body"].read() == b"old"
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == "AccessDenied"


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
    aws: Any, make_bucket: Any, user: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    bucket, s3 = make_bucket(), user()
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert aws.client("kms").describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["Arn"] == put["SSEKMSKeyId"]
    direct = session_of(allow("kms:*", "*")).client("kms")
    assert code_of(direct.generate_data_key, KeyId="alias/aws/s3", KeySpec="AES_256") == "AccessDeniedException"


def test_a_presigned_url_asks_the_key_as_its_signer(key: str, make_bucket: Any, user: Any, root_s3: Any, aws: Any) -> None:
    import ssl
    import urllib.request
    from urllib.error import HTTPError

    bucket, trusted = make_bucket(key), ssl.create_default_context(cafile=str(aws.ca_bundle))
    root_s3.put_object(Bucket=bucket, Key="k", Body=b"shared")
    for actions, status in ((("kms:Decrypt",), 200), ((), 403)):
        url = user(*actions).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
        try:
            with urllib.request.urlopen(url, context=trusted) as answer:
                assert (answer.status, answer.read()) == (status, b"shared")
        except HTTPError as refused:
            assert refused.code == status
