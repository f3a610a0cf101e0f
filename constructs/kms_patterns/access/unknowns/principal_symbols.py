"""Principals of a statement that are not known by value: which they may be, and by what ARN they are evaluated."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.templates.shapes import items, text
from kms_patterns.access.unknowns.environments import Environments, wild
from kms_patterns.access.unknowns.symbols import (
    TRUE,
    MadeUpAccounts,
    Proposition,
    is_symbolic,
    may_be_equal,
    shown,
    symbol,
)
from kms_patterns.access.unknowns.unknown_conditions import Propositions

_IAM_ARN = re.compile(r"arn:([^:]*):(iam|sts)::([^:]*):(.+)")

Kind = str
Way = tuple[dict[str, Any], Propositions]


def named_arn(kind: Kind, value: str, made_up: MadeUpAccounts) -> tuple[Kind, str]:
    """Return kind and value by which the simulator knows a principal: as it is, or made up where it is not known.

    Args:
        kind: ``AWS``, ``Service``, ``Federated`` or ``CanonicalUser``.
        value: What the policy says.
        made_up: Account ids for what has none.
    """
    if kind == "CanonicalUser":
        return "AWS", f"arn:aws:iam::{made_up.of(f'canonical user {shown(value)}')}:user/{symbol(shown(value))}"
    if kind == "Service" and is_symbolic(value) and not value.endswith("amazonaws.com"):
        return kind, f"{value}.amazonaws.com"
    if kind != "AWS" or value == "*" or re.fullmatch(r"[\d*?]+", value):
        return kind, value
    match = _IAM_ARN.fullmatch(value)
    if match and is_symbolic(match[3]):
        return kind, f"arn:aws:{match[2]}::{made_up.of(match[3])}:{match[4]}"
    if match or (value.startswith("arn:") and not is_symbolic(value)):
        return kind, value
    return kind, f"arn:aws:iam::{made_up.of(value)}:role/{value if is_symbolic(value) else symbol(value)}"


def is_any(kind: Kind, value: str) -> bool:
    """Return whether a principal may be any at all: a value without a readable form, or an id."""
    return kind == "AWS" and not re.fullmatch(r"[\d*?]+|arn:[^:]*:(iam|sts)::.+", value)


def principal_ways(statement: Mapping[str, Any], environments: Environments) -> list[Way]:
    """Return the ways of a statement's ``Principal`` or ``NotPrincipal``, with what must hold for each."""
    if "Principal" not in statement and "NotPrincipal" not in statement:
        return [({}, {})]
    excluding = "NotPrincipal" in statement
    value = statement["NotPrincipal" if excluding else "Principal"]
    if value == "*":
        return [({"NotPrincipal" if excluding else "Principal": "*"}, {})]
    given = value if isinstance(value, Mapping) else {"AWS": value, "Service": value, "Federated": value}
    sure: dict[str, list[str]] = {}
    maybe: dict[Proposition, dict[str, list[str]]] = {}
    for kind, name in ((kind, text(name)) for kind, names in given.items() for name in items(names)):
        exact, known = named_arn(kind, name, environments.made_up)
        sure.setdefault(exact, []).append(known)
        for other, proposition in _others(kind, name, environments):
            maybe.setdefault(proposition, {}).setdefault(exact, []).append(other)
    if not excluding:
        ways: list[Way] = [({"Principal": sure}, {})] if sure else []
        return ways + [
            ({"Principal": named}, {(name, "StringEquals"): holds}) for (name, holds), named in maybe.items()
        ]
    if not maybe:
        return [({"NotPrincipal": sure}, {})]
    everyone = {kind: list(names) for kind, names in sure.items()}
    for named in maybe.values():
        for kind, names in named.items():
            everyone.setdefault(kind, []).extend(names)
    surely: list[Way] = [] if "*" in everyone.get("AWS", ()) else [({"NotPrincipal": everyone}, {})]
    label = " or ".join(shown(text(name)) for names in given.values() for name in items(names))
    return [*surely, ({"NotPrincipal": sure}, {(f"it is not {label}", "StringEquals"): TRUE})]


def _others(kind: Kind, value: str, environments: Environments) -> Iterator[tuple[str, Proposition]]:
    """Yield which other principals a principal of a policy may be."""
    if kind in {"Service", "Federated"} and is_symbolic(value):
        known = environments.services if kind == "Service" else environments.providers
        for name in known:
            if name != value and may_be_equal(wild(value), name):
                yield name, (f"{shown(value)} is {shown(name)}", TRUE)
    if kind != "AWS" or value == "*":
        return
    if is_any(kind, value):
        yield "*", (f"principal {_named(value)} includes it", TRUE)
        return
    root = re.fullmatch(r"(?:arn:([^:]*):iam::)?([^:]*)(?::root)?", value)
    if root:
        for account, proposition in environments.other_accounts(root[2]):
            yield f"arn:{root[1] or 'aws'}:iam::{account}:root", proposition
        return
    for arn in environments.principals:
        either = is_symbolic(value) or is_symbolic(arn) or wild(value) != value or wild(arn) != arn
        if arn != value and either and may_be_equal(wild(value), wild(arn)):
            yield arn, (f"{shown(value)} is {shown(arn)}", TRUE)


def _named(value: str) -> str:
    return shown(value) if is_symbolic(value) else f"<{value}>"
