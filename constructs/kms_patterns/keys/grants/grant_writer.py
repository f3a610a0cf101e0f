"""Writes both halves of a grant: the key policy's and the identity's."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jsii
from aws_cdk import aws_iam as iam
from aws_cdk.interfaces import ResourceEnvironment

from kms_patterns.keys.environment import arn_of, home_of, stack_of
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.grantee import Grantee, principal_of, resolve_grantee, unique_id
from kms_patterns.keys.grants.key_policy import KeyPolicy, OwnStatement, PairedGrant
from kms_patterns.keys.grants.other_half import (
    check_not_protected,
    check_policy_written,
    report_identity_half,
    report_service_linked_role,
)
from kms_patterns.keys.grants.policy_checks import check_inside
from kms_patterns.keys.grants.target import KeyInApp
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.policy.conditions import PRINCIPAL_ARN, Conditions, merge, principal
from kms_patterns.policy.guardrails import SID_DENY_GRANTS_TO_OTHERS
from kms_patterns.policy.statements import Document, grant_sid, named_grant, service_linked_grant


class GrantWriter:
    """Writes the grants of one key, and extends them when the same role or user is granted more."""

    def __init__(self, key: KeyInApp, policy: KeyPolicy) -> None:
        self._key, self._policy = key, policy
        self._in_key_policy = StatementLedger()
        self._in_identity_policies = StatementLedger()
        self._sids: Counter[str] = Counter()
        self._guardrail: Document | None = None
        self._grant_makers: list[str] = []
        self._stack, self._key_arn = stack_of(key), arn_of(key)
        self._home = home_of(self._stack)
        self._resource = _KeyOfGrants(key, policy)

    def guard(self, statements: Iterable[Document]) -> None:
        """Add the guardrails of the key."""
        for statement in statements:
            if statement["Sid"] == SID_DENY_GRANTS_TO_OTHERS:
                self._guardrail = statement
            self._policy.add(OwnStatement(statement))

    def except_from_guardrail(self, role_arn: str) -> None:
        """Let one role create KMS grants in spite of the guardrail."""
        if role_arn in self._grant_makers:
            return
        self._grant_makers.append(role_arn)
        if self._guardrail is not None:
            self._guardrail["Condition"]["ArnNotEquals"] = {PRINCIPAL_ARN: self._grant_makers}

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
        named = self._named(principal_of(grantee), key_policy_only=key_policy_only)
        try:
            merge(principal(named.arn), shared)
        except ValueError as error:
            raise GrantRefused(
                f"{self._key.node.path}: the grant names {named.path} by aws:PrincipalArn itself: {error}"
            ) from error
        shared = merge(shared, unique_id(named, self._key))
        subject = (named.path, purpose)
        if named.service_linked:
            report_service_linked_role(self._key, named)
            return self._to_key_alone(subject, named, operations, shared)
        if named.account is not None or key_policy_only:
            report_identity_half(self._key, named, operations, own)
            if named.account is None and self._key.access is KeyAccess.DELEGATED:
                return iam.Grant.drop(grantee, "the account's policies decide, and this one is written elsewhere")
            # Apart from what is written here, which the check of void grants must not pass over.
            return self._to_key_alone((*subject, "elsewhere"), named, operations, shared)
        identity = self._to_identity(subject, named, operations, own)
        if self._key.access is KeyAccess.DELEGATED:
            return identity
        return PairedGrant.of(identity, self._key, [self._to_key(subject, named, operations, shared)])

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
            self._policy.add(statement, elsewhere=True)
            self._in_key_policy.record(subject, conditions, _Entry(None, statement))

    def _named(self, grantee: Any, *, key_policy_only: bool) -> Grantee:
        resolved = resolve_grantee(grantee, self._stack)
        check_inside(resolved.path, resolved.account, self._key.perimeter)
        if not key_policy_only:
            check_not_protected(resolved)
        return resolved

    def _to_identity(
        self, subject: tuple[str, ...], named: Grantee, operations: Sequence[str], own: Conditions
    ) -> iam.Grant:
        extended = self._in_identity_policies.extend(subject, operations, own)
        if extended is not None and extended.grant is not None:
            return extended.grant
        grant = iam.Grant.add_to_principal(
            grantee=named.principal, actions=list(operations), resource_arns=[self._key_arn], conditions=own or None
        )
        check_policy_written(named, grant)
        self._in_identity_policies.record(subject, own, _Entry(grant, None))
        return grant

    def _to_key(
        self, subject: tuple[str, ...], named: Grantee, operations: Sequence[str], shared: Conditions
    ) -> OwnStatement:
        extended = self._in_key_policy.extend(subject, operations, shared)
        if extended is not None:
            return cast("OwnStatement", extended.statement)
        statement = self._statement(named.path, named.arn, operations, shared, named.account)
        self._policy.add(statement, shared=True)
        self._in_key_policy.record(subject, shared, _Entry(None, statement))
        return statement

    def _to_key_alone(
        self, subject: tuple[str, ...], named: Grantee, operations: Sequence[str], shared: Conditions
    ) -> iam.Grant:
        """Write the key policy's half of a grant whose other half is not in this app."""
        extended = self._in_key_policy.extend(subject, operations, shared)
        if extended is not None and extended.grant is not None:
            return extended.grant
        if named.service_linked:
            sid = self._sid(named.path)
            statement = OwnStatement(service_linked_grant(sid, named.arn, operations, shared))
        else:
            statement = self._statement(named.path, named.arn, operations, shared, named.account)
        self._policy.add(statement, elsewhere=True)
        grant = iam.Grant.add_statement_to_resource_policy(
            statement=statement.made(),
            grantee=named.principal,
            actions=list(operations),
            resource=self._resource,
            resource_arns=[self._key_arn],
        )
        self._in_key_policy.record(subject, shared, _Entry(grant, statement))
        return grant

    def _statement(
        self, path: str, arn: str, operations: Sequence[str], conditions: Conditions, account: str | None
    ) -> OwnStatement:
        root = self._home.root if account is None else self._home.root_of(account)
        return OwnStatement(named_grant(self._sid(path), root, arn, operations, conditions))

    def _sid(self, path: str) -> str:
        self._sids[path] += 1
        return grant_sid(path, self._sids[path])


