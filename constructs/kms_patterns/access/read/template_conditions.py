"""Conditions of a CloudFormation template, as far as synthesized output decides them."""

import re
from collections.abc import Callable
from typing import Any

from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION, Stack

_PLACEHOLDER = "arn:aws:unresolved:::"
_UNDECIDED = (_PLACEHOLDER, UNKNOWN_ACCOUNT, UNKNOWN_REGION)


def placeholder(what: str) -> str:
    """Return the string that stands for an unresolved value: an ARN, so that it matches no other one."""
    return f"{_PLACEHOLDER}{re.sub(r'[^A-Za-z0-9./_-]+', '-', what)}"


def is_placeholder(value: object) -> bool:
    """Return whether ``value`` is, or holds, an unresolved value."""
    return _PLACEHOLDER in str(value)


def holds(stack: Stack, name: str, resolve: Callable[[Any], Any], unknown: Callable[[str, str], str]) -> bool:
    """Return whether a condition of ``stack`` holds; one that cannot be decided is listed, and taken as true.

    Args:
        stack: The stack whose template defines it.
        name: Its name.
        resolve: Resolves a value of the template.
        unknown: Lists what cannot be told, and why.
    """

    def test(expression: Any) -> bool | None:
        """Return True, False, or None for undecided."""
        if not isinstance(expression, dict) or len(expression) != 1:
            return None
        ((function, argument),) = expression.items()
        if function == "Condition":
            return test(stack.template.get("Conditions", {}).get(argument))
        if function == "Fn::Equals":
            return _equal(*(resolve(item) for item in argument))
        if function == "Fn::Not":
            result = test(argument[0])
            return None if result is None else not result
        if function in {"Fn::And", "Fn::Or"}:
            deciding = function == "Fn::Or"
            results = [test(item) for item in argument]
            return deciding if deciding in results else (None if None in results else not deciding)
        return None

    result = test(stack.template.get("Conditions", {}).get(name))
    if result is None:
        unknown(f"condition {name}", "it cannot be decided before deployment; taken as true")
    return result is not False


def _equal(left: object, right: object) -> bool | None:
    """Compare texts; account and region of an environment-agnostic stack equal only themselves for certain."""
    if left == right:
        return True
    return None if any(mark in f"{left} {right}" for mark in _UNDECIDED) else False
