"""S3 with a customer managed key: upload is GenerateDataKey, download is Decrypt, Encrypt is never used."""

import hashlib
import os
from typing import Any

from demo.principals import administrator, client, other_role
from demo.scenario import Group, Stage

OBJECT = "report.bin"

upload = Group("S3 documents: each role its own direction", order=10)
denied = Group("S3 documents: what happens without each permission", order=20)


def _bucket(stage: Stage) -> str:
    return stage.output("S3", "BucketName")


def _upload(stage: Stage, s3: Any, key: str) -> str:
    s3.upload_file(str(stage.file), _bucket(stage), key)
    head = stage.aws.session().client("s3").head_object(Bucket=_bucket(stage), Key=key)
    in_parts = "in parts" if "-" in head["ETag"] else "in one request"
    right_key = "this key" if head.get("SSEKMSKeyId") == stage.output("S3", "KeyArn") else "another key"
    bucket_key = "with" if head.get("BucketKeyEnabled") else "without"
    whole = "whole" if head["ContentLength"] == stage.file.stat().st_size else "damaged"
    return f"stored {whole} {in_parts}, {head.get('ServerSideEncryption')} under {right_key} {bucket_key} a Bucket Key"


STORED = "stored whole in parts, aws:kms under this key with a Bucket Key"


