"""Small secrets, encrypted directly by KMS; roles of tenants, which each use the key for their own values."""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb
from constructs import Construct

from kms_patterns import EncryptionKey, KeyLifecycle, SecretCipher
from kms_patterns.functions.acknowledgements import acknowledge, wildcard
from stacks import ReferenceStack, allow, cipher_outputs, instance_role, outputs

SECRETS_PREFIX = "/kms-patterns/secrets"
TENANTS = ("blue", "red")


class SecretsStack(ReferenceStack):
    """Direct encryption: small secrets, bound to a tenant, in DynamoDB and in Parameter Store; tenants of one key."""

    NAME = "KmsPatterns-Secrets"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
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
        for role in (writer, reader):
            acknowledge(role, {wildcard(self.resolve(parameters)): "The names of secrets are made up at run time."})
        for tenant in TENANTS:
            role = instance_role(self, tenant.title())
            cdk.Tags.of(role).add("tenant", tenant)
            key.grant_encrypt_decrypt(role, encryption_context={"tenant": "${aws:PrincipalTag/tenant}"})
            outputs(self, {f"{tenant.title()}RoleArn": role.role_arn})
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
