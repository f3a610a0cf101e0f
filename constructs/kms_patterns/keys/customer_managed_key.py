"""The base of customer managed keys: a two-key policy, exact grants, checks at synth."""

from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from typing import ClassVar, Unpack, cast

import jsii
from aws_cdk import Duration, RemovalPolicy, Stack, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.environment import home_of, note_made, note_path, path_of, stack_of
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.grants.cdk_calls import KeyForConstructs
from kms_patterns.keys.grants.grant_writer import GrantWriter
from kms_patterns.keys.grants.key_policy import KeyPolicy, OwnStatement
from kms_patterns.keys.grants.policy_checks import check_callers_statement
from kms_patterns.keys.grants.service_grants import ServiceGrants
from kms_patterns.keys.key_options import KeyAccess, KeyLifecycle, PrimaryKeyOptions, management, removal_policy
from kms_patterns.keys.key_properties import (
    PENDING_WINDOW_DAYS,
    ROTATION_DAYS,
    check_days,
    check_description,
    check_key_spec,
    check_perimeter,
    check_protection,
    check_rotates,
    check_tags,
    scoped_alias,
)
from kms_patterns.keys.synth.deployment_role import Replication
from kms_patterns.keys.synth.synth_checks import check_at_synth
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.guardrails import guardrails
from kms_patterns.policy.key_specs import MlKemSpec, MlKemUsage
from kms_patterns.policy.statements import Document, account_administration, account_use


