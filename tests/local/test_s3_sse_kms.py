"""SSE-KMS: S3 asks KMS as the caller, via S3, on every write and read, and refuses with KMS's reason.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

import ssl
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest

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
