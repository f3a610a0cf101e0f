"""The half of a grant that another owner writes, as text to paste, and the check that the other half was written."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Annotations, Token
from aws_cdk import aws_iam as iam
from constructs import Dependable

from kms_patterns.keys.errors import GrantRefused, PolicyNotWritten
from kms_patterns.keys.grants.grantee import SERVICE_LINKED, Grantee, identity_arn
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.policy.conditions import Conditions, merge, principal
from kms_patterns.policy.statements import grant_sid, literal


def check_policy_written(grantee: Grantee, grant: iam.Grant) -> None:
    """Check that the identity half of ``grant`` reached a policy.

    Raises:
        PolicyNotWritten: No policy can be attached to the role: both halves are needed, so the grant would be void.
    """
    writable = isinstance(grantee.principal, (iam.Role, iam.User, iam.LazyRole))
    if writable or (grant.success and Dependable.of(grant).dependency_roots):
        return
    raise PolicyNotWritten(
        f"no policy can be attached to {grantee.path}, so this grant would have no effect and calls would end in "
        "AccessDeniedException: import the role mutable (iam.Role.from_role_arn(…) without mutable=False), "
        "grant the role itself instead of role.without_policy_updates(), or give key_policy_only=True if its policy is "
        "written elsewhere"
    )


def check_not_protected(grantee: Grantee) -> None:
    """Check that IAM lets this app write the policy of the role.

    Raises:
        GrantRefused: The role is service-linked, or that of a permission set.
    """
    if not grantee.protected:
        return
    kind = "a service-linked role" if grantee.service_linked else "the role of an Identity Center permission set"
    raise GrantRefused(
        f"{grantee.path}: {grantee.arn} is {kind}, and IAM refuses to change its policy (UnmodifiableEntity at "
        "deployment): give key_policy_only=True"
    )


def report_identity_half(key: GrantTarget, grantee: Grantee, operations: Sequence[str], conditions: Conditions) -> None:
    """Report, as a notice at synth, what a policy that this app does not write must allow the role or user."""
    document: dict[str, Any] = {
        "Effect": "Allow",
        "Action": list(operations),
        "Resource": key.key_arn,
        **({"Condition": conditions} if conditions else {}),
    }
    text = json.dumps(literal(document, key.stack), indent=2)
    where, how = "has a policy that is written elsewhere", "Add there"
    if grantee.account is not None:
        where = "is in another account"
        how = "Over there, call ImportedKey.from_key_arn(…).grant_operations, or add"
    elif grantee.protected:
        where, how = "is the role of a permission set", "Add to its inline policy in IAM Identity Center"
    Annotations.of(key).add_info(
        f"{grantee.path} {where}: the key policy names it, its own policy must allow the same, or the calls end in "
        f"AccessDeniedException. {how}:\n{text}"
    )


def report_service_linked_role(key: GrantTarget, grantee: Grantee) -> None:
    """Report, as a notice at synth, that KMS refuses a key policy that names a role which does not exist yet."""
    # arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling
    service = grantee.arn.split("/")[-2]
    Annotations.of(key).add_info_v2(
        f"kms-patterns:ServiceLinkedRole:{grantee.path}",
        f"{grantee.path} is a service-linked role, which the key policy names as principal: in an account that does "
        "not have it yet the deployment ends in MalformedPolicyDocumentException; create it first with "
        f"aws iam create-service-linked-role --aws-service-name {service}",
    )


class OwnersStatements:
    """Writes the identity's half of grants on an imported key, and reports what its owner must add to its policy.

    Each statement is reported once, under an id of its own.
    """

    def __init__(self, key: GrantTarget, resource: str, alias: str | None) -> None:
        self._key, self._resource, self._alias = key, resource, alias
        self._statements: dict[str, Mapping[str, Any]] = {}
        self._sids: Counter[str] = Counter()

    @property
    def statements(self) -> Sequence[Mapping[str, Any]]:
        """All statements, resolved."""
        return tuple(self._statements.values())

    def grant(
        self,
        grantee: iam.IGrantable,
        operations: Sequence[str],
        shared: Conditions,
        own: Conditions,
        *,
        purpose: str = "use",  # noqa: ARG002 -- the interface of a writer
        key_policy_only: bool = False,
    ) -> iam.Grant:
        """Write ``operations`` into the grantee's policy, and report the owner's half.

        Raises:
            GrantRefused: The grantee is not a role or user, or no policy can be attached to it.
        """
        who: Any = grantee.grant_principal
        arn, account = identity_arn(who), who.principal_account
        elsewhere = account and not Token.is_unresolved(account) and account != self._key.stack.account
        named = Grantee(who, arn, who.node.path, account if elsewhere else None)
        if elsewhere or key_policy_only:
            # Neither half can be written here: both are reported.
            if not named.service_linked:
                report_identity_half(self._key, named, operations, own)
            self.report(arn, who.node.path, operations, shared, account)
            return iam.Grant.drop(who, "the policy of the grantee is written elsewhere")
        check_not_protected(named)
        carrying = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": self._alias}} if self._alias else {}
        grant = iam.Grant.add_to_principal(
            grantee=who,
            actions=list(operations),
            resource_arns=[self._resource],
            conditions=merge(own, carrying) or None,
        )
        check_policy_written(named, grant)
        self.report(arn, who.node.path, operations, shared, account)
        return grant

    def report(
        self, arn: str, path: str, operations: Sequence[str], conditions: Conditions, account: str | None = None
    ) -> None:
        """Report the statement that names a role or user.

        Its account is the principal, its ARN a condition: as in the policies of this app's own keys.
        """
        stack = self._key.stack
        service_linked = SERVICE_LINKED in arn
        document = {
            "Effect": "Allow",
            "Principal": {
                "AWS": arn if service_linked else f"arn:{stack.partition}:iam::{account or stack.account}:root"
            },
            "Action": list(operations),
            "Resource": "*",
            "Condition": merge(conditions) if service_linked else merge(principal(arn), conditions),
        }
        self.report_statement(stack.resolve(document), path)

    def report_statement(self, document: Mapping[str, Any], path: str | None = None) -> None:
        """Report a resolved statement as a notice at synth, unless it was reported before."""
        name = json.dumps(document, sort_keys=True)
        if name in self._statements:
            return
        if path is not None:
            self._sids[path] += 1
            document = {"Sid": grant_sid(path, self._sids[path]), **document}
        self._statements[name] = document
        Annotations.of(self._key).add_info(
            f"this app cannot change the policy of {literal(self._key.key_arn, self._key.stack)}. Its owner must add, "
            f"or the calls end in AccessDeniedException:\n{json.dumps(literal(document, self._key.stack), indent=2)}"
        )
