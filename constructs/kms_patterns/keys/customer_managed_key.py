"""What every customer managed key has in common: a two-key policy, exact grants, checks at synth."""

from collections.abc import Sequence
from functools import cached_property
from typing import cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.grant_writer import GrantWriter
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.keys.key_lifecycle import KeyLifecycle
from kms_patterns.keys.key_properties import check_alias, check_pending_window, check_rotation_period
from kms_patterns.keys.synth_checks import check_at_synth
from kms_patterns.keys.two_key_grants import TwoKeyGrants
from kms_patterns.policy.statements import account_administration


class CustomerManagedKey(TwoKeyGrants, kms.Key):
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

    @cached_property
    def resource(self) -> kms.CfnKey:
        """The L1 construct of the key."""
        return cast("kms.CfnKey", self.node.default_child)

    @property
    def lifecycle(self) -> KeyLifecycle:
        """What becomes of the key with its stack."""
        return self._lifecycle

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
