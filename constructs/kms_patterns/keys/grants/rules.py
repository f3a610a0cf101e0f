"""The rules of every grant on a key, between a ``grant_…`` method and the writer of the two statements."""

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Unpack

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.cdk_calls import CallsOfConstructs, ForConstruct
from kms_patterns.keys.grants.cdk_statements import ViaService, grant_in_key_policy, is_in_key_policy_alone, is_through
from kms_patterns.keys.grants.grantee import principal_of
from kms_patterns.keys.grants.policy_checks import (
    check_context,
    check_grant_operations,
    check_operations,
    check_pins,
    check_symmetric,
)
from kms_patterns.keys.grants.target import GrantConditions, Source, Writer
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.policy import actions as kms_actions
from kms_patterns.policy import conditions as when
from kms_patterns.policy.actions import CREATE_GRANT, narrow, used
from kms_patterns.policy.key_specs import (
    ALGORITHMS,
    DATA_KEY_PAIR_SPEC,
    DATA_KEY_PAIR_SPECS,
    MESSAGE_TYPE,
    SIGNING_ALGORITHM,
    MlKemUsage,
    message_types,
    pinned,
)
from kms_patterns.policy.services import SERVICES

if TYPE_CHECKING:
    _Key = kms.Key
else:
    _Key = object


