"""Lambda functions of a live account: role and function policy."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.live.asking import Item, Notes, ask, is_unreadable, pages

_PROPERTIES = {
    "aws:sourcearn": "SourceArn",
    "aws:sourceaccount": "SourceAccount",
    "aws:principalorgid": "PrincipalOrgID",
    "lambda:functionurlauthtype": "FunctionUrlAuthType",
    "lambda:invokedviafunctionurl": "InvokedViaFunctionUrl",
    "lambda:eventsourcetoken": "EventSourceToken",
}


def functions(client: Any, notes: Notes) -> Iterator[Item]:
    """Yield the functions of the client's Region.

    Args:
        client: A client of Lambda.
        notes: Where a refusal of the whole list is noted.
    """
    listed = ask("lambda:ListFunctions", pages(client, "list_functions", "Functions"), notes.add, what="functions")
    for entry in [] if is_unreadable(listed) else listed:
        name = entry["FunctionName"]
        item = Item("AWS::Lambda::Function", name, {"FunctionName": name, "Role": entry["Role"]})
        policy = _policy(client, item)
        if is_unreadable(policy):
            item.companions.append(("AWS::Lambda::Permission", _anyone(name)))
        elif policy is not None:
            item.companions += [
                ("AWS::Lambda::Permission", _permission(name, statement, item))
                for statement in json.loads(policy["Policy"])["Statement"]
            ]
        yield item


def _policy(client: Any, item: Item) -> Any:
    def refused(what: str, why: str) -> None:
        item.notes.append((what, why))

    def call() -> Any:
        return client.get_policy(FunctionName=item.name)

    return ask("lambda:GetPolicy", call, refused, what="its function policy", absent=("ResourceNotFoundException",))


def _anyone(name: str) -> dict[str, Any]:
    """Return the widest permission, for a policy that could not be read: whatever it says, it says no more."""
    return {"FunctionName": name, "Action": "lambda:*", "Principal": "*"}


def _permission(name: str, statement: Mapping[str, Any], item: Item) -> dict[str, Any]:
    """Return a statement of a function policy as CloudFormation states it; a condition not known there is left out."""
    principal = statement.get("Principal", "*")
    value = principal if isinstance(principal, str) else next(iter(principal.values()))
    found = {"FunctionName": name, "Action": statement["Action"], "Principal": value}
    for keys in statement.get("Condition", {}).values():
        for key, wanted in keys.items():
            if key.lower() in _PROPERTIES:
                found[_PROPERTIES[key.lower()]] = wanted
            else:
                item.notes.append((f"condition {key} of its function policy", "it is taken as met"))
    return found
