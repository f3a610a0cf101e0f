"""Lambda permissions and KMS grants as the policy statements that they amount to."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.symbols import (
    GUARD,
    TRUE,
    Proposition,
    globbed,
    is_symbol,
    is_symbolic,
    may_be_equal,
    shown,
)

_CONDITIONS = {
    "SourceArn": ("ArnLike", "aws:SourceArn"),
    "SourceAccount": ("StringEquals", "aws:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
}


_ARN = re.compile(r"(?:arn:[^:]+:lambda:)?(?:[^:]*:)?(?:(?P<account>[^:]*):)?function:(?P<name>[^:]+)(?::.+)?")


def names_function(named: str, arn: str) -> Sequence[Proposition] | None:
    """Return under which propositions ``named`` is the function with ``arn``; None if it is another one.

    A permission names its function by name, ARN or partial ARN, each with or without a version or alias.

    Args:
        named: The permission's ``FunctionName``.
        arn: The function's ARN.
    """
    match = _ARN.fullmatch(named)
    account, name = arn.split(":")[4], arn.split(":", 6)[-1]
    there = match["account"] if match and match["account"] else account
    given = match["name"] if match else named.partition(":")[0]
    if there == account and given == name:
        return ()
    unknown = is_symbolic(given) or is_symbolic(name) or is_symbolic(there) or UNKNOWN_ACCOUNT in {there, account}
    may = unknown and may_be_equal(globbed(given), globbed(name)) and _same_account(there, account)
    return [(f"{shown(named)} is the function {shown(name)}", TRUE)] if may else None


def _same_account(one: str, other: str) -> bool:
    return one == other or is_symbolic(one) or UNKNOWN_ACCOUNT in {one, other}


def permission_statement(permission: Mapping[str, Any], given: Sequence[Proposition] = ()) -> dict[str, Any]:
    """Return the policy statement that Lambda makes of a permission.

    Args:
        permission: Resolved properties of an ``AWS::Lambda::Permission``.
        given: Propositions under which it exists.
    """
    conditions: dict[str, dict[str, str]] = {}
    for name, (operator, key) in _CONDITIONS.items():
        if permission.get(name) is not None:
            conditions.setdefault(operator, {})[key] = text(permission[name])
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": _principal(text(permission.get("Principal", "*"))),
        "Action": text(permission.get("Action", "lambda:*")),
        "Resource": "*",
    }
    if conditions:
        statement["Condition"] = conditions
    return statement | ({GUARD: list(given)} if given else {})


def _principal(value: str) -> str | dict[str, str]:
    if value == "*" or is_symbol(value):
        return value
    return {"Service": value} if value.endswith((".amazonaws.com", ".amazonaws.com.cn")) else {"AWS": value}


CUSTOM_RESOURCE = "Custom::KmsGrant"
"""The resource of the construct ``KeyGrant``; its property ``Grant`` is the request of CreateGrant."""


def granted(template: Template, keys: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key's ARN and the statement of every ``KeyGrant`` of the app.

    Args:
        template: The app.
        keys: Every way in which a key of the app is named -> its ARN.
    """
    for stack, logical_id, properties in template.of_type(CUSTOM_RESOURCE):
        grant = mapping(properties.get("Grant"))
        named = text(grant.get("KeyId"))
        if named not in keys:
            template.unresolved(
                template.where(stack, logical_id), f"KMS grant on {shown(named)}", "the key is not defined here"
            )
            continue
        statement = statement_of({**grant, "GrantId": logical_id})
        given = template.existence(stack, logical_id)
        yield keys[named], {**statement, GUARD: list(given)} if given else statement


def statement_of(grant: Mapping[str, Any]) -> dict[str, Any]:
    """Return a grant as the statement that allows the same.

    The constraint ``EncryptionContextSubset`` demands the pairs that it names, ``EncryptionContextEquals`` only these.
    """
    service = grant.get("GranteeServicePrincipal")
    grantee = text(service or grant.get("GranteePrincipal", "*"))
    is_service = service is not None or (not grantee.startswith("arn:") and grantee.endswith(".amazonaws.com"))
    constraints = mapping(grant.get("Constraints"))
    equal = mapping(constraints.get("EncryptionContextEquals"))
    pairs = {**mapping(constraints.get("EncryptionContextSubset")), **equal}
    block: dict[str, dict[str, Any]] = {}
    if pairs:
        block["StringEquals"] = {f"kms:EncryptionContext:{key}": value for key, value in pairs.items()}
    if equal:
        block["ForAllValues:StringEquals"] = {"kms:EncryptionContextKeys": sorted(equal)}
    if constraints.get("SourceArn"):
        block["ArnLike"] = {"aws:SourceArn": constraints["SourceArn"]}
    statement = {
        "Sid": f"grant {grant.get('Name') or grant['GrantId']}",
        "Effect": "Allow",
        "Principal": {"Service" if is_service else "AWS": grantee},
        "Action": [_action(name) for name in items(grant.get("Operations"))],
        "Resource": "*",
    }
    return statement | ({"Condition": block} if block else {})


def _action(operation: object) -> str:
    return f"kms:{text(operation)}"
