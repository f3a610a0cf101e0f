"""Principals that policies name but the assembly does not define."""

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kms_patterns.access.model import ALONE, Policy, Principal, PrincipalKind, Resource
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.statement_ways import is_any, named_arn
from kms_patterns.access.unknowns.symbols import MadeUpAccounts, is_symbolic, shown, symbol

ANY_SERVICE = "any-service.amazonaws.com"
"""Stands for every AWS service, where a policy tells services from others."""

_NAMING_KEYS = {
    "aws:principalarn": "Arn",
    "aws:principalaccount": "Account",
    "kms:calleraccount": "Account",
    "aws:principalservicename": "Service",
    "aws:principalservicenameslist": "Service",
    "aws:principalisawsservice": "AnyService",
}
"""Condition keys whose values name principals, in lower case, with what they name."""


def everything(*actions: str) -> tuple[Policy, ...]:
    """Return a policy that allows actions on every resource."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return (Policy("permissions assumed", "identity", {"Version": "2012-10-17", "Statement": [statement]}),)


ALL = everything("*")


def named_principals(
    defined: Iterable[Principal], resources: Iterable[Resource], made_up: MadeUpAccounts
) -> Iterator[Principal]:
    """Yield services, external accounts and other principals that a resource policy names.

    A named principal has unknown policies of its own; it is taken to have every permission. One of the resource's own
    account is asked about a second time without any, which tells what the resource's policy gives by itself.

    Args:
        defined: The assembly's own principals, which are not repeated.
        resources: The resources whose policies are searched.
        made_up: Account ids for what has none.
    """
    arns = {principal.arn for principal in defined}
    known: set[tuple[str, str, str]] = set()
    named_by = list(resources)
    for resource in named_by:
        for statement in _statements(resource.policy.document) if resource.policy else ():
            for kind, value in _named(statement):
                if (kind, value, resource.account) not in known and value not in arns:
                    known.add((kind, value, resource.account))
                    yield from _principal(kind, value, resource.account, made_up)
                    if kind == "Arn":  # under the resource's own account, which may be the one that the ARN names
                        yield from _if_deployed_there(value, resource.account)
    yield from _spared(named_by, arns, known, made_up)


def _spared(
    resources: Iterable[Resource],
    defined: Container[str],
    known: Container[tuple[str, str, str]],
    made_up: MadeUpAccounts,
) -> Iterator[Principal]:
    """Yield whom Denies spare, for the resources that have them: no Allow need name them."""
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for resource in resources:
        for statement in _statements(resource.policy.document) if resource.policy else ():
            for kind, value in _excepted(statement):
                if value not in defined:
                    found[kind, value, resource.account].add(resource.id)
    for (kind, value, account), places in found.items():
        is_named = any((name, value, account) in known for name in (kind, "AWS"))
        spared = [] if is_named else _principal(kind, value, account, made_up)
        there = [] if ("Arn", value, account) in known else _if_deployed_there(value, account)
        for principal in [*spared, *there]:
            yield replace(principal, only=frozenset(places))


def not_evaluated(resources: Iterable[Resource]) -> Iterator[tuple[str, str]]:
    """Yield place and name of principals of which the simulator knows nothing: ids and canonical users."""
    for resource in resources:
        for statement in _statements(resource.policy.document) if resource.policy else ():
            for kind, value in _named(statement):
                by_id = kind == "AWS" and not re.fullmatch(r"\*|[\d*?]+|arn:.*", value)
                if resource.policy and (by_id or kind == "CanonicalUser") and not is_symbolic(value):
                    yield resource.policy.where, f"{kind} {value}"


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return items(document.get("Statement"))


def _named(statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for member in ("Principal", "NotPrincipal"):
        principals = statement.get(member, {})
        given = principals if isinstance(principals, Mapping) else {"AWS": principals}
        for kind, values in given.items():
            for value in items(values):
                yield kind, text(value)
    yield from _in_conditions(statement, negated=False)


def _excepted(statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield whom a Deny spares: a Deny of all but some tells of them as an Allow of some does."""
    if statement.get("Effect") == "Allow":
        return
    excluded = statement.get("NotPrincipal")
    for value in items(mapping(excluded).get("AWS")):
        yield "AWS", text(value)
    yield from _in_conditions(statement, negated=True)


def _in_conditions(statement: Mapping[str, Any], *, negated: bool) -> Iterator[tuple[str, str]]:
    for operator, keys in mapping(statement.get("Condition")).items():
        for key, values in mapping(keys).items():
            kind = _NAMING_KEYS.get(key.lower())
            for value in items(values) if kind else ():
                if kind == "AnyService":
                    told = text(value).lower() == str(not negated).lower()
                else:
                    told = ("not" in operator.lower()) is negated
                if told:
                    yield str(kind), text(value)


def _principal(kind: str, value: str, account: str, made_up: MadeUpAccounts) -> Iterator[Principal]:
    if kind == "Service":
        name = named_arn(kind, value, made_up)[1]
        known = {} if is_symbolic(value) else {"aws:PrincipalServiceName": value}
        yield Principal(shown(value), PrincipalKind.SERVICE, f"service {shown(value)}", name, attributes=known)
    elif kind == "AnyService":
        yield Principal(ANY_SERVICE, PrincipalKind.SERVICE, "any AWS service", ANY_SERVICE)
    elif kind == "Arn" and (root := re.fullmatch(r"arn:([^:]*):iam::([^:]*):root", value)):
        yield from _root_user(root[2], account, made_up)
    elif kind in {"AWS", "Account", "Arn"} and value != "*":
        yield from _of_aws(kind, value, account, made_up)
    elif kind == "Federated":
        arn = _provider_at(value, account) if value.startswith("arn:") else named_arn(kind, value, made_up)[1]
        moved = value.startswith("arn:") and arn != value
        where = f" in {'<account>' if account == UNKNOWN_ACCOUNT else account}" if moved else ""
        yield Principal(
            f"{kind} {shown(value)}{where}", PrincipalKind.PROVIDER, f"federated {shown(value)}{where}", arn
        )
    elif kind == "CanonicalUser":
        name = f"canonical user {shown(value)}"
        yield _with_everything(name, name, named_arn(kind, value, made_up)[1])


