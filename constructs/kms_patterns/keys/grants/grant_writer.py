"""Writes both halves of a grant: the key policy's and the identity's."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jsii
from aws_cdk import IAnyProducer, IResolveContext, Lazy
from aws_cdk import aws_iam as iam
from aws_cdk.interfaces import ResourceEnvironment

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.grantee import Grantee, check_inside, resolve_grantee, unique_id
from kms_patterns.keys.grants.other_half import check_not_protected, check_policy_written, report_identity_half
from kms_patterns.keys.grants.target import KeyInApp
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.policy.conditions import PRINCIPAL_ARN, Conditions, merge, principal
from kms_patterns.policy.guardrails import SID_DENY_GRANTS_TO_OTHERS
from kms_patterns.policy.statements import grant_sid, grouped, named_grant, service_linked_grant


class GrantWriter:
    """Writes the grants of one key, and extends them when the same role or user is granted more."""

    def __init__(self, key: KeyInApp) -> None:
        self._key = key
        self._in_key_policy = StatementLedger()
        self._in_identity_policies = StatementLedger()
        self._sids: Counter[str] = Counter()
        self._grantees: dict[str, Grantee] = {}
        self._groupable: set[str] = set()
        self.elsewhere: set[str] = set()
        """Ids of the statements whose other half is not in this app."""
        self._guardrail: iam.PolicyStatement | None = None
        self._grant_makers: list[str] = []
        self._stack, self._key_arn, self._policy = key.stack, key.key_arn, _KeyPolicy(key)

    def guard(self, statements: Iterable[iam.PolicyStatement]) -> None:
        """Add the guardrails of the key."""
        for statement in statements:
            if statement.sid == SID_DENY_GRANTS_TO_OTHERS:
                self._guardrail = statement
            self._key.write_statement(statement)

    def except_from_guardrail(self, role_arn: str) -> None:
        """Let one role create KMS grants in spite of the guardrail."""
        if role_arn in self._grant_makers:
            return
        self._grant_makers.append(role_arn)
        if self._guardrail is not None:
            self._guardrail.add_condition("ArnNotEquals", {PRINCIPAL_ARN: list(self._grant_makers)})

    def grant(
        self,
        grantee: iam.IGrantable,
        operations: Sequence[str],
        shared: Conditions,
        own: Conditions,
        *,
        purpose: str = "use",
        key_policy_only: bool = False,
    ) -> iam.Grant:
        """Write ``operations`` into the grantee's policy and, if the key names its users, into the key policy.

        Args:
            grantee: A role, a user, or anything that has one.
            operations: Exact KMS actions.
            shared: Conditions of the key policy's half.
            own: Conditions of the identity's half: ``shared`` and those that the key policy cannot name.
            purpose: Keeps use and administration in statements of their own.
            key_policy_only: Report the identity's half instead of writing it.

        Raises:
            GrantRefused: The key policy cannot name the grantee, or no policy can be attached to the grantee.
        """
        named = self._named(grantee.grant_principal, key_policy_only=key_policy_only)
        try:
            merge(principal(named.arn), shared)
        except ValueError as error:
            raise GrantRefused(
                f"{self._key.node.path}: the grant names {named.path} by aws:PrincipalArn itself: {error}"
            ) from error
        shared = merge(shared, unique_id(named, self._key))
        subject = (named.path, purpose)
        if named.service_linked:
            return self._to_key(subject, named, operations, shared)
        if named.account is not None or key_policy_only:
            report_identity_half(self._key, named, operations, own)
            if named.account is None and self._key.access is KeyAccess.DELEGATED:
                return iam.Grant.drop(grantee, "the account's policies decide, and this one is written elsewhere")
            return self._to_key(subject, named, operations, shared, elsewhere=True)
        identity = self._to_identity(subject, named, operations, own)
        if self._key.access is KeyAccess.DELEGATED:
            return identity
        return identity.combine(self._to_key(subject, named, operations, shared))

    def grant_elsewhere(
        self, arn: str, path: str, operations: Sequence[str], conditions: Conditions, account: str | None = None
    ) -> None:
        """Write the key policy's half alone, for a role or user whose own policy this app cannot write.

        Args:
            arn: Its ARN.
            path: What the statement's id is made of.
            operations: Exact KMS actions.
            conditions: Conditions of the statement.
            account: Its account, where that is not the key's.
        """
        if self._key.access is KeyAccess.DELEGATED and account is None:
            return
        subject = (path, str(arn))
        if self._in_key_policy.extend(subject, operations, conditions) is None:
            statement = self._statement(path, arn, operations, conditions, account)
            self.elsewhere.add(statement.sid or "")
            self._key.write_statement(statement)
            self._in_key_policy.record(subject, conditions, iam.Grant.drop(iam.ArnPrincipal(arn), ""), statement)

    def _named(self, grantee: Any, *, key_policy_only: bool) -> Grantee:
        node = getattr(grantee, "node", None)
        resolved = self._grantees.get(node.path) if node is not None else None
        if resolved is None:
            resolved = resolve_grantee(grantee, self._stack)
            check_inside(resolved, self._key.perimeter)
            self._grantees[resolved.path] = resolved
        if not key_policy_only:
            check_not_protected(resolved)
        return resolved

    def _to_identity(
        self, subject: tuple[str, ...], named: Grantee, operations: Sequence[str], own: Conditions
    ) -> iam.Grant:
        extended = self._in_identity_policies.extend(subject, operations, own)
        if extended is not None:
            return extended
        grant = iam.Grant.add_to_principal(
            grantee=named.principal, actions=list(operations), resource_arns=[self._key_arn], conditions=own or None
        )
        check_policy_written(named, grant)
        return self._in_identity_policies.record(subject, own, grant, grant.principal_statements[0])

    def _to_key(
        self,
        subject: tuple[str, ...],
        named: Grantee,
        operations: Sequence[str],
        shared: Conditions,
        *,
        elsewhere: bool = False,
    ) -> iam.Grant:
        # Apart from what is written here, which the check of void grants must not pass over.
        subject = (*subject, "elsewhere") if elsewhere else subject
        extended = self._in_key_policy.extend(subject, operations, shared)
        if extended is not None:
            return extended
        if named.service_linked:
            self._sids[named.path] += 1
            sid = grant_sid(named.path, self._sids[named.path])
            statement = service_linked_grant(sid, named.arn, operations, shared)
        else:
            statement = self._statement(named.path, named.arn, operations, shared, named.account)
        if elsewhere or named.service_linked:
            self.elsewhere.add(statement.sid or "")
        grant = iam.Grant.add_statement_to_resource_policy(
            statement=statement,
            grantee=named.principal,
            actions=list(operations),
            resource=self._policy,
            resource_arns=[self._key_arn],
        )
        return self._in_key_policy.record(subject, shared, grant, statement)

    def _statement(
        self, path: str, arn: str, operations: Sequence[str], conditions: Conditions, account: str | None
    ) -> iam.PolicyStatement:
        self._sids[path] += 1
        sid = grant_sid(path, self._sids[path])
        if len(self._groupable) == 1:
            of_key = self._key.resource
            of_key.key_policy = Lazy.uncached_any(_Grouped(of_key.key_policy, self._groupable, self.elsewhere))
        self._groupable.add(sid)
        return named_grant(sid, arn, operations, conditions, account)


@jsii.implements(iam.IResourceWithPolicyV2)
class _KeyPolicy:
    """The key policy as ``iam.Grant`` adds to it: a statement of this package needs no check as a caller's does."""

    def __init__(self, key: Any) -> None:
        self._key = key

    @property
    def env(self) -> ResourceEnvironment:
        """Account and Region of the key."""
        return cast("ResourceEnvironment", self._key.env)

    def add_to_resource_policy(self, statement: iam.PolicyStatement) -> iam.AddToResourcePolicyResult:
        """Add a statement of this package."""
        self._key.write_statement(statement)
        # The key, on which resources can depend, not its policy document.
        return iam.AddToResourcePolicyResult(statement_added=True, policy_dependable=self._key)


