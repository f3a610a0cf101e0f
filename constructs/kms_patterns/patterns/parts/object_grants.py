"""Grants on the objects of buckets: exact S3 actions, and the bucket's KMS key through S3 only."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from aws_cdk import Annotations, ArnFormat, Stack, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from kms_patterns.functions.acknowledgements import acknowledge_objects
from kms_patterns.keys.errors import GrantRefused, PolicyNotWritten
from kms_patterns.keys.imported.imported_types import ImportedEncryptionKey
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.policy import actions
from kms_patterns.policy.conditions import CONTEXT_PREFIX, S3_CONTEXT_KEY, Conditions
from kms_patterns.policy.statements import literal

if TYPE_CHECKING:
    _Base = s3.Bucket
else:
    _Base = object


class ObjectGrants(_Base):
    """Grants in which KMS may be used through S3 only, under this bucket's encryption context.

    ``grant_upload``, ``grant_download``, ``grant_list`` and ``grant_delete`` allow one thing each. Those inherited from
    ``s3.Bucket``, which constructs of the AWS CDK call, allow what their names promise there, by exact actions instead
    of wildcards. ``bucket.grants`` and ``BucketGrants.from_bucket`` go past them on the S3 side: wildcards again.

    The key may be used under the bucket's encryption context and under that of objects without a Bucket Key, such as
    those that were written before the bucket became an ``EncryptedBucket``.

    A role or user of another account is named in the bucket policy and in the key policy; what its own policy must
    allow is a notice at synth.
    """

    _key: EncryptionKey | ImportedEncryptionKey

    def grant_upload(
        self,
        grantee: iam.IGrantable,
        *,
        multipart: bool = False,
        tags: bool = False,
        objects_key_pattern: str = "*",
    ) -> iam.Grant:
        """Allow uploads: ``s3:PutObject``, and ``kms:GenerateDataKey`` through S3.

        Args:
            grantee: A role, a user, or anything that has one.
            multipart: Also ``s3:AbortMultipartUpload``, and ``kms:Decrypt`` through S3, which reads the parts to join
                them. The AWS CLI and boto3 upload in parts from 8 MiB on; without it those end in AccessDenied.
            tags: Also ``s3:PutObjectTagging``.
            objects_key_pattern: Objects that may be written, such as ``inbox/*``.
        """
        use = actions.UPLOAD_IN_PARTS if multipart else actions.UPLOAD
        return self.grant_use(grantee, use.and_also(actions.S3_TAGS_WRITTEN) if tags else use, [objects_key_pattern])

    def grant_download(
        self,
        grantee: iam.IGrantable,
        *,
        versions: bool = False,
        tags: bool = False,
        objects_key_pattern: str = "*",
    ) -> iam.Grant:
        """Allow downloads: ``s3:GetObject``, and ``kms:Decrypt`` through S3.

        Args:
            grantee: A role, a user, or anything that has one.
            versions: Also ``s3:GetObjectVersion``: what was overwritten or deleted can be read.
            tags: Also ``s3:GetObjectTagging``, and of versions ``s3:GetObjectVersionTagging``.
            objects_key_pattern: Objects that may be read, such as ``reports/*``.
        """
        use = actions.DOWNLOAD_VERSIONS if versions else actions.DOWNLOAD
        read_tags = actions.S3_TAGS_READ if versions else actions.S3_TAGS_READ[:1]
        return self.grant_use(grantee, use.and_also(read_tags) if tags else use, [objects_key_pattern])

    def grant_list(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``s3:ListBucket``. Without it S3 responds with 403, not 404, for an object that is missing."""
        return self._grant_s3(grantee, [actions.S3_LIST_BUCKET])

    def grant_delete(self, identity: iam.IGrantable, objects_key_pattern: Any = None) -> iam.Grant:
        """Allow ``s3:DeleteObject``, which in this versioned bucket hides an object and loses nothing."""
        return self._grant_s3(identity, [actions.S3_DELETE_OBJECT], [f"/{objects_key_pattern or '*'}"])

    def grant_read(self, identity: iam.IGrantable, objects_key_pattern: Any = None) -> iam.Grant:
        """Allow to list the bucket and to read objects and their versions; :meth:`grant_download` is narrower."""
        return self.grant_use(identity, actions.CDK_READ, [objects_key_pattern or "*"])

    def grant_put(self, identity: iam.IGrantable, objects_key_pattern: Any = None) -> iam.Grant:
        """Allow uploads, also in parts, and to see those in progress; :meth:`grant_upload` is narrower."""
        return self.grant_use(identity, actions.CDK_PUT, [objects_key_pattern or "*"])

    def grant_write(
        self,
        identity: iam.IGrantable,
        objects_key_pattern: Any = None,
        allowed_action_patterns: Sequence[str] | None = None,
    ) -> iam.Grant:
        """Allow what :meth:`grant_put` does, and ``s3:DeleteObject``, which hides an object and loses nothing.

        Raises:
            GrantRefused: ``allowed_action_patterns`` is given.
        """
        if allowed_action_patterns:
            self._refuse(
                f"allowed_action_patterns {list(allowed_action_patterns)}", "call grant_upload or grant_delete"
            )
        return self.grant_use(identity, actions.CDK_WRITE, [objects_key_pattern or "*"])

    def grant_read_write(self, identity: iam.IGrantable, objects_key_pattern: Any = None) -> iam.Grant:
        """Allow what :meth:`grant_read` and :meth:`grant_write` do."""
        written = self.grant_write(identity, objects_key_pattern)
        return self.grant_read(identity, objects_key_pattern).combine(written)

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

    def grant_use(self, grantee: iam.IGrantable, use: actions.ObjectUse, patterns: Sequence[str] = ("*",)) -> iam.Grant:
        """Allow one use of the objects that match one of ``patterns``: in S3, and of the key through S3."""
        below = [f"/{pattern}" for pattern in patterns]
        try:
            through_s3 = self._grant_kms(grantee, use.kms, patterns)
        except PolicyNotWritten:
            # As an s3.Bucket takes it; CDK Pipelines grant to the roles of the bootstrap.
            if use not in (actions.CDK_READ, actions.CDK_PUT, actions.CDK_WRITE):
                raise
            through_s3 = self._grant_kms(grantee, use.kms, patterns, key_policy_only=True)
            _report(self, grantee, use.objects, below, "has a policy that is written elsewhere: it")
        grant = self._grant_s3(grantee, use.objects, below).combine(through_s3)
        return self._grant_s3(grantee, use.bucket).combine(grant) if use.bucket else grant

    def _grant_s3(self, grantee: iam.IGrantable, allowed: Sequence[str], below: Sequence[str] = ("",)) -> iam.Grant:
        arn = self._arn_seen_from(grantee)
        account = grantee.grant_principal.principal_account
        if account and not Token.is_unresolved(account) and account != self.stack.account:
            there = f"is in account {account}: the bucket policy names it, its own policy"
            _report(self, grantee, allowed, below, there)
        return iam.Grant.add_to_principal_or_resource(
            grantee=grantee,
            actions=list(allowed),
            resource_arns=[f"{arn}{part}" for part in below],
            resource=self,
            resource_self_arns=[f"{self.bucket_arn}{part}" for part in below],
        )

    def _grant_kms(
        self,
        grantee: iam.IGrantable,
        kms: Sequence[str],
        patterns: Sequence[str] = ("*",),
        *,
        key_policy_only: bool = False,
    ) -> iam.Grant:
        # The key policy cannot name the bucket, which names the key: its context is the identity's condition alone.
        # With a Bucket Key the context is the bucket's ARN, without one the object's.
        arn = self._arn_seen_from(grantee)
        arns = [arn, *(f"{arn}/{pattern}" for pattern in patterns)]
        context: Conditions = {"StringLike": {CONTEXT_PREFIX + S3_CONTEXT_KEY: arns}}
        return self._key.grant_operations(
            grantee, *kms, via_service="s3", identity_conditions=context, key_policy_only=key_policy_only
        )

    def _arn_seen_from(self, grantee: iam.IGrantable) -> str:
        """The bucket's ARN as the grantee's stack can write it without a cycle."""
        principal: Any = grantee.grant_principal
        home = Stack.of(principal) if hasattr(principal, "node") else self.stack
        if home.node.path == self.stack.node.path:
            return self.bucket_arn
        if name := _literal_name(self):
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
        bucket.grant_use(grantee, use, objects).assert_success()
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


def grant_role_objects(role: iam.Role, bucket: s3.IBucket, use: actions.ObjectUse, pattern: str = "*") -> None:
    """Allow ``role``, which is of one function or job, the objects of that pattern, and say why of all of them."""
    grant_objects(bucket, role, use, [pattern])
    acknowledge_objects(role, bucket, pattern)


def _report(
    bucket: s3.Bucket, grantee: iam.IGrantable, allowed: Sequence[str], below: Sequence[str], where: str
) -> None:
    name = _literal_name(bucket)
    arn = f"arn:{bucket.stack.partition}:s3:::{name}" if name else bucket.bucket_arn
    document = {"Effect": "Allow", "Action": list(allowed), "Resource": [f"{arn}{part}" for part in below]}
    Annotations.of(bucket).add_info(
        f"{_path(grantee)} {where} must allow the same, or S3 responds with AccessDenied. Add there:\n"
        f"{json.dumps(literal(document, bucket.stack), indent=2)}"
    )


def _literal_name(bucket: s3.Bucket) -> str | None:
    child = bucket.node.default_child
    name = child.bucket_name if isinstance(child, s3.CfnBucket) else None
    return None if Token.is_unresolved(name) else name


def _path(grantee: iam.IGrantable) -> str:
    principal: Any = grantee.grant_principal
    return str(principal.node.path) if hasattr(principal, "node") else str(principal)
