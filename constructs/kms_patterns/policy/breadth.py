"""Does a key policy statement open the key to an account or to everyone? Plain functions on a rendered statement."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kms_patterns.policy.conditions import PRINCIPAL_ARN, VIA_SERVICE

_CALLER_ACCOUNT: Final = "kms:CallerAccount"
_NAMES: Final = ("ArnEquals", "ArnLike", "StringEquals", "StringLike")
# An account as a template may write it: its number, its root user's ARN, or a reference to the number.
_ACCOUNT: Final = re.compile(r'^(?:\*|\d{12}|\{"Ref": "AWS::AccountId"\}|.*:root["\]}]*)$')


def opens_to_accounts(statement: Mapping[str, Any]) -> bool:
    """Return whether an Allow statement has a whole account or everyone as principal, and no condition that names one.

    A condition names callers by ``aws:PrincipalArn``, or by ``kms:ViaService`` with ``kms:CallerAccount``, the form in
    which AWS services are let in for the users of an account.

    Args:
        statement: As in a policy document, its tokens resolved.
    """
    if not any(_ACCOUNT.match(principal) for principal in _principals(statement.get("Principal", {}))):
        return False
    named = {key.lower() for key, value in _positive(statement.get("Condition", {})) if "*" not in _as_list(value)}
    by_service = {VIA_SERVICE.lower(), _CALLER_ACCOUNT.lower()} <= named
    return PRINCIPAL_ARN.lower() not in named and not by_service


def _principals(principal: Any) -> Iterator[str]:
    values = _as_list(principal.get("AWS", []) if isinstance(principal, Mapping) else principal)
    return (value if isinstance(value, str) else json.dumps(value) for value in values)


def _positive(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    return (pair for operator, demands in conditions.items() if operator in _NAMES for pair in demands.items())


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
