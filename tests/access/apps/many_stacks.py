"""Somebody else's app: stages, nested and imported stacks, a replica key, other regions, imported roles, parameters."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

PRIMARY = cdk.Environment(account="333333333333", region="eu-west-1")
SECONDARY = cdk.Environment(account="333333333333", region="eu-central-1")


class Readers(cdk.NestedStack):
    """A nested stack with a role that reads the bucket it is given."""

    def __init__(self, scope: Construct, construct_id: str, *, bucket: s3.IBucket) -> None:
        super().__init__(scope, construct_id)
        bucket.grant_read(iam.Role(self, "Nested", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com")))


class Product(cdk.Stage):
    """Keys in two regions, and those who use them."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        store = cdk.Stack(self, "Store", env=PRIMARY)
        primary = kms.CfnKey(store, "Primary", multi_region=True, key_policy=whole_account())
        key = kms.Key.from_key_arn(store, "PrimaryKey", primary.attr_arn)
        bucket = s3.Bucket(store, "Bucket", encryption=s3.BucketEncryption.KMS, encryption_key=key)
        Readers(store, "Readers", bucket=bucket)

        replica = cdk.Stack(self, "Replica", env=SECONDARY, cross_region_references=True)
        kms.CfnReplicaKey(
            replica,
            "Key",
            primary_key_arn=f"arn:aws:kms:eu-west-1:333333333333:key/mrk-{'0' * 32}",
            key_policy=whole_account(),
        )

        users = cdk.Stack(self, "Users", env=PRIMARY)
        tenant = cdk.CfnParameter(users, "Tenant", default="blue")
        secret = cdk.CfnParameter(users, "KeyArn")
        role = iam.Role(users, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt"],
                resources=[primary.attr_arn],
                conditions={"StringEquals": {"kms:EncryptionContext:tenant": tenant.value_as_string}},
            )
        )
        role.add_to_policy(iam.PolicyStatement(actions=["kms:Encrypt"], resources=[secret.value_as_string]))
        legacy = iam.Role.from_role_arn(users, "Legacy", "arn:aws:iam::333333333333:role/legacy")
        bucket.grant_read(legacy)


def whole_account() -> dict[str, object]:
    """Return the default key policy: IAM policies of the account decide."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::333333333333:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }


app = cdk.App()
Product(app, "Production")
app.synth()
