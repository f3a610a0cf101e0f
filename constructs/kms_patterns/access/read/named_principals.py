"""Principals that policies name but the assembly does not define, and the three that always exist."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kms_patterns.access.model import Policy, Principal, PrincipalKind, Resource

_ELSEWHERE = "111122223333"
ANY_SERVICE = "any-service.amazonaws.com"
"""Stands for every AWS service, where a policy tells services from others."""

_WEB_IDENTITIES = {
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "www.amazon.com",
}

_NAMING_KEYS = {
    "aws:principalarn": "AWS",
    "aws:principalaccount": "Account",
    "kms:calleraccount": "Account",
    "aws:principalservicename": "Service",
    "aws:principalservicenameslist": "Service",
    "aws:principalisawsservice": "AnyService",
}
"""Condition keys whose values name principals, in lower case, with what they name."""


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
    arns = {principal.arn for principal in defined}
    known: set[tuple[str, str, str]] = set()
    for resource in resources:
        if resource.policy is None:
            continue
        for statement in _statements(resource.policy.document):
            for kind, value in _named(statement):
                if (kind, value, resource.account) not in known and value not in arns:
                    known.add((kind, value, resource.account))
                    yield from _principal(kind, value, resource.account)


def not_evaluated(resources: Iterable[Resource]) -> Iterator[tuple[str, str]]:
    """Yield place and name of principals of which the simulator knows nothing: ids, and providers without an ARN."""
    for resource in resources:
        for statement in _statements(resource.policy.document) if resource.policy else ():
            for kind, value in _named(statement):
                text = kind == "AWS" and not re.fullmatch(r"\*|[\d*?]+|arn:.*", value)
                web = kind == "Federated" and not value.startswith("arn:") and value not in _WEB_IDENTITIES
                if resource.policy and (text or web or kind == "CanonicalUser"):
                    yield resource.policy.where, f"{kind} {value}"


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
        if "not" not in operator.lower():
            for key, values in keys.items():
                kind = _NAMING_KEYS.get(key.lower())
                for value in values if kind and isinstance(values, list) else [values]:
                    if kind:
                        yield kind, str(value).lower() if kind == "AnyService" else str(value)


def _principal(kind: str, value: str, account: str) -> Iterator[Principal]:
    if kind == "Service":
        yield Principal(value, PrincipalKind.SERVICE, f"service {value}", value)
    elif kind == "AnyService" and value == "true":
        yield Principal(ANY_SERVICE, PrincipalKind.SERVICE, "any AWS service", ANY_SERVICE)
    elif kind in {"AWS", "Account"} and value != "*":
        yield from _of_aws(value, account)
    elif kind in {"Federated", "CanonicalUser"}:
        yield Principal(f"{kind} {value}", PrincipalKind.PROVIDER, f"{kind.lower()} {value}", value)


def _of_aws(value: str, account: str) -> Iterator[Principal]:
    own = value in {account, f"arn:aws:iam::{account}:root"} or (
        value.endswith(":root") and _account_of(value) == account
    )
    if own:
        return
    if re.fullmatch(r"[\d*?]+", value) or value.endswith(":root"):
        number = _digits(_account_of(value) or value)
        shown = _account_of(value) or value
        label = f"account {shown} (any principal that it allows)"
        yield _with_everything(f"account {shown}", label, f"arn:aws:iam::{number}:role/any-role-there")
    elif value.startswith("arn:"):
        yield from _of_arn(value, account)


def _of_arn(value: str, account: str) -> Iterator[Principal]:
    there, name = value.split(":", 5)[4:5], value.split(":", 5)[-1]
    accounts = there[0] if there else ""
    concrete = value.replace("*", "any").replace("?", "x")
    if accounts == account:
        yield _with_everything(name, f"{name} (not in this assembly: taken to have *:*)", concrete)
    elif set(accounts) & {"*", "?"} or accounts == "":
        head = value.split(":", 4)[:4]
        tail = name.replace("*", "any").replace("?", "x")
        for identifier, number, where in ((name, account, "this account"), (value, _ELSEWHERE, "another account")):
            label = f"{value} (of {where})"
            yield _with_everything(identifier, label, ":".join([*head, number, tail]) if accounts else concrete)
            if not accounts:
                return
    else:
        yield _with_everything(value, f"{value} (of account {accounts})", concrete)


def _digits(account: str) -> str:
    """Return an account that the pattern ``account`` matches."""
    filled = account.replace("?", "9")
    return filled.replace("*", "9" * max(0, 12 - len(filled.replace("*", ""))), 1).replace("*", "")


def _with_everything(identifier: str, label: str, arn: str) -> Principal:
    return Principal(identifier, PrincipalKind.NAMED, label, arn, identity=_everything("*"))


def _account_of(value: str) -> str:
    match = re.search(r"\d{12}", value)
    return match[0] if match else ""
