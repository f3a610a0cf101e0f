"""The matrix as JSON, described by ``schema/access-matrix-1.json``."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import fastjsonschema

from kms_patterns.access.evaluate import access_conditions
from kms_patterns.access.evaluate.entries import Access, ActionName, Escalation, EscalationStep, Statement, What, Who
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PrincipalKind, ResourceKind, Unresolved
from kms_patterns.access.report.wording import visible_json

FORMAT = "kms-patterns access matrix"
VERSION = 1


class NotAMatrix(ValueError):
    """The text is not a saved access matrix of this version; the message says where it differs."""


def write(matrix: Matrix) -> str:
    """Return ``matrix`` as JSON text, equal for equal matrices."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "stacks": list(matrix.stacks),
        "principals": [
            {"id": who.id, "kind": who.kind, "label": who.label, "stack": who.stack} for who in matrix.principals
        ],
        "resources": [
            {
                "id": what.id,
                "kind": what.kind,
                "label": what.label,
                "stack": what.stack,
                "encryptedBy": what.encrypted_by,
                "actsAs": what.acts_as,
            }
            for what in matrix.resources
        ],
        "actions": {
            kind: [{"name": action.name, "target": action.target, "group": action.group} for action in actions]
            for kind, actions in matrix.actions.items()
        },
        "statements": [
            {"policy": item.policy, "index": item.index, "statement": item.text} for item in matrix.statements
        ],
        "access": [_entry(entry) for entry in matrix.entries],
        "unresolved": [{"where": item.where, "what": item.what, "why": item.why} for item in matrix.unresolved],
        "escalations": [_escalation(item) for item in matrix.escalations],
        "policies": [{"policy": item.policy, "index": item.index, "statement": item.text} for item in matrix.policies],
        **({"only": matrix.only} if matrix.only else {}),
        **({"live": True} if matrix.live else {}),
    }
    return visible_json(json.dumps(document, indent=1, ensure_ascii=False)) + "\n"


def _entry(entry: Access) -> dict[str, Any]:
    return {
        "principal": entry.principal,
        "resource": entry.resource,
        "action": entry.action,
        "target": entry.target,
        "scope": entry.scope,
        "condition": access_conditions.to_json(entry.condition),
        "statements": list(entry.statements),
    }


def _escalation(item: Escalation) -> dict[str, Any]:
    return {
        "principal": item.principal,
        "resource": item.resource,
        "user": item.user,
        "condition": access_conditions.to_json(item.condition),
        "path": [
            {
                "principal": step.principal,
                "target": step.target,
                "methods": list(step.methods),
                "effect": step.effect,
                "condition": access_conditions.to_json(step.condition),
            }
            for step in item.path
        ],
    }


def read(text: str) -> Matrix:
    """Return the matrix that ``write`` wrote.

    Raises:
        NotAMatrix: ``text`` is not JSON, or not of this format and version.
    """
    try:
        document = json.loads(text)
        _validator()(document)
    except (ValueError, fastjsonschema.JsonSchemaException) as error:
        raise NotAMatrix(f"not a saved access matrix of version {VERSION}: {error}") from error
    if strange := sorted(_strange(document)):
        raise NotAMatrix(f"not a saved access matrix: it is about {strange[0]!r}, which it does not list")
    return _matrix(document)


def _strange(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what entries and resources refer to and the document lacks: no report would show them."""
    yield from (item["stack"] for item in document["resources"] if item["stack"] not in document["stacks"])
    known = {member: {item["id"] for item in document[f"{member}s"]} for member in ("principal", "resource")}
    for entry in document["access"]:
        yield from (entry[member] for member, ids in known.items() if entry[member] not in ids)
        yield from (f"statement {it}" for it in entry["statements"] if not 0 <= it < len(document["statements"]))


def _matrix(document: Mapping[str, Any]) -> Matrix:
    return Matrix(
        stacks=document["stacks"],
        principals=[
            Who(item["id"], PrincipalKind(item["kind"]), item["label"], item["stack"])
            for item in document["principals"]
        ],
        resources=[
            What(
                id=item["id"],
                kind=ResourceKind(item["kind"]),
                label=item["label"],
                stack=item["stack"],
                encrypted_by=item["encryptedBy"],
                acts_as=item["actsAs"],
            )
            for item in document["resources"]
        ],
        actions={
            ResourceKind(kind): [ActionName(item["name"], item["target"], item["group"]) for item in items]
            for kind, items in document["actions"].items()
        },
        entries=[
            Access(
                principal=item["principal"],
                resource=item["resource"],
                action=item["action"],
                target=item["target"],
                scope=item["scope"],
                condition=access_conditions.from_json(item["condition"]),
                statements=tuple(item["statements"]),
            )
            for item in document["access"]
        ],
        statements=[Statement(item["policy"], item["index"], item["statement"]) for item in document["statements"]],
        unresolved=[Unresolved(item["where"], item["what"], item["why"]) for item in document["unresolved"]],
        escalations=[_read_escalation(item) for item in document.get("escalations", ())],
        policies=[Statement(item["policy"], item["index"], item["statement"]) for item in document.get("policies", ())],
        only=document.get("only", ""),
        live=document.get("live", False),
    )


def _read_escalation(item: Mapping[str, Any]) -> Escalation:
    path = [
        EscalationStep(
            step["principal"],
            step["target"],
            tuple(step["methods"]),
            step["effect"],
            access_conditions.from_json(step["condition"]),
        )
        for step in item["path"]
    ]
    return Escalation(
        item["principal"], item["resource"], item["user"], tuple(path), access_conditions.from_json(item["condition"])
    )


@cache
def _validator() -> Callable[[Any], Any]:
    schema = files("kms_patterns.access.report").joinpath("schema/access-matrix-1.json").read_text(encoding="utf-8")
    validate: Callable[[Any], Any] = fastjsonschema.compile(json.loads(schema))
    return validate
