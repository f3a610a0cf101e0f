"""What every customer managed key has in common: a two-key policy, exact grants, checks at synth."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grant_writer import GrantWriter
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.keys.key_lifecycle import KeyLifecycle
from kms_patterns.keys.key_properties import check_alias, check_pending_window, check_rotation_period
from kms_patterns.keys.policy_checks import check_callers_statement, check_operations
from kms_patterns.keys.synth_checks import check_at_synth
from kms_patterns.policy import conditions as when
from kms_patterns.policy.actions import ADMINISTRATION, narrow
from kms_patterns.policy.statements import account_administration


class CustomerManagedKey(kms.Key):
    """Base of this package's keys; use one of those, such as ``EncryptionKey``."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key_spec: kms.KeySpec,
        key_usage: kms.KeyUsage,
        rotates: bool,
        alias: str | None,
        description: str | None,
        administrators: Sequence[iam.IGrantable],
        rotation_period: Duration | None,
        pending_window: Duration | None,
        enabled: bool,
        lifecycle: KeyLifecycle,
        access: KeyAccess,
    ) -> None:
        check_rotation_period(rotation_period)
        check_pending_window(pending_window)
        alias_name = check_alias(alias) if alias is not None else None
        ephemeral = lifecycle is KeyLifecycle.EPHEMERAL
        self._access, self._lifecycle = access, lifecycle
        self._removal_policy = RemovalPolicy.DESTROY if ephemeral else RemovalPolicy.RETAIN
        super().__init__(
            scope,
            construct_id,
            description=description,
            enabled=enabled,
            enable_key_rotation=rotates or None,
            rotation_period=rotation_period,
            key_spec=key_spec,
            key_usage=key_usage,
            pending_window=pending_window or (Duration.days(7) if ephemeral else None),
            policy=iam.PolicyDocument(statements=[account_administration()]) if access is KeyAccess.NAMED else None,
            removal_policy=self._removal_policy,
        )
        self._grants = GrantWriter(self)
        check_at_synth(self)
        if alias_name is not None:
            self.add_alias(alias_name)
        for administrator in administrators:
            self.grant_admin(administrator)

    @property
    @abstractmethod
    def operations(self) -> Sequence[str]:
        """The cryptographic operations that this type of key can do."""

    @cached_property
    def resource(self) -> kms.CfnKey:
        """The L1 construct of the key."""
        return cast("kms.CfnKey", self.node.default_child)

    @property
    def access(self) -> KeyAccess:
        """Whether the key policy names the users of the key."""
        return self._access

    @property
    def lifecycle(self) -> KeyLifecycle:
        """What becomes of the key with its stack."""
        return self._lifecycle

    def grant_operations(
        self,
        grantee: iam.IGrantable,
        *operations: str,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: when.Conditions | None = None,
        identity_conditions: when.Conditions | None = None,
    ) -> iam.Grant:
        """Allow one role or user these exact operations, in the key policy and in its own policy.

        Args:
            grantee: A role, a user, or anything that has one, such as a function.
            operations: KMS actions, from ``kms_patterns.policy.actions``.
            encryption_context: Pairs that the encryption context must hold. Left out: any context.
            required_context: Names that the encryption context must hold, with any value.
            via_service: AWS service that must make the call for the grantee, such as ``s3``. Left out: any way.
            conditions: Further conditions, operator -> condition key -> value.
            identity_conditions: Conditions for the grantee's own policy only: for values of resources that are
                encrypted under this key, which the key policy cannot name without a dependency cycle.

        Raises:
            GrantRefused: The key cannot do it, or the grant would be void or too wide; the message says what to do.

        See https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
        """
        check_operations(self, operations)
        try:
            shared = when.merge(
                when.encryption_context(encryption_context or {}),
                when.required_context(required_context or ()),
                when.via_service(via_service, self.stack.region) if via_service else {},
                conditions or {},
            )
            own = when.merge(shared, identity_conditions or {})
        except ValueError as error:
            raise GrantRefused(f"{self.node.path}: {error}") from error
        return self._grants.grant(grantee, operations, shared, own)

    def grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        """Allow exact operations; the constructs of the AWS CDK call this, and their wildcards are narrowed.

        Args:
            grantee: A role, a user, or anything that has one.
            actions: KMS actions. ``kms:GenerateDataKey*`` becomes ``kms:GenerateDataKey``, and what such a list names
                beside it without need (``kms:Encrypt``, ``kms:ReEncrypt*``) is left out.

        Raises:
            GrantRefused: See :meth:`grant_operations`.
        """
        try:
            exact = narrow(actions)
        except ValueError as error:
            raise GrantRefused(f"{self.node.path}: {error}") from error
        return self.grant_operations(grantee, *exact)

    def grant_admin(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow one role or user to manage the key: not to use it, and not to mint KMS grants.

        PutKeyPolicy is part of it, so an administrator *can* change the policy and then use the key; CloudTrail
        records that. For the alias actions IAM must also allow the alias, which is a resource of its own.
        """
        return self._grants.grant(grantee, ADMINISTRATION, {}, {}, purpose="administration")

    def add_to_resource_policy(
        self,
        statement: iam.PolicyStatement,
        allow_no_op: bool | None = None,  # noqa: FBT001 -- inherited signature
    ) -> iam.AddToResourcePolicyResult:
        """Add a statement of your own to the key policy, if it is exact; the ``grant_…`` methods write both halves.

        Raises:
            GrantRefused: It allows wildcards, or use of the key to a whole account or to everyone.
        """
        if not self._grants.wrote(statement):
            check_callers_statement(self, statement)
        return super().add_to_resource_policy(statement, allow_no_op)

    def add_alias(self, alias_name: str) -> kms.Alias:
        """Add an alias, which stays when the key stays and goes when the key goes.

        Args:
            alias_name: With or without ``alias/``; letters, digits, ``/``, ``_`` and ``-``.

        Raises:
            KeyConfigurationError: KMS would refuse the name.
        """
        alias = super().add_alias(check_alias(alias_name))
        alias.apply_removal_policy(self._removal_policy)
        return alias