@jsii.implements(IAnyProducer)
class _Grouped:
    """The key policy as the template shows it: grouped when it is written, since a caller may narrow a statement."""

    def __init__(self, document: Any, groupable: set[str], elsewhere: set[str]) -> None:
        self._document, self._groupable, self._elsewhere = document, groupable, elsewhere

    def produce(self, context: IResolveContext) -> Any:
        """Return the policy document; the AWS CDK asks when it writes the template."""
        document: dict[str, Any] = context.resolve(self._document)
        # The check of void grants finds what has its other half elsewhere by the id of its statement.
        return {**document, "Statement": grouped(document["Statement"], self._groupable - self._elsewhere)}


@dataclass
class _Entry:
    grant: iam.Grant
    statement: iam.PolicyStatement
    conditions: str


class StatementLedger:
    """One statement per subject and conditions, however often it is granted."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, ...], _Entry] = {}

    def extend(self, subject: tuple[str, ...], actions: Sequence[str], conditions: Conditions) -> iam.Grant | None:
        """Add ``actions`` to the statement of ``subject`` under ``conditions``; None if a new one must be written.

        Args:
            subject: The principal that the statement is about.
            actions: Exact actions.
            conditions: Its conditions: another set of conditions needs another statement, or one would widen the other.
        """
        entry = self._entries.get((*subject, _canonical(conditions)))
        # If a caller narrowed the statement after the grant, extending it would narrow the new grant also.
        if entry is None or _canonical(entry.statement.conditions) != entry.conditions:
            return None
        missing = [action for action in actions if action not in entry.statement.actions]
        if missing:
            entry.statement.add_actions(*missing)
        return entry.grant

    def record(
        self, subject: tuple[str, ...], conditions: Conditions, grant: iam.Grant, statement: iam.PolicyStatement
    ) -> iam.Grant:
        """Remember a statement that was written; return its grant."""
        entry = _Entry(grant, statement, _canonical(statement.conditions))
        self._entries[(*subject, _canonical(conditions))] = entry
        return grant


def _canonical(conditions: object) -> str:
    # Equal for equal conditions; a token is compared by its placeholder.
    return json.dumps(conditions, sort_keys=True)
