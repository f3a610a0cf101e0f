"""Reference app: one stack per pattern, from the public names of the library only.

Context ``kms-patterns:lifecycle=ephemeral`` makes keys, buckets, table and logs go with their stack (development);
``kms-patterns:platform`` chooses the functions' platform: ``arm64`` (default), ``x86_64`` or ``host``.
"""

import os
from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_dynamodb, aws_iam
from constructs import Construct

from kms_patterns import EncryptedBucket, EncryptionKey, EnvelopeCipher, KeyLifecycle, SecretCipher

SECRETS_PREFIX = "/kms-patterns/secrets"


class DocumentsStack(cdk.Stack):
    """S3: one instance role uploads, one downloads, one does both."""

    def __init__(self, scope: Construct, construct_id: str, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, construct_id, env=env)
        key = EncryptionKey(self, "Key", alias="documents", lifecycle=lifecycle)
        bucket = EncryptedBucket(self, "Bucket", encryption_key=key)
        uploader = instance_role(self, "Uploader")
        downloader = instance_role(self, "Downloader")
        read_write = instance_role(self, "ReadWrite")
        bucket.grant_upload(uploader, multipart=True)
        bucket.grant_download(downloader)
        bucket.grant_read_write(read_write, multipart=True)
        acknowledge_bucket(bucket, uploader, downloader, read_write)
        outputs(
            self,
            {
                "BucketName": bucket.bucket_name,
                "KeyArn": key.key_arn,
                "UploaderRoleArn": uploader.role_arn,
                "DownloaderRoleArn": downloader.role_arn,
                "ReadWriteRoleArn": read_write.role_arn,
            },
        )


class SecretsStack(cdk.Stack):
    """Direct encryption: small secrets, bound to a tenant, kept in DynamoDB and in Parameter Store."""

    def __init__(self, scope: Construct, construct_id: str, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, construct_id, env=env)
        key = EncryptionKey(self, "Key", alias="secrets", lifecycle=lifecycle)
        cipher = SecretCipher(self, "Cipher", encryption_key=key, required_context=["tenant"])
        table = aws_dynamodb.TableV2(
            self,
            "Table",
            partition_key=aws_dynamodb.Attribute(name="id", type=aws_dynamodb.AttributeType.STRING),
            point_in_time_recovery_specification=aws_dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
        )
        parameters = self.format_arn(service="ssm", resource="parameter", resource_name=f"{SECRETS_PREFIX[1:]}/*")
        writer, reader = instance_role(self, "Writer"), instance_role(self, "Reader")
        cipher.grant_encrypt(writer)
        cipher.grant_decrypt(reader)
        table.grant(writer, "dynamodb:PutItem")
        table.grant(reader, "dynamodb:GetItem")
        allow(writer, "ssm:PutParameter", parameters)
        allow(reader, "ssm:GetParameter", parameters)
        acknowledge_parameters(writer, reader)
        outputs(self, cipher_outputs(key, cipher))
        outputs(
            self,
            {
                "TableName": table.table_name,
                "WriterRoleArn": writer.role_arn,
                "ReaderRoleArn": reader.role_arn,
                "ParameterPrefix": SECRETS_PREFIX,
            },
        )


class EnvelopeStack(cdk.Stack):
    """Envelope encryption: files of any size from an inbox into a vault, and back into a third bucket."""

    def __init__(self, scope: Construct, construct_id: str, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, construct_id, env=env)
        storage = EncryptionKey(self, "StorageKey", alias="storage", lifecycle=lifecycle)
        key = EncryptionKey(self, "Key", alias="files", lifecycle=lifecycle)
        inbox = EncryptedBucket(self, "Inbox", encryption_key=storage)
        vault = EncryptedBucket(self, "Vault", encryption_key=storage)
        restored = EncryptedBucket(self, "Restored", encryption_key=storage)
        cipher = EnvelopeCipher(
            self,
            "Cipher",
            encryption_key=key,
            source=inbox,
            destination=vault,
            restored=restored,
            required_context=["tenant"],
        )
        operator = instance_role(self, "Operator")
        inbox.grant_upload(operator, multipart=True)
        vault.grant_download(operator)
        restored.grant_download(operator)
        cipher.grant_encrypt(operator)
        cipher.grant_decrypt(operator)
        for bucket in (inbox, vault, restored):
            acknowledge_bucket(bucket, operator)
        outputs(self, cipher_outputs(key, cipher))
        outputs(
            self,
            {
                "InboxName": inbox.bucket_name,
                "VaultName": vault.bucket_name,
                "RestoredName": restored.bucket_name,
                "OperatorRoleArn": operator.role_arn,
            },
        )


