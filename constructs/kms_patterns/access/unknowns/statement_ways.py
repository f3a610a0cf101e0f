"""Principals and conditions with unknown values: which they may be, as exact ones under propositions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from kms_patterns.access.read.identifiers import A_NAME, matches, may_be_equal
from kms_patterns.access.templates.template_text import items, text
from kms_patterns.access.unknowns.symbols import (
    TRUE,
    Environments,
    MadeUpAccounts,
    Proposition,
    could_be,
    globbed,
    is_symbol,
    is_symbolic,
    may_name,
    shown,
    symbol,
    wild,
)

Propositions = dict[tuple[str, str], str]
"""The value that a proposition must have, by proposition and condition operator."""

ACCOUNT_KEYS = frozenset({"aws:principalaccount", "aws:resourceaccount", "kms:calleraccount", "s3:resourceaccount"})
"""Condition keys, in lower case, that hold the account of a principal or resource that is asked about."""

DECIDED = ACCOUNT_KEYS | {
    "aws:principalarn",
    "aws:principaltype",
    "aws:principalisawsservice",
    "aws:principalservicename",
    "aws:username",
}
"""Condition keys, in lower case, whose value is known of every request that is asked about."""

_TEXT = ("string", "arn")
_NOT = "not"
_LIKE = {"stringequals": "StringLike", "arnequals": "ArnLike", "stringequalsignorecase": "StringLike"}

Leaf = tuple[str, str, list[str]]
"""Operator, key and values."""


def condition_ways(condition: Any, environments: Environments) -> list[tuple[dict[str, Any], Propositions]]:
    """Return the ways of a statement's ``Condition``, with what must hold for each."""
    if condition is None:
        return [({}, {})]
    if not isinstance(condition, Mapping):
        return [({}, {(f"condition {shown(text(condition))}", "StringEquals"): TRUE})]
    parts: list[list[tuple[Leaf | None, Propositions]]] = []
    for operator, keys in condition.items():
        if not isinstance(keys, Mapping):
            parts.append([(None, {(f"condition {operator} {shown(text(keys))}", "StringEquals"): TRUE})])
            continue
        for key, values in keys.items():
            parts.append(list(_leaf_ways(operator, key, [text(item) for item in items(values)], environments)))
    found = []
    for ways in product(*parts):
        block: dict[str, dict[str, Any]] = {}
        given: Propositions = {}
        clash = False
        for leaf, propositions in ways:
            if leaf:
                clash = clash or leaf[1] in block.get(leaf[0], {})
                block.setdefault(leaf[0], {})[leaf[1]] = leaf[2]
            given |= propositions
        if clash:  # two conditions on one key that became one operator: neither is left out
            return [({}, {(f"condition {shown(str(dict(condition)))}", "StringEquals"): TRUE})]
        found.append(({"Condition": block} if block else {}, given))
    return found


def _leaf_ways(
    operator: str, key: str, values: list[str], environments: Environments
) -> Iterator[tuple[Leaf | None, Propositions]]:
    quantifier, _, rest = operator.rpartition(":")
    base = rest.removesuffix("IfExists").lower()
    unknown = [value for value in values if is_symbolic(value)]
    decided = key.lower() in DECIDED or key.lower().startswith("aws:principaltag/")
    if is_symbolic(key) or is_symbolic(operator) or (unknown and not base.startswith(_TEXT)):
        yield None, {(f"{shown(key)} {operator} {' or '.join(map(shown, values))}", "StringEquals"): TRUE}
        return
    others = list(_others(key, values, environments)) if decided and base.startswith(_TEXT) else []
    if not others:
        yield (operator, key, values), {}
        return
    known = [_exact(key, value, environments) for value in values]
    if _NOT in base:
        everything = [*known, *(value for value, _ in others)]
        label = f"{key} is not {' or '.join(map(shown, values))}"
        if "*" not in everything:
            yield (operator, key, everything), {}
        yield (operator, key, known), {(label, "StringEquals"): TRUE}
        return
    if known:
        yield (operator, key, known), {}
    suffix = "IfExists" if rest.endswith("IfExists") else ""
    like = f"{quantifier}:{_LIKE[base]}{suffix}" if quantifier and base in _LIKE else _LIKE.get(base, rest) + suffix
    for value, (name, holds) in others:
        wider = f"{like if base in _LIKE else operator}" if set(value) & {"*", "?"} else operator
        yield (wider, key, [value]), {(name, "StringEquals"): holds}


