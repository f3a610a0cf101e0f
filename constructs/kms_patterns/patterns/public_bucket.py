"""A bucket for what is published: readable through its function, writable by one role only."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge
from kms_patterns.keys.key_options import KeyLifecycle, removal_policy
from kms_patterns.keys.synth.deployment_role import deployers
from kms_patterns.patterns.encrypted_bucket import check_names, deny, emptying
from kms_patterns.policy.actions import S3_PUT_OBJECT, S3_REPLICATE_OBJECT
from kms_patterns.policy.bucket_statements import configured_by_deployment, former_versions_stay_former

SID_DENY_OTHER_PUBLISHERS: Final = "DenyPublicationByAnyoneElse"


class PublicBucket(s3.Bucket):
    """A private, versioned bucket under SSE-S3, over TLS 1.2 or later only, into which one role alone may write.

    What it holds is public, so nothing is gained by a KMS key, which would need a further permission of each of the
    functions. What counts is that no one else can replace it, or bring a former version back by deleting the current
    one: the bucket policy denies both to an administrator as well, and leaves its own change to the role that deploys.
    Former versions are kept for 90 days.

    Args:
        scope: The pattern.
        construct_id: Id within the pattern.
        publisher: The role that may write.
        configured_by: ARNs of further roles or users that may change what only the deployment may.
        lifecycle: What happens to the bucket when its stack is deleted. EPHEMERAL also deletes what was published, by a
            custom resource of the CDK: S3 deletes empty buckets only (BucketNotEmpty).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        publisher: iam.IRole,
        lifecycle: KeyLifecycle,
        configured_by: Sequence[str] = (),
    ) -> None:
        check_names(construct_id, configured_by=configured_by)
        super().__init__(
            scope,
            construct_id,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(id="ExpireFormerVersions", noncurrent_version_expiration=Duration.days(90))
            ],
            removal_policy=removal_policy(lifecycle),
            auto_delete_objects=lifecycle is KeyLifecycle.EPHEMERAL,
        )
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid=SID_DENY_OTHER_PUBLISHERS,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=[S3_PUT_OBJECT, S3_REPLICATE_OBJECT],
                resources=[self.arn_for_objects("*")],
                conditions={"ArnNotEquals": {"aws:PrincipalArn": publisher.role_arn}},
            )
        )
        # The custom resource that empties an ephemeral bucket.
        emptier = emptying(self.stack)
        emptied = self.node.try_find_child("AutoDeleteObjectsCustomResource") is not None
        emptied_by = [emptier.role_arn] if emptied and emptier else []
        roles, others = deployers(self.stack, configured_by), [*configured_by, *emptied_by]
        deny(
            self,
            former_versions_stay_former(self.arn_for_objects("*"), roles, others),
            configured_by_deployment(self.bucket_arn, roles, others),
        )
        acknowledge(self, _FINDINGS)


_NO_ACCESS_LOG = "What is read is public; one role alone can write, and CloudTrail records its GetPublicKey."
_FINDINGS = {
    "AwsSolutions-S1": _NO_ACCESS_LOG,
    "NIST.800.53.R5-S3BucketLoggingEnabled": _NO_ACCESS_LOG,
    "NIST.800.53.R5-S3BucketReplicationEnabled": "The files are made anew from KMS at any time.",
    "NIST.800.53.R5-S3DefaultEncryptionKMS": (
        "Public keys are public; a KMS key would add a permission to each function and protect nothing."
    ),
}