class GrantRules(CallsOfConstructs, _Key):
    """What every ``grant_…`` method of a key of this app, or of another owner, comes down to."""

    operations: Sequence[str]
    """KMS actions that a key of this type supports."""
    access: KeyAccess
    """Whether the key policy names the users of the key."""
    key_usage: kms.KeyUsage | MlKemUsage
    if TYPE_CHECKING:

        def serve_resources_of(self, service: str, stack: Stack) -> None:
            """See ``GrantTarget``."""

        @property
        def services_with_creators(self) -> Set[str]:
            """See ``GrantTarget``."""

    _writer: Writer
    _region: str
    sources_of_services: list[Source]
    """Resources for which constructs of the AWS CDK let services use the key."""

    @checked
    def grant_operations(
        self,
        grantee: iam.IGrantable,
        *operations: str,
        identity_conditions: when.Conditions | None = None,
        **demanded: Unpack[GrantConditions],
    ) -> iam.Grant:
        """Allow one role or user these exact operations, in the key policy and in its own policy.

        Args:
            grantee: A role, a user, or anything that has one, such as a function.
            operations: KMS actions, from ``kms_patterns.policy.actions``.
            identity_conditions: Conditions for the grantee's own policy only: for values of resources that are
                encrypted under this key, which the key policy cannot name without a dependency cycle.
            demanded: See :class:`~kms_patterns.keys.grants.target.GrantConditions`.

        Raises:
            GrantRefused: The key cannot do it, or the grant would be void or too wide; the message says what to do.

        See https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
        """
        who = principal_of(grantee)
        if (through := ViaService.of(who, self)) is not None:
            return self._grant_through(through, grantee, operations)
        check_operations(self, operations)
        pairs, names = demanded.get("encryption_context") or {}, demanded.get("required_context") or ()
        conditions = demanded.get("conditions")
        check_context(self, pairs, names, conditions)
        context = when.encryption_context(pairs, names, conditions)
        shared = self._merged(context, self._via(demanded.get("via_service")), conditions or {})
        construct = grantee if isinstance(grantee, ForConstruct) else None
        if is_in_key_policy_alone(self, who, shared, by_construct=construct is not None):
            return grant_in_key_policy(self, who, operations, shared)
        own = self._merged(shared, identity_conditions or {})
        only = demanded.get("key_policy_only", construct is not None and construct.key_policy_only)
        return self._writer.grant(grantee, operations, shared, own, key_policy_only=only)

    @checked
    def grant_pinned(
        self,
        grantee: iam.IGrantable,
        *operations: str,
        pins: Mapping[str, Sequence[str] | None],
        **demanded: Unpack[GrantConditions],
    ) -> iam.Grant:
        """Do what :meth:`grant_operations` does, for requests that name one of the pinned values only.

        Args:
            grantee: A role, a user, or anything that has one.
            operations: KMS actions, from ``kms_patterns.policy.actions``.
            pins: Condition key -> allowed values; None allows any.
            demanded: See :class:`~kms_patterns.keys.grants.target.GrantConditions`.

        Raises:
            GrantRefused: No request with this key can have such a value, or :meth:`grant_operations` refuses.
        """
        for key, values in pins.items():
            known = self._known(key)
            if key == MESSAGE_TYPE:
                known = message_types(pins.get(SIGNING_ALGORITHM) or known)
            check_pins(self.node.path, key, values, known)
        limits = (pinned(key, values) for key, values in pins.items())
        demanded["conditions"] = self._merged(demanded.get("conditions") or {}, *limits)
        return self.grant_operations(grantee, *operations, **demanded)

    @checked
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
        if isinstance(grantee, ForConstruct) and isinstance(grantee.grant_principal, iam.ServicePrincipal):
            return grant_in_key_policy(self, grantee.grant_principal, exact, {})
        if isinstance(grantee, ForConstruct) and CREATE_GRANT in exact and not is_through(principal_of(grantee)):
            # Alone ec2.Volume asks for it, for the role that attaches it; it adds its conditions to the role's half.
            rest, use = [it for it in exact if it != CREATE_GRANT], SERVICES["ebs"]
            operations = [action.removeprefix("kms:") for action in rest] or use.grant_operations
            making = self.grant_create_grant(grantee, operations=operations, via_service=None if rest else use.host)
            return self.grant_operations(grantee, *used(rest)).combine(making) if rest else making
        return self.grant_operations(grantee, *(used(exact) if isinstance(grantee, ForConstruct) else exact))

    def grant_encrypt(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Encrypt``."""
        return self.grant(grantee, kms_actions.ENCRYPT)

    def grant_decrypt(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Decrypt``."""
        return self.grant(grantee, kms_actions.DECRYPT)

    def grant_encrypt_decrypt(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Encrypt`` and ``kms:Decrypt``."""
        return self.grant(grantee, kms_actions.ENCRYPT, kms_actions.DECRYPT)

    def grant_sign(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Sign``."""
        return self.grant(grantee, kms_actions.SIGN)

    def grant_verify(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Verify``."""
        return self.grant(grantee, kms_actions.VERIFY)

    def grant_sign_verify(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Sign`` and ``kms:Verify``."""
        return self.grant(grantee, kms_actions.SIGN, kms_actions.VERIFY)

    def grant_generate_mac(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:GenerateMac``."""
        return self.grant(grantee, kms_actions.GENERATE_MAC)

    def grant_verify_mac(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:VerifyMac``."""
        return self.grant(grantee, kms_actions.VERIFY_MAC)

    @checked
    def grant_create_grant(
        self,
        grantee: iam.IGrantable,
        *,
        operations: Sequence[str],
        via_service: str | None = None,
        conditions: when.Conditions | None = None,
        key_policy_only: bool = False,
    ) -> iam.Grant:
        """Allow ``kms:CreateGrant`` for AWS resources only, and for these operations only.

        Args:
            grantee: A role, a user, or anything that has one.
            operations: Operations of KMS grants, such as ``Decrypt``: no KMS grant with another one can be made.
            via_service: The service that makes the grant for the grantee. Defaults to any integrated service.
            conditions: Further conditions.
            key_policy_only: See :class:`~kms_patterns.keys.grants.target.CallConditions`.

        Raises:
            GrantRefused: KMS grants on this key cannot hold such an operation, or no request could meet the conditions.

        See https://docs.aws.amazon.com/kms/latest/developerguide/create-grant-overview.html
        """
        check_grant_operations(self, operations)
        demanded = self._merged(when.aws_resource_grants(operations), self._via(via_service), conditions or {})
        return self._writer.grant(
            grantee, [CREATE_GRANT], demanded, demanded, purpose="grants", key_policy_only=key_policy_only
        )

    def _via(self, service: str | None) -> when.Conditions:
        if service is None:
            return {}
        try:
            return when.via_service(service, self._region)
        except ValueError as error:
            raise GrantRefused(f"{self.node.path}: {error}") from error

    def _merged(self, *parts: when.Conditions) -> dict[str, dict[str, object]]:
        try:
            return when.merge(*parts)
        except ValueError as error:
            raise GrantRefused(f"{self.node.path}: {error}") from error

    def _known(self, key: str) -> Sequence[str]:
        """Return the values of a condition key that requests with this key can have."""
        return DATA_KEY_PAIR_SPECS if key == DATA_KEY_PAIR_SPEC else self._algorithms(ALGORITHMS[self.key_usage.value])

    def _algorithms(self, of_usage: Mapping[str, Sequence[str]]) -> Sequence[str]:
        # The spec of an imported key is not known: any algorithm of its usage.
        return tuple(dict.fromkeys(name for spec in of_usage if spec != "SYMMETRIC_DEFAULT" for name in of_usage[spec]))

    def _grant_through(self, through: ViaService, grantee: iam.IGrantable, operations: Sequence[str]) -> iam.Grant:
        check_symmetric(self, through.host)
        if through.role is not None:
            used = [operation for operation in operations if operation != CREATE_GRANT]
            return self.grant_operations(through.role, *used, via_service=through.host)
        if through.others is not None:
            raise GrantRefused(
                f"{self.node.path}: every role of {through.others} would use the key through {through.host}, and the "
                "key policy names its users: their calls would end in AccessDeniedException. Grant single roles, "
                "iam.Role.from_role_arn(…) of the other account, or encrypt what is shared under a kms.Key"
            )
        if not isinstance(grantee, ForConstruct):
            raise GrantRefused(
                f"{self.node.path}: a ViaServicePrincipal without a role lets a service use the key for every caller "
                "of the account: grant each role with via_service=, or call allow_use_through"
            )
        # Meant for the roles that create and read the resource: its creator is found at synth, its readers are granted.
        return iam.Grant.drop(grantee.grantee, "the role that deploys the resource is allowed instead of the account")
