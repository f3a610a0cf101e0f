"""A bucket whose objects are all under one KMS key, with grants that name the one operation they are for."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack, cast

from aws_cdk import CfnResource, CustomResourceProviderBase, Duration, RemovalPolicy, Stack, aws_logs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from kms_patterns.keys.environment import Home, arn_of, home_of, id_of, is_unresolved, stack_of
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.imported.imported_types import ImportedEncryptionKey
from kms_patterns.keys.key_options import KeyLifecycle, removal_policy
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.keys.synth.deployment_role import deployers
from kms_patterns.patterns.parts.object_grants import ObjectGrants
from kms_patterns.policy.bucket_statements import configured_by_deployment, only_under_key
from kms_patterns.policy.statements import Document


class BucketOptions(TypedDict, total=False):
    """What ``s3.Bucket`` takes and an ``EncryptedBucket`` leaves to its caller, with the names and defaults of the CDK.

    See https://docs.aws.amazon.com/cdk/api/v2/python/aws_cdk.aws_s3/Bucket.html
    """

    abac_status: bool
    auto_delete_objects: bool
    bucket_name: str
    bucket_name_prefix: str
    bucket_namespace: s3.BucketNamespace
    cors: Sequence[s3.CorsRule]
    event_bridge_enabled: bool
    intelligent_tiering_configurations: Sequence[s3.IntelligentTieringConfiguration]
    inventories: Sequence[s3.Inventory]
    lifecycle_rules: Sequence[s3.LifecycleRule]
    metrics: Sequence[s3.BucketMetrics]
    notifications_handler_role: iam.IRole
    notifications_skip_destination_validation: bool
    object_lock_default_retention: s3.ObjectLockRetention
    object_lock_enabled: bool
    replication_role: iam.IRole
    replication_rules: Sequence[s3.ReplicationRule]
    server_access_logs_bucket: s3.IBucket
    server_access_logs_prefix: str
    target_object_key_format: s3.TargetObjectKeyFormat
    transfer_acceleration: bool
    transition_default_minimum_object_size: s3.TransitionDefaultMinimumObjectSize


_FIXED: Final[Mapping[str, str]] = {
    "access_control": "ACLs are off: the bucket's owner owns every object",
    "block_public_access": "all public access is blocked",
    "blocked_encryption_types": "every encryption but SSE-KMS under the key is denied",
    "bucket_key_enabled": "the Bucket Key is on",
    "encryption": "it is SSE-KMS under encryption_key",
    "enforce_ssl": "TLS 1.2 or later is enforced",
    "minimum_tls_version": "it is 1.2",
    "object_ownership": "ACLs are off: the bucket's owner owns every object",
    "public_read_access": "readers need the key, which names its users",
    "removal_policy": "give lifecycle=KeyLifecycle.RETAIN or KeyLifecycle.EPHEMERAL",
    "versioned": "the bucket is versioned",
    "website_error_document": "S3 websites are public, readers need the key; put CloudFront before the bucket",
    "website_index_document": "S3 websites are public, readers need the key; put CloudFront before the bucket",
    "website_redirect": "S3 websites are public; use an s3.Bucket of its own for a redirect",
    "website_routing_rules": "S3 websites are public; use an s3.Bucket of its own for routing rules",
}
"""Parameters of ``s3.Bucket`` that an ``EncryptedBucket`` fixes, and to what."""


class EncryptedBucket(ObjectGrants, s3.Bucket):
    """An ``s3.Bucket`` under SSE-KMS with a Bucket Key, versioned, private, reachable over TLS 1.2 or later only.

    Its grants, S3's and the key's, stand in :class:`~kms_patterns.patterns.parts.object_grants.ObjectGrants`.

    Uploads that name another key, another encryption or a key of their own (SSE-C) are denied, and so are those that
    name ``aws:kms`` without a key, which S3 would take for ``aws/s3``; uploads that name nothing are encrypted under
    ``encryption_key``. With the Bucket Key, S3 calls KMS up to 99 % less often, and KMS sees the bucket's ARN as
    encryption context instead of each object's. S3 keeps a bucket-level key for a limited time: to cut a role off at
    once, remove its S3 permission as well.

    Only the role that deploys the stack may change the bucket's default encryption, its policy or its replication, or
    delete it: an administrator who could would read every later upload. A stack whose synthesizer names no such role
    (``CliCredentialsStackSynthesizer``, ``LegacyStackSynthesizer``) is deployed with its caller's permissions: there,
    these requests must come through AWS CloudFormation. Of other synthesizers, and of deployments by another role than
    the synthesizer's, ``configured_by`` names the role.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        encryption_key: Symmetric key; it may be in another stack or account of the same Region, or imported by
            ``EncryptionKey.from_key_arn``. Uploads that name it in a header give its ARN or its id.
        allow_upload_by_alias: Aliases by which uploads may name the key, such as ``alias/documents``. S3 compares the
            name alone: a principal that may move an alias chooses the key of these uploads. Defaults to none.
        configured_by: ARNs of further roles or users that may change what only the deployment may: a role for
            emergencies, or the one that deploys if it is not the CDK's. Needed with ``cdk deploy --role-arn``, with
            CodePipeline's CloudFormation actions (their ``deployment_role``), and with a synthesizer of another
            library such as ``AppStagingSynthesizer``. Defaults to none.
        abort_incomplete_uploads_after: When the parts of an unfinished multipart upload are deleted, 1 to 7 days.
            Defaults to 7 days.
        lifecycle: What happens to the bucket when its stack is deleted. Defaults to that of the key, and to RETAIN
            under an imported key. S3 deletes empty buckets only; ``auto_delete_objects`` empties an ephemeral one.
        options: What else ``s3.Bucket`` takes, see :class:`BucketOptions`. ``lifecycle_rules`` are added to the one
            that aborts unfinished uploads. ``server_access_logs_bucket`` must be under SSE-S3: S3 cannot log under a
            customer's key that names its users.

    Raises:
        KeyConfigurationError: ``abort_incomplete_uploads_after`` is out of range, the key is in another Region, a
            parameter of ``s3.Bucket`` is given that this bucket fixes, or the role that deploys is not known.
        TypeError: The key is not a symmetric key of this package.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: EncryptionKey | ImportedEncryptionKey,
        allow_upload_by_alias: Sequence[str] = (),
        configured_by: Sequence[str] = (),
        abort_incomplete_uploads_after: Duration | None = None,
        lifecycle: KeyLifecycle | None = None,
        **options: Unpack[BucketOptions],
    ) -> None:
        home = home_of(stack_of(scope))
        _check_key(encryption_key, home)
        _check_options(construct_id, options)
        check_names(construct_id, allow_upload_by_alias=allow_upload_by_alias, configured_by=configured_by)
        if abort_incomplete_uploads_after is not None:
            _check_abort_after(abort_incomplete_uploads_after)
        abort_after = abort_incomplete_uploads_after or Duration.days(7)
        self._key = encryption_key
        kept = KeyLifecycle.RETAIN if isinstance(encryption_key, ImportedEncryptionKey) else encryption_key.lifecycle
        rules = [s3.LifecycleRule(id="AbortIncompleteUploads", abort_incomplete_multipart_upload_after=abort_after)]
        given: dict[str, Any] = {**options, "lifecycle_rules": [*rules, *options.get("lifecycle_rules", ())]}
        super().__init__(
            scope,
            construct_id,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=encryption_key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=removal_policy(lifecycle or kept),
            **given,
        )
        aliases = [f"arn:{home.partition}:kms:{home.region}:{home.account}:{name}" for name in allow_upload_by_alias]
        names = [arn_of(encryption_key), id_of(encryption_key), *allow_upload_by_alias, *aliases]
        arn = self.bucket_arn
        statements = only_under_key(f"{arn}/*", names)
        roles = deployers(stack_of(scope), configured_by)
        deny(self, *statements, configured_by_deployment(arn, roles, configured_by))
        if options.get("auto_delete_objects"):
            emptying(stack_of(self))


