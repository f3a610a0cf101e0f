"""A bucket whose objects are all under one KMS key, with grants that name the one operation they are for."""

from aws_cdk import Duration, Stack, Token
from aws_cdk import aws_s3 as s3
from constructs import Construct

from kms_patterns.keys.encryption_key import EncryptionKey
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.key_lifecycle import KeyLifecycle, removal_policy
from kms_patterns.patterns.parts.object_grants import ObjectGrants
from kms_patterns.policy.bucket_statements import only_under_key


class EncryptedBucket(ObjectGrants, s3.Bucket):
    """An ``s3.Bucket`` under SSE-KMS with a Bucket Key, versioned, private, reachable over TLS 1.2 or later only.

    Uploads that name another key, another encryption or a key of their own (SSE-C) are denied, and so are those that
    name ``aws:kms`` without a key, which S3 would take for ``aws/s3``; uploads that name nothing are encrypted under
    ``encryption_key``. With the Bucket Key, S3 calls KMS up to 99 % less often, and KMS sees the bucket's ARN as
    encryption context instead of each object's. S3 keeps a bucket-level key for a limited time: to cut a role off at
    once, also take its S3 permission away.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        encryption_key: Symmetric key; it may be in another stack of the same account and Region. Uploads that name it
            in a header must give its ARN.
        bucket_name: Defaults to a name that CloudFormation makes.
        abort_incomplete_uploads_after: When the parts of an unfinished multipart upload are deleted, 1 to 7 days.
            Defaults to 7 days.
        server_access_logs_bucket: Receives the access logs; must be under SSE-S3, S3 cannot log under a customer's key
            that names its users. Defaults to no access logs.
        server_access_logs_prefix: Put before the names of the log objects.
        lifecycle: What happens to the bucket when its stack is deleted. Defaults to what happens to the key. S3 deletes
            empty buckets only.

    Raises:
        KeyConfigurationError: ``abort_incomplete_uploads_after`` is out of range, or the key is in another Region.
        TypeError: The key is not an :class:`EncryptionKey`.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: EncryptionKey,
        bucket_name: str | None = None,
        abort_incomplete_uploads_after: Duration | None = None,
        server_access_logs_bucket: s3.IBucket | None = None,
        server_access_logs_prefix: str | None = None,
        lifecycle: KeyLifecycle | None = None,
    ) -> None:
        _check_key(encryption_key, Stack.of(scope))
        abort_after = abort_incomplete_uploads_after or Duration.days(7)
        _check_abort_after(abort_after)
        self._key = encryption_key
        super().__init__(
            scope,
            construct_id,
            bucket_name=bucket_name,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=encryption_key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(id="AbortIncompleteUploads", abort_incomplete_multipart_upload_after=abort_after)
            ],
            server_access_logs_bucket=server_access_logs_bucket,
            server_access_logs_prefix=server_access_logs_prefix,
            removal_policy=removal_policy(lifecycle or encryption_key.lifecycle),
        )
        for statement in only_under_key(self.arn_for_objects("*"), encryption_key.key_arn):
            self.add_to_resource_policy(statement)


def _check_key(key: EncryptionKey, stack: Stack) -> None:
    if not isinstance(key, EncryptionKey):
        raise TypeError(
            f"encryption_key is a {type(key).__name__}: grants on an EncryptedBucket need an EncryptionKey, which can "
            "name its users; for any other key use aws_cdk.aws_s3.Bucket"
        )
    regions = [key.stack.region, stack.region]
    if regions[0] != regions[1] and not any(Token.is_unresolved(region) for region in regions):
        raise KeyConfigurationError(
            f"the key is in {regions[0]}, the bucket in {regions[1]}: S3 takes keys of its own Region only "
            "(KMS.NotFoundException); make a key beside the bucket"
        )


def _check_abort_after(duration: Duration) -> None:
    if duration.is_unresolved():
        return
    days = duration.to_days(integral=False)
    if days not in range(1, 8):
        raise KeyConfigurationError(
            f"abort_incomplete_uploads_after is {days:g} days: give whole days from 1 to 7, the parts of an unfinished "
            "upload are paid for and invisible"
        )
