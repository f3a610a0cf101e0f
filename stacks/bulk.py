"""Whole prefixes of objects in batches, and a bucket brought under a new key."""

import aws_cdk as cdk
from aws_cdk import aws_s3
from constructs import Construct

from kms_patterns import BucketReEncryption, BulkEnvelope, EncryptedBucket, EncryptionKey, FunctionOptions, KeyLifecycle
from kms_patterns.functions.acknowledgements import acknowledge, acknowledge_objects, wildcard
from stacks import ReferenceStack, acknowledge_bucket, instance_role, outputs

DEPARTMENT = {"department": "archive"}
_NAMED_LATER = "Executions and jobs get their names when they are created; the role that a job gets is named."


def reports_of_jobs(scope: Construct, lifecycle: KeyLifecycle) -> aws_s3.Bucket:
    """Return a bucket under SSE-S3, which is how S3 writes the reports of jobs."""
    kept = lifecycle is not KeyLifecycle.EPHEMERAL
    return aws_s3.Bucket(
        scope,
        "JobReports",
        encryption=aws_s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        versioned=True,
        block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
        removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if kept else cdk.RemovalPolicy.DESTROY,
        auto_delete_objects=not kept,
    )


class BulkStack(ReferenceStack):
    """A state machine encrypts the inbox into the vault, and jobs bring the inbox under a new storage key."""

    NAME = "KmsPatterns-Bulk"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        old, storage, content, logs = (
            EncryptionKey(self, f"{name}Key", alias=f"bulk/{name.lower()}", lifecycle=lifecycle)
            for name in ("Old", "Storage", "Content", "Logs")
        )
        inbox, vault, reports = (
            EncryptedBucket(self, name, encryption_key=storage) for name in ("Inbox", "Vault", "Reports")
        )
        bulk = BulkEnvelope(
            self,
            "Bulk",
            operation="encrypt",
            encryption_key=content,
            source=inbox,
            destination=vault,
            reports=reports,
            prefix="in/",
            destination_prefix="out/",
            encryption_context=DEPARTMENT,
            inventory=reports,
            inventory_prefix="inventory/",
            state_machine_key=logs,
            options=FunctionOptions(log_group_key=logs),
        )
        jobs = reports_of_jobs(self, lifecycle)
        re_encryption = BucketReEncryption(
            self, "ReEncryption", bucket=inbox, encryption_key=storage, old_keys=[old], reports=jobs
        )
        operator = instance_role(self, "Operator")
        bulk.grant_run(operator)
        re_encryption.grant_run(operator)
        for bucket in (inbox, vault, reports, jobs):
            acknowledge_bucket(bucket)
        acknowledge(
            jobs, {"NIST.800.53.R5-S3DefaultEncryptionKMS": "S3 writes the reports of jobs under SSE-S3 alone."}
        )
        acknowledge_objects(operator, reports, "bulk/reports/*")
        acknowledge_objects(operator, jobs, "re-encryption/*")
        named = [("states", "execution:{}:*"), ("states", "mapRun:{}/*"), ("s3", "job/*")]
        name = bulk.state_machine_arn.rpartition(":")[2]
        arns = [self.format_arn(service=service, resource=it.format(name)) for service, it in named]
        acknowledge(operator, {wildcard(self.resolve(arn)): _NAMED_LATER for arn in ("*", *arns)})
        outputs(
            self,
            {
                "StateMachineArn": bulk.state_machine_arn,
                "BatchFunctionName": bulk.batch_function.function_name,
                "BatchRoleArn": bulk.batch_role.role_arn,
                "ContentKeyArn": content.key_arn,
                "OldKeyArn": old.key_arn,
                "StorageKeyArn": storage.key_arn,
                "InboxName": inbox.bucket_name,
                "VaultName": vault.bucket_name,
                "ReportsName": reports.bucket_name,
                "JobReportsName": jobs.bucket_name,
                "JobRoleArn": re_encryption.role.role_arn,
                "OperatorRoleArn": operator.role_arn,
            },
        )
