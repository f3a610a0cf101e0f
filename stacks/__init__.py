"""The stacks of the reference app, one module per pattern, and what they share: roles, outputs, acknowledgements."""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

import aws_cdk as cdk
from aws_cdk import aws_iam, aws_s3
from constructs import Construct

from kms_patterns import EncryptionKey, EnvelopeCipher, KeyLifecycle, RsaEncryptionKey, SecretCipher
from kms_patterns.functions.acknowledgements import acknowledge, acknowledge_objects


class ReferenceStack(cdk.Stack):
    """A stack of the reference app: every subclass in a module of ``stacks`` is part of the app.

    Args:
        scope: The app.
        lifecycle: What happens to the keys when the stack is deleted.
        env: Account and Region.
    """

    NAME: ClassVar[str]
    """Construct id and name of the stack; a change of it replaces everything that is deployed."""

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, self.NAME, env=env)
        self.lifecycle = lifecycle


def discovered() -> list[type[ReferenceStack]]:
    """Return the stacks of every module of this package, in order of their names."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    values = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    stacks = [value for value in values if issubclass(value, ReferenceStack) and value is not ReferenceStack]
    return sorted(set(stacks), key=lambda stack: stack.NAME)


def instance_role(scope: Construct, name: str) -> aws_iam.Role:
    """Return a role for EC2 instances."""
    role = aws_iam.Role(scope, f"{name}Role", assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"))
    acknowledge(role, {"NIST.800.53.R5-IAMNoInlinePolicy": "The policy belongs to this role alone and goes with it."})
    return role


def allow(role: aws_iam.Role, action: str, resource: str) -> None:
    """Allow ``role`` one action on one resource."""
    aws_iam.Grant.add_to_principal(grantee=role, actions=[action], resource_arns=[resource]).assert_success()


def acknowledge_bucket(bucket: aws_s3.IBucket, *roles: aws_iam.Role) -> None:
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
    for role in roles:
        acknowledge_objects(role, bucket)


def cipher_outputs(key: EncryptionKey | RsaEncryptionKey, cipher: SecretCipher | EnvelopeCipher) -> Mapping[str, str]:
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
