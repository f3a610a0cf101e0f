"""Every single thing that can be taken out of a stack's policies: an action, a condition, a resource, a statement."""

import json
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Template = dict[str, Any]
Statement = dict[str, Any]

_DOCUMENTS = {
    "AWS::IAM::Policy": "PolicyDocument",
    "AWS::IAM::Role": "AssumeRolePolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}


@dataclass(frozen=True)
class Removal:
    """One thing to take out.

    Attributes:
        logical_id: The resource that holds the policy.
        statement: The statement's place.
        kind: ``statement``, ``action``, ``resource`` or ``condition``.
        what: The action's name, the resource's place or the condition's operator and key.
    """

    logical_id: str
    statement: int
    kind: str
    what: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.logical_id, f"statement {self.statement + 1}:", self.kind, *self.what])


def removals(template: Template) -> Iterator[Removal]:
    """Yield everything that can be removed singly."""
    for logical_id, place, statement in statements(template):
        yield Removal(logical_id, place, "statement")
        for member, kind in (("Action", "action"), ("Resource", "resource")):
            values = statement.get(member)
            if isinstance(values, list) and len(values) > 1:
                for number, value in enumerate(values):
                    yield Removal(logical_id, place, kind, (value if kind == "action" else str(number),))
        for operator, keys in statement.get("Condition", {}).items():
            for key in keys:
                yield Removal(logical_id, place, "condition", (operator, key))


def reduced(document: dict[str, Any], taken: Iterable[Removal]) -> dict[str, Any]:
    """Return a copy of a policy document without ``taken``, all of which are about it."""
    copy = deepcopy(document)
    for removal in sorted(taken, key=lambda item: -item.statement):
        _take(copy, removal)
        if not copy["Statement"]:
            # An empty policy is not valid; a statement about nothing says as much.
            original = document["Statement"][removal.statement]
            copy["Statement"] = [{**original, "Effect": "Deny", "Action": "ec2:RunInstances"}]
    return copy


def with_lapse(document: dict[str, Any]) -> dict[str, Any]:
    """Return a key policy in which everybody may do everything: the lapse that denials guard against."""
    lapse = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    return {**document, "Statement": [*document["Statement"], lapse]}


def keys(template: Template) -> list[str]:
    """Return the logical ids of the keys."""
    return [name for name, resource in template["Resources"].items() if resource["Type"] == "AWS::KMS::Key"]


def denies(template: Template, removal: Removal) -> bool:
    """Return whether the removal is about a statement that denies."""
    return bool(_original(template, removal)["Effect"] == "Deny")


def twins(template: Template, removal: Removal) -> list[Removal]:
    """Return where the same condition stands on the other side: in the role's policy, or in the key policy."""
    if removal.kind != "condition":
        return []
    statement = _original(template, removal)
    role, key = _role_and_key(template, removal, statement)
    return [
        Removal(logical_id, place, "condition", removal.what)
        for logical_id, place, other in statements(template)
        if logical_id != removal.logical_id
        and _has(other, removal.what)
        and _role_and_key(template, Removal(logical_id, place, "statement"), other) == (role, key)
    ]


def statements(template: Template) -> Iterator[tuple[str, int, Statement]]:
    """Yield logical id, place and statement of every policy."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] in _DOCUMENTS:
            document = resource["Properties"].get(_DOCUMENTS[resource["Type"]], {"Statement": []})
            for place, statement in enumerate(document["Statement"]):
                yield logical_id, place, statement


def _take(document: dict[str, Any], removal: Removal) -> None:
    statement = document["Statement"][removal.statement]
    if removal.kind == "statement":
        del document["Statement"][removal.statement]
    elif removal.kind == "action":
        statement["Action"].remove(removal.what[0])
    elif removal.kind == "resource":
        del statement["Resource"][int(removal.what[0])]
    else:
        operator, key = removal.what
        del statement["Condition"][operator][key]
        statement["Condition"] = {name: keys for name, keys in statement["Condition"].items() if keys}


def _original(template: Template, removal: Removal) -> Statement:
    return next(
        statement
        for logical_id, place, statement in statements(template)
        if (logical_id, place) == (removal.logical_id, removal.statement)
    )


def _has(statement: Statement, what: tuple[str, ...]) -> bool:
    return what[1] in statement.get("Condition", {}).get(what[0], {})


def _role_and_key(template: Template, removal: Removal, statement: Statement) -> tuple[str, str]:
    """Name the role and the key that a grant's statement is about, whichever policy it stands in."""
    resource = template["Resources"][removal.logical_id]
    if resource["Type"] == "AWS::KMS::Key":
        role = statement.get("Condition", {}).get("ArnEquals", {}).get("aws:PrincipalArn", {})
        return json.dumps(role.get("Fn::GetAtt", [""])[0]), removal.logical_id
    if resource["Type"] == "AWS::IAM::Policy":
        target = statement["Resource"]
        key = target.get("Fn::GetAtt", [""])[0] if isinstance(target, dict) else ""
        return json.dumps(resource["Properties"]["Roles"][0]["Ref"]), key
    return "", removal.logical_id
