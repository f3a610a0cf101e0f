"""Conditions of a CloudFormation template, as far as synthesized output decides them."""

import re
from collections.abc import Callable
from typing import Any

from kms_patterns.access.assembly import Stack

_PLACEHOLDER = "arn:aws:unresolved:::"


def placeholder(what: str) -> str:
    """Return the string that stands for an unresolved value: an ARN, so that it matches no other one."""
    return f"{_PLACEHOLDER}{re.sub(r'[^A-Za-z0-9./_-]+', '-', what)}"


def holds(stack: Stack, name: str, resolve: Callable[[Any], Any], unknown: Callable[[str, str], str]) -> bool:
    """Return whether a condition of ``stack`` holds; one that cannot be decided is listed, and taken as true.

    Args:
        stack: The stack whose template defines it.
        name: Its name.
        resolve: Resolves a value of the template.
        unknown: Lists what cannot be told, and why.
    """

    def test(expression: Any) -> bool:
        if not isinstance(expression, dict) or len(expression) != 1:
            unknown(f"condition {name}", "it is not defined; taken as true")
            return True
        ((function, argument),) = expression.items()
        if function == "Fn::Equals":
            left, right = resolve(argument)
            return bool(left == right) or _PLACEHOLDER in f"{left}{right}"
        if function == "Fn::Not":
            return not test(argument[0]) or _undecided(argument)
        if function in {"Fn::And", "Fn::Or"}:
            results = [test(item) for item in argument]
            return all(results) if function == "Fn::And" else any(results)
        if function == "Condition":
            return holds(stack, argument, resolve, unknown)
        unknown(f"condition {name}", f"{function} is not evaluated; taken as true")
        return True

    def _undecided(argument: Any) -> bool:
        return _PLACEHOLDER in repr(resolve(argument))

    return test(stack.template.get("Conditions", {}).get(name))
