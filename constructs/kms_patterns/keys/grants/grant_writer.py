"""Writes both halves of a grant: the key policy's and the identity's."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.grantee import Grantee, check_inside, check_policy_written, resolve_grantee
from kms_patterns.keys.grants.ledger import StatementLedger
from kms_patterns.keys.imported.owner_statement import tell_identity
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.policy.conditions import PRINCIPAL_ARN, Conditions, merge, principal
from kms_patterns.policy.guardrails import SID_DENY_GRANTS_TO_OTHERS
from kms_patterns.policy.statements import grant_sid, named_grant

if TYPE_CHECKING:
    from kms_patterns.keys.customer_managed_key import CustomerManagedKey


class GrantWriter:
    """Writes the grants of one key, and extends them when the same role or user is granted more."""

    def __init__(self, key: "CustomerManagedKey") -> None:
        self._key = key
        self._in_key_policy, self._in_identity_policies = StatementLedger(), StatementLedger()
        self._sids: Counter[str] = Counter()
        self._grantees: dict[iam.IPrincipal, Grantee] = {}
        self._written: set[iam.PolicyStatement] = set()
        self.elsewhere: set[str] = set()
        """Ids of the statements whose other half is not in this app."""
        self._guardrail: iam.PolicyStatement | None = None
        self._minters: list[str] = []
        self._stack, self._key_arn = key.stack, key.key_arn

    def wrote(self, statement: iam.PolicyStatement) -> bool:
        """Whether ``statement`` is a key policy statement of a grant, which needs no check as a caller's does."""
        return statement in self._written

    def guard(self, statements: Iterable[iam.PolicyStatement]) -> None:
        """Add the guardrails of the key."""
        for statement in statements:
            if statement.sid == SID_DENY_GRANTS_TO_OTHERS:
                self._guardrail = statement
            self._key.add_to_resource_policy(statement)

    def except_from_guardrail(self, role_arn: str) -> None:
        """Let one role create KMS grants in spite of the guardrail."""
        self._minters.append(role_arn)
        if self._guardrail is not None:
            self._guardrail.add_condition("ArnNotEquals", {PRINCIPAL_ARN: list(self._minters)})

    def grant(
        self,
        grantee: iam.IGrantable,
        actions: Sequence[str],
        shared: Conditions,
        own: Conditions,
        *,
        purpose: str = "use",
    ) -> iam.Grant:
        """Write ``actions`` into the grantee's policy and, if the key names its users, into the key policy.

        Args:
            grantee: A role, a user, or anything that has one.
            actions: Exact KMS actions.
            shared: Conditions of the key policy's half.
            own: Conditions of the identity's half: ``shared`` and those that the key policy cannot name.
            purpose: Keeps use and administration in statements of their own.

        Raises:
            GrantRefused: The grantee cannot be named, or takes no policy.
        """
        named = self._named(grantee.grant_principal)
        try:
            merge(principal(named.arn), shared)
        except ValueError as error:
            raise GrantRefused(
                f"{self._key.node.path}: the grant names {named.path} by aws:PrincipalArn itself: {error}"
            ) from error
        subject = (named.path, purpose)

        def to_identity() -> tuple[iam.Grant, iam.PolicyStatement]:
            return self._to_identity(named, actions, own)

        def to_key() -> tuple[iam.Grant, iam.PolicyStatement]:
            return self._to_key(named, actions, shared)

        if named.account is not None:
            tell_identity(self._key, named.path, actions, own)
            return self._in_key_policy.grant(subject, actions, shared, to_key)
        identity = self._in_identity_policies.grant(subject, actions, own, to_identity)
        if self._key.access is KeyAccess.DELEGATED:
            return identity
        return identity.combine(self._in_key_policy.grant(subject, actions, shared, to_key))

    def grant_elsewhere(
        self, arn: str, path: str, actions: Sequence[str], conditions: Conditions, account: str | None = None
    ) -> None:
        """Write the key policy's half alone, for a role or user whose own policy this app cannot write.

        Args:
            arn: Its ARN.
            path: What the statement's id is made of.
            actions: Exact KMS actions.
            conditions: Conditions of the statement.
            account: Its account, where that is not the key's.
        """
        if self._key.access is KeyAccess.DELEGATED and account is None:
            return

        def to_key() -> tuple[iam.Grant, iam.PolicyStatement]:
            self._sids[path] += 1
            statement = named_grant(grant_sid(path, self._sids[path]), arn, actions, conditions, account)
            self._written.add(statement)
            self.elsewhere.add(statement.sid or "")
            self._key.add_to_resource_policy(statement)
            return iam.Grant.drop(iam.ArnPrincipal(arn), ""), statement

        self._in_key_policy.grant((path, str(arn)), actions, conditions, to_key)

    def _named(self, principal: iam.IPrincipal) -> Grantee:
        if principal not in self._grantees:
            grantee = resolve_grantee(principal, self._stack)
            check_inside(grantee, self._key.perimeter)
            self._grantees[principal] = grantee
        return self._grantees[principal]

    def _to_identity(
        self, named: Grantee, actions: Sequence[str], own: Conditions
    ) -> tuple[iam.Grant, iam.PolicyStatement]:
        grant = iam.Grant.add_to_principal(
            grantee=named.principal,
            actions=list(actions),
            resource_arns=[self._key_arn],
            conditions=own or None,
        )
        check_policy_written(named, grant)
        return grant, grant.principal_statements[0]

    def _to_key(
        self, named: Grantee, actions: Sequence[str], shared: Conditions
    ) -> tuple[iam.Grant, iam.PolicyStatement]:
        self._sids[named.path] += 1
        sid = grant_sid(named.path, self._sids[named.path])
        statement = named_grant(sid, named.arn, actions, shared, named.account)
        self._written.add(statement)
        if named.account is not None:
            self.elsewhere.add(sid)
        grant = iam.Grant.add_statement_to_resource_policy(
            statement=statement,
            grantee=named.principal,
            actions=list(actions),
            resource=self._key,
            resource_arns=[self._key_arn],
        )
        return grant, statement
