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
    with stage.file.open("rb") as file:
        own = stage.once("digest", lambda: hashlib.file_digest(file, "sha256").hexdigest())
    return "byte-identical" if digest == own else "different bytes"


@upload.scenario("uploader", "uploads the file in parts", STORED)
def uploader_uploads(stage: Stage) -> str:
    return _upload(stage, client(stage, "s3", "S3", "UploaderRoleArn"), OBJECT)


@upload.refused("uploader", "downloads it", "AccessDenied (s3:GetObject)")
def uploader_may_not_download(stage: Stage) -> None:
    client(stage, "s3", "S3", "UploaderRoleArn").get_object(Bucket=_bucket(stage), Key=OBJECT)


@upload.scenario("downloader", "downloads it", "byte-identical")
def downloader_downloads(stage: Stage) -> str:
    digest = download_digest(client(stage, "s3", "S3", "DownloaderRoleArn"), _bucket(stage), OBJECT)
    return compare_with_file(stage, digest)


@upload.refused("downloader", "uploads", "AccessDenied (s3:PutObject)")
def downloader_may_not_upload(stage: Stage) -> None:
    client(stage, "s3", "S3", "DownloaderRoleArn").put_object(Bucket=_bucket(stage), Key="x", Body=b"x")


@upload.scenario("read-write role", "uploads the file in parts", STORED)
def read_write_role_uploads(stage: Stage) -> str:
    return _upload(stage, client(stage, "s3", "S3", "ReadWriteRoleArn"), "read-write.bin")


@upload.scenario("read-write role", "downloads it", "byte-identical")
def read_write_role_downloads(stage: Stage) -> str:
    digest = download_digest(client(stage, "s3", "S3", "ReadWriteRoleArn"), _bucket(stage), "read-write.bin")
    return compare_with_file(stage, digest)


@denied.refused("role with s3:GetObject only", "downloads", "AccessDenied (kms:Decrypt)")
def reader_without_decrypt(stage: Stage) -> None:
    allow = [("s3:GetObject", f"arn:aws:s3:::{_bucket(stage)}/*")]
    other_role(stage, "s3", "kms-patterns-demo-reader", allow).get_object(Bucket=_bucket(stage), Key=OBJECT)


@denied.refused("role with s3:PutObject only", "uploads", "AccessDenied (kms:GenerateDataKey)")
def writer_without_generate_data_key(stage: Stage) -> None:
    allow = [("s3:PutObject", f"arn:aws:s3:::{_bucket(stage)}/*")]
    other_role(stage, "s3", "kms-patterns-demo-writer", allow).put_object(Bucket=_bucket(stage), Key="x", Body=b"x")


@denied.refused(
    "role with s3:GetObject and kms:Decrypt in IAM, not named by the key", "downloads", "AccessDenied (kms:Decrypt)"
)
def reader_not_named_by_the_key(stage: Stage) -> None:
    allow = [("s3:GetObject", f"arn:aws:s3:::{_bucket(stage)}/*"), ("kms:Decrypt", stage.output("S3", "KeyArn"))]
    other_role(stage, "s3", "kms-patterns-demo-unnamed", allow).get_object(Bucket=_bucket(stage), Key=OBJECT)


@denied.refused(
    "uploader", "calls GenerateDataKey itself, not through S3", "AccessDeniedException (kms:GenerateDataKey)"
)
def uploader_may_not_call_kms(stage: Stage) -> None:
    context = {"aws:s3:arn": f"arn:aws:s3:::{_bucket(stage)}"}
    kms = client(stage, "kms", "S3", "UploaderRoleArn")
    kms.generate_data_key(KeyId=stage.output("S3", "KeyArn"), KeySpec="AES_256", EncryptionContext=context)


@denied.refused("downloader", "calls Encrypt, which S3 never uses", "AccessDeniedException (kms:Encrypt)")
def downloader_may_not_encrypt(stage: Stage) -> None:
    client(stage, "kms", "S3", "DownloaderRoleArn").encrypt(KeyId=stage.output("S3", "KeyArn"), Plaintext=b"x")


@denied.refused("uploader", "calls DescribeKey", "AccessDeniedException (kms:DescribeKey)")
def uploader_may_not_describe_the_key(stage: Stage) -> None:
    client(stage, "kms", "S3", "UploaderRoleArn").describe_key(KeyId=stage.output("S3", "KeyArn"))


@denied.refused("uploader", "uploads with SSE-S3 instead", "AccessDenied (s3:PutObject)")
def uploader_may_not_avoid_the_key(stage: Stage) -> None:
    s3 = client(stage, "s3", "S3", "UploaderRoleArn")
    s3.put_object(Bucket=_bucket(stage), Key="x", Body=b"x", ServerSideEncryption="AES256")


@denied.refused("uploader", "uploads under another key", "AccessDenied (s3:PutObject)")
def uploader_may_not_choose_the_key(stage: Stage) -> None:
    s3 = client(stage, "s3", "S3", "UploaderRoleArn")
    other = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": stage.output("Secrets", "KeyArn")}
    s3.put_object(Bucket=_bucket(stage), Key="x", Body=b"x", **other)


@denied.refused("uploader", "asks for aws:kms and names no key", "AccessDenied (s3:PutObject)")
def uploader_may_not_fall_to_the_aws_managed_key(stage: Stage) -> None:
    s3 = client(stage, "s3", "S3", "UploaderRoleArn")
    s3.put_object(Bucket=_bucket(stage), Key="x", Body=b"x", ServerSideEncryption="aws:kms")


@denied.refused("uploader", "uploads under a key of its own (SSE-C)", "AccessDenied (s3:PutObject)")
def uploader_may_not_bring_a_key(stage: Stage) -> None:
    s3 = client(stage, "s3", "S3", "UploaderRoleArn")
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    s3.put_object(Bucket=_bucket(stage), Key="x", Body=b"x", **own)


@denied.refused("administrator with *:*", "downloads", "AccessDenied (kms:Decrypt)")
def administrator_may_not_download(stage: Stage) -> None:
    administrator(stage, "s3").get_object(Bucket=_bucket(stage), Key=OBJECT)


@denied.refused(
    "administrator with *:*",
    "makes SSE-S3 the bucket's default encryption",
    "AccessDenied (s3:PutEncryptionConfiguration)",
)
def administrator_may_not_change_the_default_encryption(stage: Stage) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    administrator(stage, "s3").put_bucket_encryption(
        Bucket=_bucket(stage), ServerSideEncryptionConfiguration={"Rules": [rule]}
    )


@denied.refused("administrator with *:*", "deletes the bucket policy", "AccessDenied (s3:DeleteBucketPolicy)")
def administrator_may_not_delete_the_bucket_policy(stage: Stage) -> None:
    administrator(stage, "s3").delete_bucket_policy(Bucket=_bucket(stage))


@denied.refused("administrator with *:*", "calls GenerateDataKey", "AccessDeniedException (kms:GenerateDataKey)")
def administrator_may_not_use_the_key(stage: Stage) -> None:
    administrator(stage, "kms").generate_data_key(KeyId=stage.output("S3", "KeyArn"), KeySpec="AES_256")


@denied.scenario("administrator with *:*", "disables and enables the key", "Disabled, Enabled")
def administrator_manages_the_key(stage: Stage) -> str:
    kms, key = administrator(stage, "kms"), stage.output("S3", "KeyArn")
    kms.disable_key(KeyId=key)
    disabled = kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    kms.enable_key(KeyId=key)
    return f"{disabled}, {kms.describe_key(KeyId=key)['KeyMetadata']['KeyState']}"
