"""Brings conditions of allowing statements into a form that the simulator's discovery reports in full.

Its discovery starts from a request without context keys, and leaves out a condition that such a request meets:
``ForAllValues`` and ``Null``, which hold where the key is absent. Here both become ``IfExists``, which means the same
and is reported.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from collections.abc import Mapping
from typing import Any

ABSENT = "-absent-"
"""A value that no request has: "equal to it, if the key exists" means that the key is absent."""

_SPARE = ("StringEqualsIfExists", "StringLikeIfExists", "StringEqualsIgnoreCaseIfExists")


def discoverable(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``document`` with conditions that mean the same and that discovery does not leave out."""
    statements = document.get("Statement") if isinstance(document, Mapping) else None
    if isinstance(statements, list):
        return {**document, "Statement": [_statement(item) for item in statements]}
    return {**document, "Statement": _statement(statements)} if isinstance(statements, Mapping) else document


def _statement(statement: Any) -> Any:
    if not isinstance(statement, Mapping) or statement.get("Effect") != "Allow":
        return statement
    conditions = statement.get("Condition")
    return {**statement, "Condition": _conditions(conditions)} if isinstance(conditions, Mapping) else statement


def _conditions(conditions: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for operator, keys in conditions.items():
        if not isinstance(keys, Mapping):
            return conditions
        for key, values in keys.items():
            named, value = _reported(operator, key, values, conditions)
            found.setdefault(named, {})[key] = value
        found.setdefault(operator, {})
    return {operator: keys for operator, keys in found.items() if keys or conditions.get(operator) == {}}


def _reported(operator: str, key: str, values: Any, conditions: Mapping[str, Any]) -> tuple[str, Any]:
    optional = f"{operator}IfExists"
    if operator.lower().startswith("forallvalues:") and not operator.lower().endswith("ifexists"):
        return (operator, values) if key in conditions.get(optional, {}) else (optional, values)
    if operator.lower() == "null" and _texts(values) == {"true"}:
        spare = next((name for name in _SPARE if key not in conditions.get(name, {})), None)
        return (spare, ABSENT) if spare else (operator, values)
    return operator, values


def _texts(values: Any) -> set[str]:
    return {str(value).lower() for value in (values if isinstance(values, list) else [values])}
