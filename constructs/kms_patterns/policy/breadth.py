"""Does a key policy statement open the key to an account or to everyone? Plain functions on a rendered statement."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kms_patterns.policy.conditions import PRINCIPAL_ARN, VIA_SERVICE, has_source

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


def opens_to_strangers(statement: Mapping[str, Any], account: str) -> bool:
    """Return whether an Allow statement has everyone, or a whole account other than ``account``, as principal.

    Args:
        statement: As in a policy document, its tokens resolved.
        account: The account of the key; not its number where that is known at deployment only.
    """
    own = (account, '{"Ref": "AWS::AccountId"}', f":{account}:root", '{"Ref": "AWS::AccountId"}, ":root"]]}')
    principal = statement.get("Principal", {})
    rest = [one for one in _principals(principal) if not one.endswith((*own, f':{account}:root"]]}}'))]
    return opens_to_accounts({**statement, "Principal": {"AWS": rest}})


def services_without_source(statement: Mapping[str, Any]) -> list[str]:
    """Return the service principals that a statement does not bind to a source.

    Args:
        statement: As in a policy document, its tokens resolved.
    """
    principal = statement.get("Principal", {})
    services = _as_list(principal.get("Service", [])) if isinstance(principal, Mapping) else []
    return [] if has_source(statement.get("Condition", {})) else [_text(service) for service in services]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _principals(principal: Any) -> Iterator[str]:
    values = _as_list(principal.get("AWS", []) if isinstance(principal, Mapping) else principal)
    return (_text(value) for value in values)


def _positive(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    return (pair for operator, demands in conditions.items() if operator in _NAMES for pair in demands.items())


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
