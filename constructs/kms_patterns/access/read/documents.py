"""Policy documents as they are in a template: an object, JSON text, or something that only a deployment can tell."""

import json
from collections.abc import Callable, Mapping
from typing import Any

Unknown = Callable[[str, str], Any]


def readable(document: Any, unknown: Unknown) -> dict[str, Any]:
    """Return a policy document with those of its statements that can be read; the rest is listed.

    Args:
        document: A resolved policy document.
        unknown: Lists what cannot be told, and why.
    """
    found = _parsed(document)
    if not isinstance(found, Mapping):
        unknown("its policy", "the document is known after deployment only: what it says is not seen")
        return {"Version": "2012-10-17", "Statement": []}
    statements = found.get("Statement", [])
    given = statements if isinstance(statements, list) else [statements]
    read = [item for item in given if _is_whole(item)]
    if len(read) < len(given):
        unknown("a statement of its policy", "it is known after deployment only: what it says is not seen")
    return {**found, "Statement": read if isinstance(statements, list) or not read else read[0]}


def _is_whole(statement: Any) -> bool:
    """Return whether nothing of a statement's structure is still an expression of the template."""
    if not isinstance(statement, Mapping):
        return False
    conditions = statement.get("Condition") or {}
    principals = statement.get("Principal", "*"), statement.get("NotPrincipal", "*")
    blocks = isinstance(conditions, Mapping) and all(isinstance(keys, Mapping) for keys in conditions.values())
    return blocks and all(item == "*" or isinstance(item, Mapping) for item in principals)


def _parsed(document: Any) -> Any:
    if isinstance(document, str) and document.lstrip().startswith("{"):
        try:
            return json.loads(document)
        except ValueError:
            return document
    return document