def download_digest(s3: Any, bucket: str, key: str) -> str:
    """Return the SHA-256 of an object, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    for piece in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def compare_with_file(stage: Stage, digest: str) -> str:
    """Say whether ``digest`` is that of the input file."""
    if "digest" not in stage.notes:
        with stage.file.open("rb") as file:
            stage.notes["digest"] = hashlib.file_digest(file, "sha256").hexdigest()
    return "byte-identical" if digest == stage.notes["digest"] else "different bytes"


@upload.scenario(who="uploader", what="uploads the file in parts", expected=STORED)
def uploader_uploads(stage: Stage) -> str:
    return _upload(stage, client(stage, "s3", "S3", "UploaderRoleArn"), OBJECT)


@upload.scenario(who="uploader", what="downloads it", expected="refused: AccessDenied (s3:GetObject)")
def uploader_may_not_download(stage: Stage) -> str:
    client(stage, "s3", "S3", "UploaderRoleArn").get_object(Bucket=_bucket(stage), Key=OBJECT)
    return "downloaded"


@upload.scenario(who="downloader", what="downloads it", expected="byte-identical")
def downloader_downloads(stage: Stage) -> str:
    digest = download_digest(client(stage, "s3", "S3", "DownloaderRoleArn"), _bucket(stage), OBJECT)
    return compare_with_file(stage, digest)


@upload.scenario(who="downloader", what="uploads", expected="refused: AccessDenied (s3:PutObject)")
def downloader_may_not_upload(stage: Stage) -> str:
    client(stage, "s3", "S3", "DownloaderRoleArn").put_object(Bucket=_bucket(stage), Key="x", Body=b"x")
    return "uploaded"


@upload.scenario(who="read-write role", what="uploads the file in parts", expected=STORED)
def read_write_role_uploads(stage: Stage) -> str:
    return _upload(stage, client(stage, "s3", "S3", "ReadWriteRoleArn"), "read-write.bin")


@upload.scenario(who="read-write role", what="downloads it", expected="byte-identical")
def read_write_role_downloads(stage: Stage) -> str:
    digest = download_digest(client(stage, "s3", "S3", "ReadWriteRoleArn"), _bucket(stage), "read-write.bin")
    return compare_with_file(stage, digest)


@denied.scenario(who="role with s3:GetObject only", what="downloads", expected="refused: AccessDenied (kms:Decrypt)")
def reader_without_decrypt(stage: Stage) -> str:
    allow = [("s3:GetObject", f"arn:aws:s3:::{_bucket(stage)}/*")]
    other_role(stage, "s3", "kms-patterns-demo-reader", allow).get_object(Bucket=_bucket(stage), Key=OBJECT)
    return "downloaded"


@denied.scenario(
    who="role with s3:PutObject only", what="uploads", expected="refused: AccessDenied (kms:GenerateDataKey)"
)
def writer_without_generate_data_key(stage: Stage) -> str:
    allow = [("s3:PutObject", f"arn:aws:s3:::{_bucket(stage)}/*")]
    other_role(stage, "s3", "kms-patterns-demo-writer", allow).put_object(Bucket=_bucket(stage), Key="x", Body=b"x")
    return "uploaded"


@denied.scenario(
    who="role with s3:GetObject and kms:Decrypt in IAM, not named by the key",
    what="downloads",
    expected="refused: AccessDenied (kms:Decrypt)",
)
def reader_not_named_by_the_key(stage: Stage) -> str:
    allow = [("s3:GetObject", f"arn:aws:s3:::{_bucket(stage)}/*"), ("kms:Decrypt", stage.output("S3", "KeyArn"))]
    other_role(stage, "s3", "kms-patterns-demo-unnamed", allow).get_object(Bucket=_bucket(stage), Key=OBJECT)
    return "downloaded"


@denied.scenario(
    who="uploader",
    what="calls GenerateDataKey itself, not through S3",
    expected="refused: AccessDeniedException (kms:GenerateDataKey)",
)
def uploader_may_not_call_kms(stage: Stage) -> str:
    context = {"aws:s3:arn": f"arn:aws:s3:::{_bucket(stage)}"}
    kms = client(stage, "kms", "S3", "UploaderRoleArn")
    kms.generate_data_key(KeyId=stage.output("S3", "KeyArn"), KeySpec="AES_256", EncryptionContext=context)
    return "got a data key"


@denied.scenario(
    who="downloader",
    what="calls Encrypt, which S3 never uses",
    expected="refused: AccessDeniedException (kms:Encrypt)",
)
def downloader_may_not_encrypt(stage: Stage) -> str:
    client(stage, "kms", "S3", "DownloaderRoleArn").encrypt(KeyId=stage.output("S3", "KeyArn"), Plaintext=b"x")
    return "encrypted"


@denied.scenario(who="uploader", what="calls DescribeKey", expected="refused: AccessDeniedException (kms:DescribeKey)")
def uploader_may_not_describe_the_key(stage: Stage) -> str:
    client(stage, "kms", "S3", "UploaderRoleArn").describe_key(KeyId=stage.output("S3", "KeyArn"))
    return "described"


@denied.scenario(who="uploader", what="uploads with SSE-S3 instead", expected="refused: AccessDenied (s3:PutObject)")
def uploader_may_not_avoid_the_key(stage: Stage) -> str:
    s3 = client(stage, "s3", "S3", "UploaderRoleArn")
    s3.put_object(Bucket=_bucket(stage), Key="x", Body=b"x", ServerSideEncryption="AES256")
    return "uploaded"


@denied.scenario(who="uploader", what="uploads under another key", expected="refused: AccessDenied (s3:PutObject)")
def uploader_may_not_choose_the_key(stage: Stage) -> str:
    s3 = client(stage, "s3", "S3", "UploaderRoleArn")
    other = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": stage.output("Secrets", "KeyArn")}
    s3.put_object(Bucket=_bucket(stage), Key="x", Body=b"x", **other)
    return "uploaded"


@denied.scenario(
    who="uploader", what="asks for aws:kms and names no key", expected="refused: AccessDenied (s3:PutObject)"
)
def uploader_may_not_fall_to_the_aws_managed_key(stage: Stage) -> str:
    s3 = client(stage, "s3", "S3", "UploaderRoleArn")
    s3.put_object(Bucket=_bucket(stage), Key="x", Body=b"x", ServerSideEncryption="aws:kms")
    return "uploaded"


@denied.scenario(
    who="uploader", what="uploads under a key of its own (SSE-C)", expected="refused: AccessDenied (s3:PutObject)"
)
def uploader_may_not_bring_a_key(stage: Stage) -> str:
    s3 = client(stage, "s3", "S3", "UploaderRoleArn")
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    s3.put_object(Bucket=_bucket(stage), Key="x", Body=b"x", **own)
    return "uploaded"


@denied.scenario(who="administrator with *:*", what="downloads", expected="refused: AccessDenied (kms:Decrypt)")
def administrator_may_not_download(stage: Stage) -> str:
    administrator(stage, "s3").get_object(Bucket=_bucket(stage), Key=OBJECT)
    return "downloaded"


@denied.scenario(
    who="administrator with *:*",
    what="makes SSE-S3 the bucket's default encryption",
    expected="refused: AccessDenied (s3:PutEncryptionConfiguration)",
)
def administrator_may_not_change_the_default_encryption(stage: Stage) -> str:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    administrator(stage, "s3").put_bucket_encryption(
        Bucket=_bucket(stage), ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    return "changed"


@denied.scenario(
    who="administrator with *:*",
    what="deletes the bucket policy",
    expected="refused: AccessDenied (s3:DeleteBucketPolicy)",
)
def administrator_may_not_delete_the_bucket_policy(stage: Stage) -> str:
    administrator(stage, "s3").delete_bucket_policy(Bucket=_bucket(stage))
    return "deleted"


@denied.scenario(
    who="administrator with *:*",
    what="calls GenerateDataKey",
    expected="refused: AccessDeniedException (kms:GenerateDataKey)",
)
def administrator_may_not_use_the_key(stage: Stage) -> str:
    administrator(stage, "kms").generate_data_key(KeyId=stage.output("S3", "KeyArn"), KeySpec="AES_256")
    return "got a data key"


@denied.scenario(who="administrator with *:*", what="disables and enables the key", expected="Disabled, Enabled")
def administrator_manages_the_key(stage: Stage) -> str:
    kms, key = administrator(stage, "kms"), stage.output("S3", "KeyArn")
    kms.disable_key(KeyId=key)
    disabled = kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    kms.enable_key(KeyId=key)
    return f"{disabled}, {kms.describe_key(KeyId=key)['KeyMetadata']['KeyState']}"
