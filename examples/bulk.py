"""A bucket of any number of objects: encrypted in batches into a vault, and brought under a new storage key."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from kms_patterns import BucketReEncryption, BulkEnvelope, EncryptedBucket, EncryptionKey

app = cdk.App()
stack = cdk.Stack(app, "Archive")

old, new = (EncryptionKey(stack, f"{name}StorageKey", alias=f"archive/{name.lower()}") for name in ("Old", "New"))
inbox, vault, reports = (EncryptedBucket(stack, name, encryption_key=new) for name in ("Inbox", "Vault", "Reports"))
operator = iam.Role(stack, "Operator", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))

bulk = BulkEnvelope(
    stack,
    "Bulk",
    operation="encrypt",
    encryption_key=EncryptionKey(stack, "ContentKey", alias="archive/content"),
    source=inbox,
    destination=vault,
    reports=reports,
    prefix="scans/",
    encryption_context={"department": "archive"},
)
bulk.grant_run(operator)
jobs = s3.Bucket(stack, "JobReports", enforce_ssl=True)  # under SSE-S3, as S3 writes the reports of jobs
re_encryption = BucketReEncryption(
    stack, "ReEncryption", bucket=inbox, encryption_key=new, old_keys=[old], reports=jobs
)
re_encryption.grant_run(operator)
cdk.CfnOutput(stack, "StateMachine", value=bulk.state_machine_arn)

app.synth()