def _provider_at(value: str, account: str) -> str:
    """Return a provider's ARN as it may come to be: a role trusts providers of its own account only."""
    match = re.fullmatch(r"(arn:[^:]*:iam::)([^:]*)(:.+)", value)
    if match and match[2] != account and (is_symbolic(match[2]) or UNKNOWN_ACCOUNT in {match[2], account}):
        return f"{match[1]}{account}{match[3]}"
    return value


def _of_aws(kind: str, value: str, account: str, made_up: MadeUpAccounts) -> Iterator[Principal]:
    there = re.fullmatch(r"arn:[^:]*:iam::([^:]*):root", value)
    number = there[1] if there else value
    if number == account:
        return
    if kind == "Account" or there or re.fullmatch(r"[\d*?]+", value):
        digits = made_up.of(number) if is_symbolic(number) else _digits(number, made_up)
        label = f"account {shown(number)} (any principal that it allows)"
        yield _with_everything(f"account {shown(number)}", label, f"arn:aws:iam::{digits}:role/{symbol('any role')}")
    elif is_any("AWS", value):
        name = f"principal {shown(value) if is_symbolic(value) else f'<{value}>'}"
        yield _with_everything(name, f"{name} (any that it stands for)", named_arn("AWS", value, made_up)[1])
    else:
        yield from _of_arn(value, account, made_up)


def _of_arn(value: str, account: str, made_up: MadeUpAccounts) -> Iterator[Principal]:
    parts = [*value.split(":", 5), "", "", "", "", ""]  # a malformed ARN counts as one of an unknown account
    there, name = parts[4], parts[5]
    printed, named = (
        shown(item).replace(UNKNOWN_ACCOUNT, "<account>").replace(UNKNOWN_REGION, "<region>") for item in (value, name)
    )
    concrete = named_arn("AWS", value, made_up)[1].replace("*", "any").replace("?", "x")
    if there == account:
        yield from _of_this_account(printed, named, account, concrete)
    elif set(there) & {"*", "?"} or not there:
        tail = name.replace("*", "any").replace("?", "x")
        here = ":".join([*parts[:4], account, tail])
        yield from _of_this_account(named, printed, account, here)
        if there:
            number = _digits(there, made_up)
            yield _with_everything(printed, f"{printed} (of another account)", ":".join([*parts[:4], number, tail]))
    else:
        yield _with_everything(printed, f"{printed} (of account {shown(there)})", concrete)


def _if_deployed_there(value: str, account: str) -> Iterator[Principal]:
    """Yield a principal of a literal account as one of the account that a stack of any account may be deployed to."""
    match = re.fullmatch(r"(arn:[^:]*:iam::)(\d{12}):(.+)", value)
    if match and account == UNKNOWN_ACCOUNT != match[2]:
        name = f"{match[3]} if <account> is {match[2]}"
        label = f"{match[3]} of this account (if that is {match[2]}, and its own IAM allows)"
        tail = match[3].replace("*", "any").replace("?", "x")
        yield _with_everything(name, label, f"{match[1]}{account}:{tail}")


def _of_this_account(identifier: str, name: str, account: str, arn: str) -> Iterator[Principal]:
    place = "this account" if account == UNKNOWN_ACCOUNT else f"account {account}"
    label = f"{name} of {place}"
    yield _with_everything(identifier, f"{label} (not in this assembly: if its own IAM allows, taken as *:*)", arn)
    alone = _with_everything(f"{identifier} {ALONE}", f"{label} ({ALONE})", arn)
    yield replace(alone, identity=())


def _root_user(number: str, account: str, made_up: MadeUpAccounts) -> Iterator[Principal]:
    where = "this account" if number == account else f"account {shown(number)}"
    digits = made_up.of(number) if is_symbolic(number) else _digits(number, made_up)
    yield _with_everything(f"root user of {where}", f"root user of {where}", f"arn:aws:iam::{digits}:root")


def _digits(account: str, made_up: MadeUpAccounts) -> str:
    """Return an account that the pattern ``account`` matches and that does not occur in the input, if there is one."""
    if not set(account) & {"*", "?"}:
        return account
    fills = [
        account.replace("?", digit).replace("*", digit * max(0, 12 - len(account.replace("*", ""))), 1).replace("*", "")
        for digit in "9876543210"
    ]
    return next((filled for filled in fills if filled not in made_up.taken), fills[0])


def _with_everything(identifier: str, label: str, arn: str) -> Principal:
    return Principal(identifier, PrincipalKind.NAMED, label, arn, identity=ALL, attributes=_attributes(arn))


def _attributes(arn: str) -> dict[str, str]:
    """Return what the form of an ARN tells of its principal's requests."""
    kind, _, name = arn.rpartition(":")[2].partition("/")
    if kind == "assumed-role":  # its aws:PrincipalArn is the role's, whose path is not part of its own ARN
        return {"aws:PrincipalType": "AssumedRole", "aws:PrincipalArn": symbol(f"role of {arn}")}
    if kind == "user":
        return {"aws:PrincipalType": "User", "aws:username": name.rpartition("/")[2]}
    return {"root": {"aws:PrincipalType": "Account"}, "federated-user": {"aws:PrincipalType": "FederatedUser"}}.get(
        kind, {}
    )
