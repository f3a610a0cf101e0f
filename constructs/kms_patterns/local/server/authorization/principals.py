"""Which principals a statement of a resource-based policy is about.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Named(IntEnum):
    """How closely a statement names the caller; the closer, the less else is needed."""

    NOT = 0
    BY_ACCOUNT = 1
    """The account: it delegates to its identity policies."""
    BY_ROLE = 2
    """The role behind a session: boundaries and session policies still narrow."""
    ITSELF = 3
    """The user's or the session's own ARN, or everyone: no boundary or session policy narrows.

    The page above says so of ``*`` with aws:PrincipalArn under "IAM role principals".
    """


@dataclass(frozen=True)
class Principal:
    """Who calls.

    Args:
        arn: The user's, session's or role's ARN.
        source: The role's ARN behind a session, with its path; the same as ``arn`` for anyone else.
        account: The 12 digits of its account.
        service: The service principal, if an AWS service itself calls.
        bounded: Whether it has a permissions boundary.
    """

    arn: str
    source: str
    account: str
    service: str | None = None
    bounded: bool = False

    @property
    def chain(self) -> tuple[str, ...]:
        """All that a NotPrincipal must list to spare this principal: itself, its role, its account."""
        return tuple(dict.fromkeys((self.arn, self.source, f"arn:aws:iam::{self.account}:root")))


def named(principal: object, caller: Principal) -> Named:
    """Return how the element Principal names ``caller``. No wildcard but a lone ``*`` stands for anyone."""
    if principal == "*":
        return Named.ITSELF
    if not isinstance(principal, Mapping):
        return Named.NOT
    if caller.service is not None and caller.service in _listed(principal, "Service"):
        return Named.ITSELF
    return max((_as_aws(entry, caller) for entry in _listed(principal, "AWS")), default=Named.NOT)


def spared(principal: object, caller: Principal) -> bool:
    """Return whether the element NotPrincipal lists all of the caller's chain; none with a boundary is ever spared.

    AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
    """
    if not isinstance(principal, Mapping) or caller.bounded:
        return False
    if caller.service is not None:
        return caller.service in _listed(principal, "Service")
    listed = {_account_arn(entry) for entry in _listed(principal, "AWS")}
    return listed.issuperset(caller.chain)


def _as_aws(entry: str, caller: Principal) -> Named:
    if entry in {"*", caller.arn} and entry != f"arn:aws:iam::{caller.account}:root":
        return Named.BY_ROLE if entry.startswith("arn:") and ":role/" in entry else Named.ITSELF
    if entry == caller.source:
        return Named.BY_ROLE
    return Named.BY_ACCOUNT if _account_arn(entry) == f"arn:aws:iam::{caller.account}:root" else Named.NOT


def _account_arn(entry: str) -> str:
    return f"arn:aws:iam::{entry}:root" if entry.isdigit() else entry


def _listed(principal: Mapping[str, object], kind: str) -> list[str]:
    entries = principal.get(kind, [])
    return [entries] if isinstance(entries, str) else [str(entry) for entry in entries] if entries else []  # type: ignore[attr-defined]