def _exact(key: str, value: str, environments: Environments) -> str:
    """Return a value as the made-up principals have it."""
    if key.lower() in ACCOUNT_KEYS and is_symbolic(value):
        return environments.made_up.of(value)
    match = re.fullmatch(r"(arn:[^:]*:(?:iam|sts)::)([^:]*)(:.+)", value)
    if match and is_symbolic(match[2]):
        return f"arn:aws:{value.split(':')[2]}::{environments.made_up.of(match[2])}{match[3]}"
    if key.lower() == "aws:principalarn" and is_symbol(value):
        return f"arn:aws:iam::{environments.made_up.of(value)}:role/{value}"
    return value


def _others(key: str, values: Sequence[str], environments: Environments) -> Iterator[tuple[str, Proposition]]:
    """Yield values that an unknown value may be, or an account of the assembly."""
    for value in values:
        if key.lower() in ACCOUNT_KEYS:
            yield from environments.other_accounts(value)
            continue
        if key.lower() == "aws:principalarn" and (moved := environments.moved(value)):
            yield moved, ("<partition>", value.split(":")[1])
            yield from _others(key, [moved], environments)
        arn = re.fullmatch(r"(arn:[^:]*:(?:iam|sts)::)([^:]*)(:.+)", value)
        if is_symbolic(value) or (not arn and could_be(value) != value):
            yield globbed(could_be(value)).replace(A_NAME, "*"), (f"{key} is {shown(value)}", TRUE)
        elif arn and key.lower() == "aws:principalarn":
            for account, proposition in environments.other_accounts(arn[2]):
                yield f"{arn[1]}{account}{arn[3]}", proposition
            for known in environments.principals:
                any_name, any_value = could_be(known), could_be(value)
                open_ = is_symbolic(known) or (any_name == known) != (any_value == value)
                if open_ and may_name(any_value, wild(any_name)) and not matches(value, known):
                    yield known, (f"{shown(known)} is {value}", TRUE)


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
    if kind in {"Service", "Federated"} and not value.startswith("arn:"):
        # The simulator tells who acts without policies of its own by this ending only.
        return kind, value if value.endswith("amazonaws.com") else f"{value}.amazonaws.com"
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
        for other, proposition in _other_principals(kind, name, environments):
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


def _other_principals(kind: Kind, value: str, environments: Environments) -> Iterator[tuple[str, Proposition]]:
    """Yield which other principals a principal of a policy may be."""
    provider = re.fullmatch(r"(arn:[^:]*:iam::)([^:]*)(:.+)", value) if kind == "Federated" else None
    if provider:
        for account, proposition in environments.other_accounts(provider[2]):
            yield f"{provider[1]}{account}{provider[3]}", proposition
        if not is_symbolic(provider[3]):
            return
    if kind == "AWS" and (moved := environments.moved(value)):
        yield moved, ("<partition>", value.split(":")[1])
        yield from _other_names(kind, moved, environments)
    yield from _other_names(kind, value, environments)


def _other_names(kind: Kind, value: str, environments: Environments) -> Iterator[tuple[str, Proposition]]:
    if kind in {"Service", "Federated"} and is_symbolic(value):
        known = environments.services if kind == "Service" else environments.providers
        for name in known:
            if name != value and may_be_equal(wild(value), name):
                yield name, (f"{shown(value)} is {shown(name)}", TRUE)
    if kind != "AWS" or value == "*":
        return
    if is_any(kind, value):
        yield "*", (f"principal {shown(value) if is_symbolic(value) else f'<{value}>'} includes it", TRUE)
        return
    root = re.fullmatch(r"(?:arn:([^:]*):iam::)?([^:]*)(?::root)?", value)
    if root:
        for account, proposition in environments.other_accounts(root[2]):
            yield f"arn:{root[1] or 'aws'}:iam::{account}:root", proposition
        return
    session = re.fullmatch(r"(arn:[^:]*):sts::([^:]*):assumed-role/([^/]+)/.+", value)
    named = [f"{session[1]}:iam::{session[2]}:role/{path}{session[3]}" for path in ("", "*/")] if session else [value]
    of = "is a session of" if session else "is"
    for arn in environments.principals:
        any_name = arn if could_be(value) != value else could_be(arn)
        either = is_symbolic(value) or is_symbolic(arn) or wild(value) != value or wild(any_name) != arn
        sure = any(matches(one, arn) for one in named) if session else arn == value
        if not sure and either and any(may_be_equal(wild(one), wild(any_name)) for one in named):
            yield arn, (f"{shown(value)} {of} {shown(arn)}", TRUE)
