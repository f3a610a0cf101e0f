"""Principals that policies name but the assembly does not define, and the three that always exist."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kms_patterns.access.model import Policy, Principal, PrincipalKind, Resource

_ELSEWHERE = "111122223333"


def _everything(*actions: str) -> tuple[Policy, ...]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return (Policy("permissions assumed", "identity", {"Version": "2012-10-17", "Statement": [statement]}),)


SYNTHETIC: Sequence[Principal] = (
    Principal(
        id="account administrator",
        kind=PrincipalKind.ADMINISTRATOR,
        label="account administrator (*:*)",
        arn="arn:aws:iam::{account}:role/an-administrator",
        identity=_everything("*"),
    ),
    Principal(
        id="any other role",
        kind=PrincipalKind.ANY_ROLE,
        label="any other role (kms:*, lambda:*, s3:*, sts:*)",
        arn="arn:aws:iam::{account}:role/any-other-role",
        identity=_everything("kms:*", "lambda:*", "s3:*", "sts:*"),
    ),
    Principal(
        id="anyone outside",
        kind=PrincipalKind.OUTSIDER,
        label="anyone outside the account",
        arn=f"arn:aws:iam::{_ELSEWHERE}:role/anyone",
        identity=_everything("*"),
    ),
)
"""An account administrator, any other role of the account, and anyone outside it."""


def named_principals(defined: Iterable[Principal], resources: Iterable[Resource]) -> Iterator[Principal]:
    """Yield services, external accounts and other principals that a resource policy names.

    A named principal has unknown policies of its own; it is taken to have every permission.

    Args:
        defined: The assembly's own principals, which are not repeated.
        resources: The resources whose policies are searched.
    """
    known = {principal.arn for principal in defined}
    for resource in resources:
        if resource.policy is None:
            continue
        for statement in _statements(resource.policy.document):
            for kind, value in _named(statement):
                if value not in known:
                    known.add(value)
                    yield from _principal(kind, value, resource.account)


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    statements = document.get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _named(statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for member in ("Principal", "NotPrincipal"):
        principals = statement.get(member, {})
        for kind, values in (principals if isinstance(principals, dict) else {}).items():
            for value in [values] if isinstance(values, str) else values:
                yield kind, value
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            if key.lower() == "aws:principalarn" and "not" not in operator.lower():
                for value in [values] if isinstance(values, str) else values:
                    yield "AWS", value


def _principal(kind: str, value: str, account: str) -> Iterator[Principal]:
    if kind == "Service":
        yield Principal(value, PrincipalKind.SERVICE, f"service {value}", value)
    elif kind == "AWS" and value != "*" and _account_of(value) != account:
        number = _account_of(value)
        whole = re.fullmatch(r"\d{12}", value) or value.endswith(":root")
        arn = f"arn:aws:iam::{number}:role/any-role-there" if whole else value
        label = f"account {number} (any principal that it allows)" if whole else f"{value} (of account {number})"
        yield _with_everything(f"account {number}" if whole else value, label, arn)
    elif kind == "AWS" and value != "*" and not value.endswith(":root") and value != account:
        concrete = value.replace("*", "any").replace("?", "x")
        name = value.split(":", 5)[-1]
        yield _with_everything(name, f"{name} (not in this assembly: taken to have *:*)", concrete)
    elif kind in {"Federated", "CanonicalUser"}:
        yield Principal(f"{kind} {value}", PrincipalKind.PROVIDER, f"{kind.lower()} {value}", value)


def _with_everything(identifier: str, label: str, arn: str) -> Principal:
    return Principal(identifier, PrincipalKind.NAMED, label, arn, identity=_everything("*"))


def _account_of(value: str) -> str:
    match = re.search(r"\d{12}", value)
    return match[0] if match else ""
