"""Do a key policy and the policies of roles and users meet? Plain functions on what the statements say.

Under two-key control a call needs both halves, so a statement without its other half is void.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from kms_patterns.policy.actions import CREATE_GRANT, CRYPTOGRAPHIC_OPERATIONS, EVERY_ADMINISTRATION
from kms_patterns.policy.conditions import PRINCIPAL_ARN, Conditions

_KNOWN: Final = (*CRYPTOGRAPHIC_OPERATIONS, *EVERY_ADMINISTRATION, CREATE_GRANT)
_EQUALITY: Final = ("StringEquals", "ArnEquals", "Bool", "Null")


@dataclass(frozen=True)
class Allowance:
    """An Allow statement about one key, as one principal sees it.

    Attributes:
        principal: Name of the role or user; None for a key policy statement that leaves it to the account's IAM.
        actions: KMS actions as written, wildcards included.
        conditions: Conditions as written.
        where: The statement's id, or the construct path of its policy.
        names_key: False for a statement on every resource: it can meet a key policy, but need not.
    """

    principal: str | None
    actions: Sequence[str]
    conditions: Conditions
    where: str
    names_key: bool = True


def unmatched(one: Allowance, others: Iterable[Allowance]) -> list[str]:
    """Return the actions of ``one`` that no statement of the other side also allows to its principal."""
    meeting = [other for other in others if _same_principal(one, other) and _compatible(one, other)]
    return [action for action in _expand(one.actions) if not any(_allows(other, action) for other in meeting)]


def is_about_kms(action: object) -> bool:
    """Return whether an action of a policy can be one of KMS; what is known only at deployment is not judged."""
    return isinstance(action, str) and (action == "*" or action.lower().startswith("kms:"))


def _expand(patterns: Sequence[str]) -> list[str]:
    kms = [pattern for pattern in patterns if is_about_kms(pattern)]
    return list(dict.fromkeys(name for pattern in kms for name in (_matching(pattern) or [pattern])))


def _matching(pattern: str) -> list[str]:
    return [action for action in _KNOWN if fnmatchcase(action.lower(), pattern.lower())]


def _allows(allowance: Allowance, action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in allowance.actions if is_about_kms(pattern))


def _same_principal(one: Allowance, other: Allowance) -> bool:
    return one.principal == other.principal or None in (one.principal, other.principal)


def _compatible(one: Allowance, other: Allowance) -> bool:
    """Whether some request could meet the conditions of both: no condition key must have two values at once."""
    return all(
        _overlap(value, other.conditions[operator][key])
        for operator, demands in one.conditions.items()
        if operator in _EQUALITY and operator in other.conditions
        for key, value in demands.items()
        if key in other.conditions[operator] and key != PRINCIPAL_ARN
    )


def _overlap(one: object, other: object) -> bool:
    values, others = _values(one), _values(other)
    return any(value in others for value in values)


def _values(value: object) -> Sequence[object]:
    values = value if isinstance(value, list) else [value]
    # A policy may write a Bool as such or as text.
    return [str(one).lower() if isinstance(one, bool) else one for one in values]
