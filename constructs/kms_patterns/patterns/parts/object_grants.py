"""Grants on the objects of buckets: exact S3 actions, and the bucket's KMS key through S3 only."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from aws_cdk import ArnFormat, Stack, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from kms_patterns.keys.encryption_key import EncryptionKey
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.policy import actions
from kms_patterns.policy.conditions import S3_CONTEXT_KEY, encryption_context

if TYPE_CHECKING:
    _Base = s3.Bucket
else:
    _Base = object


class ObjectGrants(_Base):
    """Grants in which KMS may be used through S3 only, under this bucket's encryption context.

    The grants inherited from ``s3.Bucket`` are narrowed to match. None of them lists the bucket: ``grant_list`` does.
    ``bucket.grants`` and ``BucketGrants.from_bucket`` go past them on the S3 side, where they write wildcards.
    """

    _key: EncryptionKey

    def grant_upload(
        self, grantee: iam.IGrantable, *, multipart: bool = False, objects_key_pattern: str = "*"
    ) -> iam.Grant:
        """Allow uploads: ``s3:PutObject``, and ``kms:GenerateDataKey`` through S3.

        Args:
            grantee: A role, a user, or anything that has one.
            multipart: Also ``s3:AbortMultipartUpload``, and ``kms:Decrypt`` through S3, which reads the parts to join
                them. The AWS CLI and boto3 upload in parts from 8 MiB on; without it those end in AccessDenied.
            objects_key_pattern: Objects that may be written, such as ``inbox/*``.
        """
        use = actions.UPLOAD_IN_PARTS if multipart else actions.UPLOAD
        return self.grant_objects(grantee, use, objects_key_pattern)

    def grant_download(self, grantee: iam.IGrantable, *, objects_key_pattern: str = "*") -> iam.Grant:
        """Allow downloads: ``s3:GetObject``, and ``kms:Decrypt`` through S3.

        Args:
            grantee: A role, a user, or anything that has one.
            objects_key_pattern: Objects that may be read, such as ``reports/*``.
        """
        return self.grant_objects(grantee, actions.DOWNLOAD, objects_key_pattern)

    def grant_read_write(
        self, identity: iam.IGrantable, objects_key_pattern: Any = None, *, multipart: bool = False
    ) -> iam.Grant:
        """Allow uploads and downloads; ``multipart`` adds ``s3:AbortMultipartUpload``."""
        pattern = objects_key_pattern or "*"
        upload = self.grant_upload(identity, multipart=multipart, objects_key_pattern=pattern)
        return upload.combine(self.grant_download(identity, objects_key_pattern=pattern))

    def grant_list(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``s3:ListBucket``. Without it S3 answers 403, not 404, for an object that is missing."""
        arn = self._arn_seen_from(grantee)
        return iam.Grant.add_to_principal(grantee=grantee, actions=[actions.S3_LIST_BUCKET], resource_arns=[arn])

    def grant_read(self, identity: iam.IGrantable, objects_key_pattern: Any = None) -> iam.Grant:
        """Do what :meth:`grant_download` does."""
        return self.grant_download(identity, objects_key_pattern=objects_key_pattern or "*")

    def grant_put(self, identity: iam.IGrantable, objects_key_pattern: Any = None) -> iam.Grant:
        """Do what :meth:`grant_upload` does, not in parts."""
        return self.grant_upload(identity, objects_key_pattern=objects_key_pattern or "*")

    def grant_write(
        self,
        identity: iam.IGrantable,
        objects_key_pattern: Any = None,
        allowed_action_patterns: Sequence[str] | None = None,
    ) -> iam.Grant:
        """Do what :meth:`grant_put` does: no deletion. ``allowed_action_patterns`` must be left out.

        Raises:
            GrantRefused: ``allowed_action_patterns`` is given.
        """
        if allowed_action_patterns:
            self._refuse(
                f"allowed_action_patterns {list(allowed_action_patterns)}", "call grant_upload or grant_delete"
            )
        return self.grant_put(identity, objects_key_pattern)

    def grant_delete(self, grantee: iam.IGrantable, objects_key_pattern: Any = None) -> iam.Grant:
        """Allow ``s3:DeleteObject``, which in this versioned bucket hides an object and loses nothing."""
        objects = f"{self._arn_seen_from(grantee)}/{objects_key_pattern or '*'}"
        return iam.Grant.add_to_principal(grantee=grantee, actions=[actions.S3_DELETE_OBJECT], resource_arns=[objects])

    def grant_put_acl(self, identity: iam.IGrantable, objects_key_pattern: str | None = None) -> iam.Grant:  # noqa: ARG002
        """Refuse: the bucket owner owns every object (AccessControlListNotSupported)."""
        self._refuse("grant_put_acl", "ACLs are off, S3 would answer AccessControlListNotSupported; use grant_upload")

    def grant_public_access(self, key_prefix: str | None = None, *allowed_actions: str) -> iam.Grant:  # noqa: ARG002
        """Refuse: only named roles may use the key, so no other principal could read the objects."""
        self._refuse("grant_public_access", "public access is blocked and the key names its users; grant a role")

    def grant_on_key(self, grantee: iam.IGrantable, *acts: str) -> iam.GrantOnKeyResult:
        """Allow KMS actions through S3 under this bucket's context; the AWS CDK's own grants call this.

        S3 makes no other call than GenerateDataKey and Decrypt, whatever else the list names.
        """
        needed = [act for act in actions.narrow(acts) if act in (actions.GENERATE_DATA_KEY, actions.DECRYPT)]
        return iam.GrantOnKeyResult(grant=self._grant_kms(grantee, needed))

    def grant_objects(self, grantee: iam.IGrantable, use: actions.ObjectUse, pattern: str = "*") -> iam.Grant:
        """Allow one use of the objects that match ``pattern``: in S3, and of the key through S3."""
        through_s3 = self._grant_kms(grantee, use.kms)
        arn = f"{self._arn_seen_from(grantee)}/{pattern}"
        return iam.Grant.add_to_principal(grantee=grantee, actions=list(use.objects), resource_arns=[arn]).combine(
            through_s3
        )

    def _grant_kms(self, grantee: iam.IGrantable, kms: Sequence[str]) -> iam.Grant:
        # The key policy cannot name the bucket, which names the key: its context is the identity's condition alone.
        context = encryption_context({S3_CONTEXT_KEY: self._arn_seen_from(grantee)})
        return self._key.grant_operations(grantee, *kms, via_service="s3", identity_conditions=context)

    def _arn_seen_from(self, grantee: iam.IGrantable) -> str:
        """The bucket's ARN as the grantee's stack can write it without a cycle."""
        principal: Any = grantee.grant_principal
        home = Stack.of(principal) if hasattr(principal, "node") else self.stack
        if home.node.path == self.stack.node.path:
            return self.bucket_arn
        child = self.node.default_child
        name = child.bucket_name if isinstance(child, s3.CfnBucket) else None
        if name and not Token.is_unresolved(name):
            return home.format_arn(
                service="s3", region="", account="", resource=name, arn_format=ArnFormat.NO_RESOURCE_NAME
            )
        if home.node.path == self._key.stack.node.path:
            self._refuse(
                f"granting {principal.node.path}, which is in the key's stack",
                'its policy would name the bucket, whose stack depends on the key\'s ("cyclic reference"); create the '
                "role in the bucket's stack, or give the bucket a bucket_name",
            )
        return self.bucket_arn

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise GrantRefused(f"{self.node.path}: {what} refused: {instead}")


def grant_objects(
    bucket: s3.IBucket, grantee: iam.IGrantable, use: actions.ObjectUse, objects: Sequence[str] = ("*",)
) -> None:
    """Allow one use of the objects of any bucket, under the bucket's key if it has one.

    Args:
        bucket: An ``EncryptedBucket``, whose context narrows the use of the key, or any other.
        grantee: A role, or anything that has one.
        use: What for.
        objects: Keys of the objects, or patterns of them.
    """
    if isinstance(bucket, ObjectGrants):
        for pattern in objects:
            bucket.grant_objects(grantee, use, pattern).assert_success()
        return
    arns = [bucket.arn_for_objects(pattern) for pattern in objects]
    iam.Grant.add_to_principal_or_resource(
        grantee=grantee, actions=list(use.objects), resource_arns=arns, resource=bucket
    ).assert_success()
    key: Any = bucket.encryption_key
    if isinstance(key, EncryptionKey):
        key.grant_operations(grantee, *use.kms, via_service="s3").assert_success()
    elif key is not None:
        key.grant(grantee, *use.kms).assert_success()