def deny(bucket: s3.Bucket, *statements: Document) -> None:
    """Add statements to the policy of ``bucket``, which has one that enforces TLS, all of them at once."""
    policy = cast("s3.BucketPolicy", bucket.policy)
    policy.document.add_statements(*(iam.PolicyStatement.from_json(statement) for statement in statements))


def emptying(stack: Stack) -> CustomResourceProviderBase | None:
    """Return the CDK's function that empties buckets of a stack, if there is one, with a log group of the stack.

    Lambda would make the log group at the first call, and it would stay when the stack is deleted.

    See https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
    """
    found = stack.node.try_find_child("Custom::S3AutoDeleteObjectsCustomResourceProvider")
    if not isinstance(found, CustomResourceProviderBase):
        return None
    function = found.node.find_child("Handler")
    if isinstance(function, CfnResource) and not found.node.try_find_child("Logs"):
        week, gone = aws_logs.RetentionDays.ONE_WEEK, RemovalPolicy.DESTROY
        logs = aws_logs.LogGroup(found, "Logs", retention=week, removal_policy=gone)
        function.add_property_override("LoggingConfig", {"LogGroup": logs.log_group_name})
    return found


def check_names(construct_id: str, **given: Sequence[str]) -> None:
    """Check lists of ARNs or aliases that a Deny of a bucket policy exempts.

    Raises:
        KeyConfigurationError: One is a pattern, or a single text.
    """
    for argument, names in given.items():
        if isinstance(names, str) or any("*" in name or "?" in name for name in names):
            raise KeyConfigurationError(
                f"{construct_id}: {argument}={names!r}: give a list of single names, without wildcards: a pattern "
                "would void a Deny of the bucket policy"
            )


def _check_options(construct_id: str, options: Mapping[str, object]) -> None:
    unknown = [name for name in options if name not in BucketOptions.__annotations__]
    if not unknown:
        return
    name = unknown[0]
    reason = _FIXED.get(name, "s3.Bucket has no such parameter")
    raise KeyConfigurationError(f"{construct_id}: an EncryptedBucket takes no {name}: {reason}")


def _check_key(key: EncryptionKey | ImportedEncryptionKey, home: Home) -> None:
    if not isinstance(key, EncryptionKey | ImportedEncryptionKey):
        raise TypeError(
            f"encryption_key is a {type(key).__name__}: S3 encrypts under symmetric keys, and grants "
            "on an EncryptedBucket name the users of its key: give an EncryptionKey, or EncryptionKey.from_key_arn(…)"
        )
    regions = [home_of(stack_of(key)).region, home.region]
    if regions[0] != regions[1] and not any(is_unresolved(region) for region in regions):
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
