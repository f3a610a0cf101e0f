"""Whole prefixes of objects in batches, and a bucket brought under a new key."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import BucketReEncryption, BulkEnvelope, EncryptedBucket, EncryptionKey, FunctionOptions, KeyLifecycle
from kms_patterns.functions.acknowledgements import acknowledge, acknowledge_objects, wildcard
from stacks.support import ReferenceStack, acknowledge_bucket, instance_role, outputs

DEPARTMENT = {"department": "archive"}
_NAMED_LATER = "Executions and jobs get their names when they are created; the role that a job gets is named."


class BulkStack(ReferenceStack):
    """A state machine encrypts the inbox into the vault, and jobs bring the inbox under a new storage key."""

    NAME = "KmsPatterns-Bulk"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        # Not state_machine_key: the embedded AWS, which `make demo` deploys to, does not ask KMS for Step Functions.
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
            options=FunctionOptions(log_group_key=logs),
        )
        re_encryption = BucketReEncryption(
            self, "ReEncryption", bucket=inbox, encryption_key=storage, old_keys=[old], reports=reports
        )
        operator = instance_role(self, "Operator")
        bulk.grant_run(operator)
        re_encryption.grant_run(operator)
        for bucket in (inbox, vault, reports):
            acknowledge_bucket(bucket)
        for pattern in ("bulk/reports/*", "re-encryption/*"):
            acknowledge_objects(operator, reports, pattern)
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
                "JobRoleArn": re_encryption.role.role_arn,
                "OperatorRoleArn": operator.role_arn,
            },
        )
