"""What a rendered statement covers: the requests that it allows, and whether it opens a key to an account."""

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from kms_patterns.policy.actions import (
    CREATE_GRANT,
    CRYPTOGRAPHIC_OPERATIONS,
    DECRYPT,
    EVERY_ADMINISTRATION,
    GENERATE_DATA_KEY,
)
from kms_patterns.policy.conditions import (
    PRINCIPAL_ARN,
    VIA_SERVICE,
    Conditions,
    as_list,
    has_source,
    is_grant_for_resource,
)

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


def unmatched(
    one: Allowance, others: Iterable[Allowance], same: Callable[[str | None, str | None], bool] = operator.eq
) -> list[str]:
    """Return the actions of ``one`` that no statement of the other side also allows to its principal.

    Args:
        one: A statement of one side.
        others: The statements of the other side.
        same: Whether two names of principals may mean one caller; None is not asked about, it may mean any.
    """
    meeting = [other for other in others if _same_principal(one, other, same) and _compatible(one, other)]
    return [action for action in _expand(one.actions) if not any(allows(other.actions, action) for other in meeting)]


def is_about_kms(action: object) -> bool:
    """Return whether an action of a policy can be one of KMS; what is known only at deployment is not judged."""
    return isinstance(action, str) and (action == "*" or action.lower().startswith("kms:"))


def _expand(patterns: Sequence[str]) -> list[str]:
    kms = [pattern for pattern in patterns if is_about_kms(pattern)]
    return list(dict.fromkeys(name for pattern in kms for name in (_matching(pattern) or [pattern])))


@cache
def _matching(pattern: str) -> list[str]:
    return [action for action in _KNOWN if fnmatchcase(action.lower(), pattern.lower())]


def allows(patterns: Sequence[object], action: str) -> bool:
    """Return whether a statement's actions include ``action``; one that is known only at deployment may be any."""
    return action in patterns or any(
        not isinstance(it, str) or fnmatchcase(action.lower(), it.lower()) for it in patterns
    )


def _same_principal(one: Allowance, other: Allowance, same: Callable[[str | None, str | None], bool]) -> bool:
    return None in (one.principal, other.principal) or same(one.principal, other.principal)


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
    # A policy may write a Bool as such or as text.
    return [str(one).lower() if isinstance(one, bool) else one for one in as_list(value)]


_CALLER_ACCOUNT: Final = "kms:CallerAccount"
DEMANDING: Final = ("ArnEquals", "ArnLike", "StringEquals", "StringLike")
"""Operators by which a condition names what a request must have."""
_TOPIC_CONTEXT: Final = "kms:encryptioncontext:aws:sns:topicarn"
_ANY_SOURCE: Final = ":*:*:*"
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
    named = {key.lower() for key, value in _positive(statement.get("Condition", {})) if "*" not in as_list(value)}
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
    services = as_list(principal.get("Service", [])) if isinstance(principal, Mapping) else []
    demanded = statement.get("Condition", {})
    if has_source(demanded):
        return []
    actions, names = as_list(statement.get("Action", [])), [_text(service) for service in services]
    return [name for name in names if not is_grant_for_resource(name, actions, demanded)]


@dataclass(frozen=True)
class ServiceCall:
    """A call of AWS KMS by a service that delivers to a topic, a queue or a bucket under the key.

    Attributes:
        principal: The service principal.
        account: The account for which it acts.
        sources: ARNs of the resources for which it acts, where these are known; None if it sends no source.
        target: The topic, queue or bucket.
        topics: Pattern of the ARNs of all topics of the key's account and Region, of a call for a topic.
    """

    principal: str
    account: str
    sources: Sequence[str] | None
    target: str
    topics: str = ""


def serves(statement: Mapping[str, Any], call: ServiceCall) -> bool:
    """Return whether a key policy statement allows all that a delivery takes, and demands nothing that it might lack.

    Args:
        statement: As in a policy document, its tokens resolved.
        call: What a service does.
    """
    principal = statement.get("Principal", {})
    services = as_list(principal.get("Service", [])) if isinstance(principal, Mapping) else []
    patterns = [str(action).lower() for action in as_list(statement.get("Action", []))]
    demands = statement.get("Condition", {})
    known = isinstance(demands, Mapping) and all(isinstance(it, Mapping) for it in demands.values())
    return (
        statement.get("Effect") == "Allow"
        and call.principal in services
        and all(any(fnmatchcase(act.lower(), it) for it in patterns) for act in (GENERATE_DATA_KEY, DECRYPT))
        and known
        and all(_meets(call, how, name.lower(), it[name]) for how, it in demands.items() for name in it)
    )


def _meets(call: ServiceCall, how: str, name: str, value: Any) -> bool:
    values = as_list(value)
    if how not in DEMANDING:
        return False
    if name == _TOPIC_CONTEXT:
        return bool(call.topics) and any(arn == call.target or _holds(str(arn), call.topics) for arn in values)
    if call.sources is None:
        return False
    if name == "aws:sourceaccount":
        return call.account in values
    return name == "aws:sourcearn" and all(
        arn in call.sources or _is_any_of(call.principal, str(arn)) for arn in values
    )


def _holds(pattern: str, topics: str) -> bool:
    """Return whether a pattern holds the ARNs of all topics of the key's account and Region."""
    # The partition is known at deployment only, and stands in brackets, which fnmatch would read as a set.
    own, given = (arn.replace("[", "").replace("]", "").split(":", 5) for arn in (topics, pattern))
    return len(own) == len(given) and all(fnmatchcase(*pair) for pair in zip(own[2:], given[2:], strict=True))


def _is_any_of(principal: str, arn: str) -> bool:
    return arn.endswith(_ANY_SOURCE) and arn.split(":")[2] in ("*", principal.partition(".")[0])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _principals(principal: Any) -> Iterator[str]:
    values = as_list(principal.get("AWS", []) if isinstance(principal, Mapping) else principal)
    return (_text(value) for value in values)


def _positive(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    return (pair for operator, demands in conditions.items() if operator in DEMANDING for pair in demands.items())
