"""Grants that write both halves: into the key policy and into the policy of the role or user."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.cdk_calls import called_by_the_cdk
from kms_patterns.keys.grants.cdk_statements import SourceArn, grant_to_service, narrowed
from kms_patterns.keys.grants.policy_checks import (
    check_callers_statement,
    check_context,
    check_operations,
    check_symmetric,
)
from kms_patterns.keys.grants.service_grants import ServiceGrants
from kms_patterns.keys.grants.via_service import ViaService
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.policy import conditions as when
from kms_patterns.policy.actions import CREATE_GRANT, narrow
from kms_patterns.policy.services import SERVICES

if TYPE_CHECKING:
    from kms_patterns.keys.grants.grant_writer import GrantWriter

    _Base = kms.Key
else:
    _Base = object


class TwoKeyGrants(ServiceGrants, _Base):
    """What every ``grant_…`` method of a key comes down to, and the check of a caller's own statements."""

    _grants: "GrantWriter"
    _access: KeyAccess
    sources_of_services: "list[SourceArn]"
    """For which resources constructs of the AWS CDK let services use the key."""

    @property
    @abstractmethod
    def operations(self) -> Sequence[str]:
        """The cryptographic operations that this type of key can do."""

    @property
    @abstractmethod
    def administration(self) -> Sequence[str]:
        """The actions of those who manage this key."""

    @property
    def access(self) -> KeyAccess:
        """Whether the key policy names the users of the key."""
        return self._access

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
        through = ViaService.of(grantee, self)
        if through is not None:
            return self._grant_through(through, grantee, operations)
        check_operations(self, operations)
        check_context(self, encryption_context, required_context, conditions)
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
        if called_by_the_cdk():
            if isinstance(grantee.grant_principal, iam.ServicePrincipal):
                return grant_to_service(self, grantee, exact)
            if exact == [CREATE_GRANT]:
                # Only ec2.Volume asks for this, for whoever attaches it; it adds its conditions to the role's half.
                use = SERVICES["ebs"]
                return self.grant_create_grant(grantee, operations=use.grant_operations, via_service=use.host)
        return self.grant_operations(grantee, *exact)

    def grant_admin(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow one role or user to manage the key: not to use it, and not to mint KMS grants.

        PutKeyPolicy is part of it, so an administrator *can* change the policy and then use the key; CloudTrail
        records that. For the alias actions IAM must also allow the alias, which is a resource of its own.
        """
        return self._grants.grant(grantee, self.administration, {}, {}, purpose="administration")

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
            statement = narrowed(self, statement) if called_by_the_cdk() else statement
            check_callers_statement(self, statement)
        added = super().add_to_resource_policy(statement, allow_no_op).statement_added
        # The AWS CDK names the policy document here, which nothing can depend on: grant.apply_before would fail.
        return iam.AddToResourcePolicyResult(statement_added=added, policy_dependable=self)

    def _grant_through(self, through: ViaService, grantee: iam.IGrantable, operations: Sequence[str]) -> iam.Grant:
        check_symmetric(self, through.host)
        if through.role is not None:
            used = [operation for operation in operations if operation != CREATE_GRANT]
            return self.grant_operations(through.role, *used, via_service=through.host)
        if not called_by_the_cdk():
            raise GrantRefused(
                f"{self.node.path}: a ViaServicePrincipal lets a service use the key for whoever calls it: "
                "grant each role with via_service=, or call allow_use_through"
            )
        # Meant for whoever creates and reads the resource: its creator is found at synth, its readers are granted.
        return iam.Grant.drop(grantee, "the role that deploys the resource is allowed instead of the account")