@jsii.implements(iam.IResourceWithPolicyV2)
class _KeyOfGrants:
    """The key as ``iam.Grant`` takes it for a statement that its policy has already."""

    def __init__(self, key: Any, policy: KeyPolicy) -> None:
        self._key, self._policy = key, policy

    @property
    def env(self) -> ResourceEnvironment:
        """Account and Region of the key."""
        return cast("ResourceEnvironment", self._key.env)

    def add_to_resource_policy(self, statement: iam.PolicyStatement) -> iam.AddToResourcePolicyResult:  # noqa: ARG002
        """Tell that the statement is in the policy."""
        # The key, on which resources can depend, not its policy document.
        return iam.AddToResourcePolicyResult(statement_added=True, policy_dependable=self._key)


@dataclass
class _Entry:
    """A statement that was written: of an identity policy it is asked for when it is extended."""

    grant: iam.Grant | None
    statement: OwnStatement | None
    conditions: str = ""

    def written(self) -> OwnStatement | iam.PolicyStatement:
        return self.statement or cast("iam.Grant", self.grant).principal_statements[0]


class StatementLedger:
    """One statement per subject and conditions, however often it is granted."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, ...], _Entry] = {}

    def extend(self, subject: tuple[str, ...], actions: Sequence[str], conditions: Conditions) -> _Entry | None:
        """Add ``actions`` to the statement of ``subject`` under ``conditions``; None if a new one must be written.

        Args:
            subject: The principal that the statement is about.
            actions: Exact actions.
            conditions: Its conditions: another set of conditions needs another statement, or one would widen the other.
        """
        entry = self._entries.get((*subject, _canonical(conditions)))
        if entry is None:
            return None
        written = entry.written()
        # If a caller narrowed the statement after the grant, extending it would narrow the new grant also.
        if _canonical(written.conditions) != entry.conditions:
            return None
        missing = [action for action in actions if action not in written.actions]
        if missing:
            written.add_actions(*missing)
        return entry

    def record(self, subject: tuple[str, ...], conditions: Conditions, entry: _Entry) -> None:
        """Remember a statement that was written."""
        entry.conditions = _canonical(entry.statement.conditions if entry.statement else conditions)
        self._entries[(*subject, _canonical(conditions))] = entry


def _canonical(conditions: object) -> str:
    # Equal for equal conditions; a token is compared by its placeholder.
    return json.dumps(conditions, sort_keys=True)
