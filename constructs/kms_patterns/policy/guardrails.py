"""Statements that deny what a correct deployment never does, and the ids that they carry.

https://docs.aws.amazon.com/kms/latest/developerguide/policy-conditions.html
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from aws_cdk import Duration

from kms_patterns.policy.actions import CREATE_GRANT, REPLICATE_KEY
from kms_patterns.policy.statements import Document

SID_DENY_GRANTS_TO_OTHERS: Final = "DenyCreateGrantExceptForAwsServices"
SID_DENY_LOCKOUT: Final = "DenyPolicyLockoutSafetyBypass"
SID_DENY_OUTSIDERS: Final = "DenyPrincipalsOutsidePerimeter"
SID_DENY_HASTY_DELETION: Final = "DenyDeletionSoonerThanWindow"
SID_DENY_END_OF_USE: Final = "DenyEndOfKeyInUse"
SID_DENY_OTHER_REGIONS: Final = "DenyReplicationToOtherRegions"
SID_DENY_REPLICATION: Final = "DenyReplicationExceptByDeployment"
GUARDRAIL_SIDS: Final = (
    SID_DENY_GRANTS_TO_OTHERS,
    SID_DENY_LOCKOUT,
    SID_DENY_OUTSIDERS,
    SID_DENY_HASTY_DELETION,
    SID_DENY_END_OF_USE,
    SID_DENY_OTHER_REGIONS,
    SID_DENY_REPLICATION,
)

SHORTEST_WINDOW_DAYS: Final = 7
LONGEST_WINDOW_DAYS: Final = 30
"""The waiting periods that KMS takes before it deletes a key; the longest is its default."""

_ORGANIZATION: Final = re.compile(r"o-[a-z0-9]{10,32}")
_ACCOUNT: Final = re.compile(r"\d{12}")


def grants_for_services_only() -> Document:
    """Return the statement that leaves KMS grants to AWS services, in the form of Control Tower's CT.KMS.PR.3.

    See https://docs.aws.amazon.com/controltower/latest/controlreference/kms-rules.html
    """
    others = {"BoolIfExists": {"kms:GrantIsForAWSResource": "false", "aws:PrincipalIsAWSService": "false"}}
    return _deny(SID_DENY_GRANTS_TO_OTHERS, CREATE_GRANT, others)


def no_lockout_bypass() -> Document:
    """Return the statement that refuses a key policy which would lock its own author out."""
    return _deny(SID_DENY_LOCKOUT, "kms:PutKeyPolicy", {"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "true"}})


def no_deletion_sooner_than(days: int) -> Document:
    """Return the statement that refuses a shorter waiting period than the key's own."""
    shorter = {"NumericLessThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": str(days)}}
    return _deny(SID_DENY_HASTY_DELETION, "kms:ScheduleKeyDeletion", shorter)


def no_end_within(days: int) -> Document:
    """Return the statement that keeps a key from being disabled or deleted within ``days`` after its last use.

    See https://docs.aws.amazon.com/kms/latest/developerguide/monitoring-keys-determining-usage.html
    """
    used = {"NumericLessThanEquals": {"kms:TrailingDaysWithoutKeyUsage": str(days)}}
    return _deny(SID_DENY_END_OF_USE, ["kms:DisableKey", "kms:ScheduleKeyDeletion"], used)


def no_principal_outside(perimeter: str) -> Document:
    """Return the statement that denies everything to principals outside an organization or account.

    AWS services that act for themselves belong to neither and pass: their statements have source conditions.
    All KMS actions, also future ones: a list with a gap would be a hole.
    """
    key = "aws:PrincipalOrgID" if is_organization(perimeter) else "aws:PrincipalAccount"
    outside = {"StringNotEqualsIfExists": {key: perimeter}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}
    return _deny(SID_DENY_OUTSIDERS, "kms:*", outside)


def no_replication(sid: str, conditions: Mapping[str, Mapping[str, Any]]) -> Document:
    """Return a statement that refuses to replicate the key.

    A principal that may replicate a key chooses the policy of the replica, so ReplicateKey amounts to PutKeyPolicy, and
    the policy of the primary does not show it.

    See https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-auth.html
    """
    return _deny(sid, REPLICATE_KEY, conditions)


def guardrails(window: Duration | None, perimeter: str | None, protect_while_in_use: Duration | None) -> list[Document]:
    """Return the statements that deny what a correct deployment of this key never does.

    Args:
        window: Waiting period of the key; it cannot be shortened without a change of the key policy.
        perimeter: Organization or account outside of which no principal may use or manage the key.
        protect_while_in_use: How long after its last use the key can be neither disabled nor deleted.
    """
    statements = [grants_for_services_only(), no_lockout_bypass()]
    days = LONGEST_WINDOW_DAYS if window is None else None if window.is_unresolved() else int(window.to_days())
    if days is not None and days > SHORTEST_WINDOW_DAYS:
        statements.append(no_deletion_sooner_than(days))
    if protect_while_in_use is not None:
        statements.append(no_end_within(int(protect_while_in_use.to_days())))
    if perimeter is not None:
        statements.append(no_principal_outside(perimeter))
    return statements


def is_organization(perimeter: str) -> bool:
    """Return whether ``perimeter`` is the id of an organization."""
    return bool(_ORGANIZATION.fullmatch(perimeter))


def is_account(perimeter: str) -> bool:
    """Return whether ``perimeter`` is the id of an account."""
    return bool(_ACCOUNT.fullmatch(perimeter))


def _deny(sid: str, action: str | list[str], conditions: Mapping[str, Mapping[str, Any]]) -> Document:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": [action] if isinstance(action, str) else action,
        "Resource": "*",
        "Condition": {operator: dict(demands) for operator, demands in conditions.items()},
    }
