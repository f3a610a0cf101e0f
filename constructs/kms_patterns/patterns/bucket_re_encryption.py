"""Brings the objects of a bucket under one key by S3 Batch Operations, without moving their data."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import ArnFormat, Stack, aws_iam, aws_s3
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge
from kms_patterns.keys.imported.imported_types import ImportedEncryptionKey
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.encrypted_bucket import EncryptedBucket
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.patterns.parts.object_grants import grant_objects, grant_role_objects
from kms_patterns.policy import actions
from kms_patterns.policy.conditions import CONTEXT_PREFIX, S3_CONTEXT_KEY

BATCH_OPERATIONS: Final = "batchoperations.s3.amazonaws.com"


class BucketReEncryption(Construct):
    """The role of S3 Batch Operations jobs that update the encryption of a bucket's objects, and who may run them.

    A job changes the KMS key, or SSE-S3 to SSE-KMS, and switches the Bucket Key on. It re-encrypts the objects' data
    keys alone: ETags, dates and storage classes stay. ``kms-patterns re-encrypt-bucket`` creates it, shows its number
    of objects and its cost, starts it when that is confirmed, and sums up its report. Objects that are not encrypted,
    or are under SSE-C, DSSE-KMS or an Object Lock, cannot be updated and are listed. Deploy this once with the new key
    as the bucket's and ``old_keys`` beside it; disable an old key only when ``kms-patterns keys still-needed`` finds
    nothing under it.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        bucket: The bucket; its objects come under its own key.
        encryption_key: The bucket's key.
        old_keys: Keys that objects may still be under. Objects under SSE-S3 need none.
        reports: Bucket of manifests and completion reports, which S3 always writes under SSE-S3: not an
            ``EncryptedBucket``, and not ``bucket``, whose objects are listed meanwhile.
        reports_prefix: Below which manifests and reports are.

    Raises:
        ValueError: ``reports`` is the bucket itself or an ``EncryptedBucket``, or an old key is the new one.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-update-encryption.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: EncryptedBucket,
        encryption_key: EncryptionKey,
        old_keys: Sequence[EncryptionKey | ImportedEncryptionKey] = (),
        reports: aws_s3.IBucket,
        reports_prefix: str = "re-encryption/",
    ) -> None:
        super().__init__(scope, construct_id)
        check_key_of_app(self.node.path, "encryption_key", encryption_key)
        if isinstance(bucket, EncryptedBucket) and bucket.encryption_key is not encryption_key:
            raise ValueError(
                f"encryption_key is {encryption_key.node.path}, but bucket encrypts under another key: give its "
                "own key, and the keys that its objects come from as old_keys"
            )
        if reports.bucket_arn == bucket.bucket_arn:
            raise ValueError("reports is the bucket whose objects are listed: give the reports a bucket of their own")
        only_kms = isinstance(reports, EncryptedBucket)
        if only_kms:
            raise ValueError(
                "reports is an EncryptedBucket, whose policy denies SSE-S3, and S3 writes completion reports under "
                "nothing else, so that every job would fail: give a bucket under SSE-S3"
            )
        if any(key.key_arn == encryption_key.key_arn for key in old_keys):
            raise ValueError("old_keys has encryption_key itself: name the keys that objects come from")
        self._bucket, self._reports, self._prefix = bucket, reports, reports_prefix
        self.role = aws_iam.Role(
            self,
            "Role",
            assumed_by=aws_iam.ServicePrincipal(BATCH_OPERATIONS),
            description="Updates the encryption of the objects of one bucket",
        )
        for where, use, pattern in (
            (bucket, actions.RE_ENCRYPTED, "*"),
            (reports, actions.MANIFESTS, f"{reports_prefix}manifests/*"),
            (reports, actions.UPLOAD, f"{reports_prefix}reports/*"),
        ):
            grant_role_objects(self.role, where, use, pattern)
        arns = [bucket.bucket_arn, bucket.arn_for_objects("*")]
        own = {"StringLike": {CONTEXT_PREFIX + S3_CONTEXT_KEY: arns}}
        for key in old_keys:
            # Nothing is encrypted under an old key again: of what AWS's page names, these two read.
            key.grant_operations(
                self.role, actions.DECRYPT, actions.RE_ENCRYPT_FROM, via_service="s3", identity_conditions=own
            ).assert_success()
        acknowledge(self.role, _ROLE_FINDINGS)

    def grant_run(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to create, confirm, cancel and watch jobs with this role, and to read their reports.

        Jobs have no name when they are created, so that ``s3:CreateJob`` names none. It names the operation, since the
        role reads objects and writes reports: a job that copies would bring the one into the other.
        ``iam:PassRole`` names this role alone.
        """
        grant_objects(self._reports, grantee, actions.DOWNLOAD, [f"{self._prefix}*"])
        jobs = Stack.of(self).format_arn(
            service="s3", resource="job", resource_name="*", arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
        passing = aws_iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["iam:PassRole"],
            resource_arns=[self.role.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": BATCH_OPERATIONS}},
        )
        for action, key in actions.S3_JOBS.items():
            granted = aws_iam.Grant.add_to_principal(
                grantee=grantee,
                actions=[action],
                resource_arns=["*" if action == "s3:CreateJob" else jobs],
                conditions={"StringEquals": {key: actions.JOB_OPERATION}} if key else None,
            )
            passing = passing.combine(granted)
        uploads, home = ["s3:ListBucketMultipartUploads"], [self._bucket.bucket_arn]
        return passing.combine(aws_iam.Grant.add_to_principal(grantee=grantee, actions=uploads, resource_arns=home))


_ROLE_FINDINGS: Final = {
    "NIST.800.53.R5-IAMNoInlinePolicy": "The policy belongs to the role of these jobs alone and goes with it.",
}
