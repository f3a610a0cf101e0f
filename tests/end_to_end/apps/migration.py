"""One stack before and after its migration from ``kms.Key`` and ``s3.Bucket``."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from kms_patterns import EncryptedBucket, EncryptionKey

EC2 = iam.ServicePrincipal("ec2.amazonaws.com")
BUCKETS = ("WithBucketKey", "WithoutBucketKey", "UnderS3")

app = cdk.App()
stack = cdk.Stack(app, "Migration")
writer, reader, mover, stranger = (
    iam.Role(stack, name, assumed_by=EC2) for name in ("Writer", "Reader", "Mover", "Stranger")
)
if app.node.try_get_context("step") == "old":
    old = kms.Key(stack, "Key", alias="documents", enable_key_rotation=True)
    for name in BUCKETS:
        under = {"encryption": s3.BucketEncryption.S3_MANAGED} if name == BUCKETS[2] else {"encryption_key": old}
        bucket_key = {"bucket_key_enabled": True} if name == BUCKETS[0] else {}
        plain = s3.Bucket(stack, name, versioned=True, enforce_ssl=True, **under, **bucket_key)
        plain.grant_put(writer)
        plain.grant_read(reader)
        cdk.CfnOutput(stack, f"{name}Name", value=plain.bucket_name)
    cdk.CfnOutput(stack, "KeyArn", value=old.key_arn)
else:
    key = EncryptionKey(stack, "Key", alias="alias/documents")
    for name in BUCKETS:
        bucket = EncryptedBucket(stack, name, encryption_key=key)
        bucket.grant_upload(writer)
        bucket.grant_download(reader)
        cdk.CfnOutput(stack, f"{name}Name", value=bucket.bucket_name)
        bucket.grant_download(mover)
        bucket.grant_upload(mover)
    key.grant_decrypt(mover)
    key.grant_generate_data_key(mover)
    cdk.CfnOutput(stack, "KeyArn", value=key.key_arn)
for role in (writer, reader, mover, stranger):
    cdk.CfnOutput(stack, f"{role.node.id}Arn", value=role.role_arn)
app.synth()