@jsii.implements(KeyForConstructs)
class CustomerManagedKey(ServiceGrants, kms.Key):
    """Base of this package's keys; use one of those, such as ``EncryptionKey``."""

    @checked
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key_spec: kms.KeySpec | MlKemSpec,
        key_usage: kms.KeyUsage | MlKemUsage,
        rotates: bool = False,
        rotation_period: Duration | None = None,
        on_demand_rotation: bool = False,
        **options: Unpack[PrimaryKeyOptions],
    ) -> None:
        pending_window, perimeter = options.get("pending_window"), options.get("perimeter")
        description, tags = options.get("description"), options.get("tags")
        lifecycle = options.get("lifecycle", KeyLifecycle.RETAIN)
        multi_region, imported_material = options.get("multi_region", False), options.get("imported_material", False)
        stack = stack_of(scope)
        home = home_of(stack)
        check_key_spec(scope, key_spec, key_usage, symmetric=GENERATE_DATA_KEY in self.operations)
        check_rotates(rotation_period, rotates=rotates)
        check_days("rotation_period", rotation_period, ROTATION_DAYS)
        check_days("pending_window", pending_window, PENDING_WINDOW_DAYS)
        protect = check_protection(options.get("protect_while_in_use"), lifecycle, enabled=options.get("enabled", True))
        check_perimeter(perimeter, home.account)
        check_description(description)
        check_tags(tags)
        names = [name for name in (options.get("alias"), *options.get("aliases", ())) if name is not None]
        for name in names:
            scoped_alias(name, stack)
        ephemeral = lifecycle is KeyLifecycle.EPHEMERAL
        window = pending_window or (Duration.days(7) if ephemeral else None)
        self.key_spec, self.key_usage = key_spec, key_usage
        self.access = options.get("access", KeyAccess.NAMED)
        self.binds_role_ids = options.get("bind_role_ids", False)
        if self.binds_role_ids and self.access is KeyAccess.DELEGATED:
            raise KeyConfigurationError(
                f"{construct_id}: bind_role_ids with access=KeyAccess.DELEGATED: the key policy of such a key names no "
                "role, so no id would be demanded; omit bind_role_ids, or make the key with KeyAccess.NAMED"
            )
        self.lifecycle, self.perimeter = lifecycle, perimeter
        self._served, self._created = set(), set()
        self.sources_of_services = []
        self.multi_region, self.imported_material = multi_region, imported_material
        self.administration = management(on_demand_rotation, multi_region, imported_material)
        """The actions of this key's administrators."""
        policy = KeyPolicy()
        # Left to KMS, as by kms.Key: spelled out, they would change properties of a migrated key that are fixed.
        plain = key_spec is kms.KeySpec.SYMMETRIC_DEFAULT
        super().__init__(
            scope,
            construct_id,
            description=description,
            enabled=None if options.get("enabled", True) else False,
            enable_key_rotation=rotates or None,
            rotation_period=rotation_period,
            key_spec=key_spec if isinstance(key_spec, kms.KeySpec) and not plain else None,
            key_usage=key_usage if isinstance(key_usage, kms.KeyUsage) and not plain else None,
            multi_region=multi_region or None,
            pending_window=window,
            policy=policy,
            removal_policy=removal_policy(lifecycle),
        )
        note_made(self, construct_id, scope)
        self._region = home.region
        self._key_policy, self._writer = policy, GrantWriter(self, policy)
        policy.add(OwnStatement(self._of_the_account(home.root)))
        if isinstance(key_spec, MlKemSpec):
            self.resource.key_spec, self.resource.key_usage = key_spec.value, key_usage.value
        check_at_synth(self)
        if imported_material:
            self.resource.origin = "EXTERNAL"
        for name, value in (tags or {}).items():
            self.resource.tags.set_tag(name, value)
        self._writer.guard(guardrails(window, perimeter, protect))
        self._replication = Replication(stack) if multi_region else None
        self._writer.guard(self._replication.statements if self._replication else [])
        self.grant_names: set[str] = set()
        """Names that the KeyGrants of this key were given."""
        self._alias_names: set[str] = set()
        for name in names:
            self.add_alias(name)
        for administrator in options.get("administrators", ()):
            self.grant_admin(administrator)

    @cached_property
    def resource(self) -> kms.CfnKey:
        """The L1 construct of the key."""
        found = cast("kms.CfnKey", self.node.default_child)
        note_path(found, f"{path_of(self)}/Resource")
        return found

    @property
    def statements_for_elsewhere(self) -> Set[str]:
        """Ids of the key policy statements for roles and users whose own policies this app does not write."""
        return self._key_policy.elsewhere

    @checked
    def grant_admin(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow one role or user to manage the key: not to use it, and not to create KMS grants.

        PutKeyPolicy is part of it, so an administrator *can* change the policy and then use the key; CloudTrail
        records that. For the alias actions IAM must also allow the alias, which is a resource of its own.
        """
        return self._writer.grant(grantee, self.administration, {}, {}, purpose="administration")

    def allow_replication(self, stack: Stack) -> None:
        """Let the role that deploys ``stack`` replicate the key to its Region: every ``ReplicaKey`` calls this."""
        if self._replication is not None:
            self._replication.allow(stack)

    def add_to_resource_policy(
        self,
        statement: iam.PolicyStatement,
        allow_no_op: bool | None = None,  # noqa: FBT001 -- inherited signature
    ) -> iam.AddToResourcePolicyResult:
        """Add a statement of your own to the key policy, if it is exact; the ``grant_…`` methods write both halves.

        Raises:
            GrantRefused: It allows wildcards, or use of the key to a whole account or to everyone.
        """
        check_callers_statement(self, statement)
        self._key_policy.add_of_others(statement)
        added = super().add_to_resource_policy(statement, allow_no_op).statement_added
        # The AWS CDK names the policy document here, which nothing can depend on: grant.apply_before would fail.
        return iam.AddToResourcePolicyResult(statement_added=added, policy_dependable=self)

    def write_statement(self, statement: iam.PolicyStatement) -> None:
        """Add a statement of this package to the key policy, without the checks of a caller's statement."""
        self._key_policy.add_of_others(statement)
        super().add_to_resource_policy(statement)

    @checked
    def add_alias(self, alias_name: str) -> kms.Alias:
        """Add an alias, which is deleted with its stack, also where the key stays.

        An alias that stayed would refuse the stack's next deployment (AlreadyExistsException).

        Args:
            alias_name: ``orders/data`` for ``alias/<stack name>/orders/data``, so that two deployments do not collide;
                a full name, ``alias/…``, is taken as it is. Letters, digits, ``/``, ``_`` and ``-``.

        Raises:
            KeyConfigurationError: KMS would refuse the name, or the key has it already.
        """
        name = scoped_alias(alias_name, self.stack)
        if name in self._alias_names:
            raise KeyConfigurationError(
                f"{self.node.path}: alias {alias_name!r} is given twice (AlreadyExistsException); give it once"
            )
        if self._alias_names and Token.is_unresolved(name):
            # The AWS CDK makes the id of the name, and no id may hold a token: that of a nested stack's name.
            alias = kms.Alias(self, f"Alias{alias_name}", alias_name=name, target_key=self)
        else:
            alias = super().add_alias(name)
        self._alias_names.add(name)
        alias.apply_removal_policy(RemovalPolicy.DESTROY)
        return alias

    def _of_the_account(self, root: str) -> Document:
        """Return the statement without which no one could manage the key."""
        if self.access is KeyAccess.DELEGATED:
            return account_use(root)
        return account_administration(root, self.administration)

    def _algorithms(self, of_usage: Mapping[str, Sequence[str]]) -> Sequence[str]:
        return of_usage[self.key_spec.value]


class KeyOfOneUsage(CustomerManagedKey):
    """A key whose usage its type says, and its spec also, where it is given none."""

    _default_spec: ClassVar[kms.KeySpec]

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key_spec: kms.KeySpec | None = None,
        **options: Unpack[PrimaryKeyOptions],
    ) -> None:
        spec = key_spec or self._default_spec
        super().__init__(scope, construct_id, key_spec=spec, key_usage=self.key_usage, **options)
