"""The half of a grant in the policy of the role or user: written, or reported if another owner writes it."""

import json
from collections.abc import Sequence
from typing import Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from constructs import Dependable

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.grantee import Grantee
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.policy.conditions import Conditions
from kms_patterns.policy.statements import literal


def check_policy_written(grantee: Grantee, grant: iam.Grant) -> None:
    """Check that the identity half of ``grant`` reached a policy.

    Raises:
        GrantRefused: No policy can be attached to the role: both halves are needed, so the grant would be void.
    """
    writable = isinstance(grantee.principal, (iam.Role, iam.User, iam.LazyRole))
    if writable or (grant.success and Dependable.of(grant).dependency_roots):
        return
    raise GrantRefused(
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