def instance_role(scope: Construct, name: str) -> aws_iam.Role:
    """Return a role for EC2 instances."""
    role = aws_iam.Role(scope, f"{name}Role", assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"))
    acknowledge(role, {"NIST.800.53.R5-IAMNoInlinePolicy": "The policy belongs to this role alone and goes with it."})
    return role


def allow(role: aws_iam.Role, action: str, resource: str) -> None:
    """Allow ``role`` one action on one resource."""
    aws_iam.Grant.add_to_principal(grantee=role, actions=[action], resource_arns=[resource]).assert_success()


def acknowledge_bucket(bucket: EncryptedBucket, *roles: aws_iam.Role) -> None:
    """Say why the rule packs of cdk-nag may find what they find on a bucket of this app and on its users."""
    no_logs = "The reference app deploys without prerequisites; give EncryptedBucket a server_access_logs_bucket."
    no_replica = "The reference app lives in one Region; replicas of objects are the deployment's decision."
    acknowledge(
        bucket,
        {
            "AwsSolutions-S1": no_logs,
            "NIST.800.53.R5-S3BucketLoggingEnabled": no_logs,
            "NIST.800.53.R5-S3BucketReplicationEnabled": no_replica,
        },
    )
    objects = f"<{bucket.stack.resolve(bucket.bucket_arn)['Fn::GetAtt'][0]}.Arn>/*"
    for role in roles:
        acknowledge(role, {f"AwsSolutions-IAM5[Resource::{objects}]": "The role serves every object of the bucket."})


def acknowledge_parameters(*roles: aws_iam.Role) -> None:
    """Say why these roles may reach every parameter of one path."""
    path = f"arn:<AWS::Partition>:ssm:<AWS::Region>:<AWS::AccountId>:parameter{SECRETS_PREFIX}/*"
    for role in roles:
        acknowledge(role, {f"AwsSolutions-IAM5[Resource::{path}]": "The names of secrets are made up at run time."})


def acknowledge(construct: Construct, reasons: Mapping[str, str]) -> None:
    """Record why findings on ``construct`` are accepted."""
    findings = [cdk.Acknowledgment(id=finding, reason=reason) for finding, reason in reasons.items()]
    cdk.Validations.of(construct).acknowledge(*findings)


def cipher_outputs(key: EncryptionKey, cipher: SecretCipher | EnvelopeCipher) -> Mapping[str, str]:
    """Return what a caller of ``cipher`` needs to know."""
    return {
        "KeyArn": key.key_arn,
        "EncryptFunctionName": cipher.encrypt_function.function_name,
        "DecryptFunctionName": cipher.decrypt_function.function_name,
        "EncryptRoleArn": cipher.encrypt_role.role_arn,
        "DecryptRoleArn": cipher.decrypt_role.role_arn,
    }


def outputs(stack: cdk.Stack, values: Mapping[str, str]) -> None:
    """Add an output per value, named as its key."""
    for name, value in values.items():
        cdk.CfnOutput(stack, name, value=value)


def add_stacks(app: cdk.App) -> None:
    """Add the stacks to ``app``, as its context asks for."""
    ephemeral = app.node.try_get_context("kms-patterns:lifecycle") == "ephemeral"
    lifecycle = KeyLifecycle.EPHEMERAL if ephemeral else KeyLifecycle.RETAIN
    env = cdk.Environment(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=os.environ.get("CDK_DEFAULT_REGION"))
    DocumentsStack(app, "KmsPatterns-S3", lifecycle=lifecycle, env=env)
    SecretsStack(app, "KmsPatterns-Secrets", lifecycle=lifecycle, env=env)
    EnvelopeStack(app, "KmsPatterns-Envelope", lifecycle=lifecycle, env=env)
    if ephemeral:
        cdk.RemovalPolicies.of(app).destroy()


if __name__ == "__main__":
    reference_app = cdk.App()
    add_stacks(reference_app)
    reference_app.synth()
