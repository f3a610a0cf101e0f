"""Conditions of a CloudFormation template, and what of other stacks it may meet, as far as that is decided."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION, Stack
from kms_patterns.access.read.identifiers import URL_SUFFIXES
from kms_patterns.access.templates.template_text import text
from kms_patterns.access.unknowns.symbols import is_symbolic, symbol

_MOST_DEEP = 40


@dataclass
class World:
    """How conditions go that only a deployment decides, and which of them were asked about beyond."""

    assumed: Mapping[str, bool]
    asked: list[str] = field(default_factory=list)


def decide(stack: Stack, name: str, resolve: Callable[[Any], Any]) -> bool | None:
    """Return whether a condition of ``stack`` holds, None if only a deployment decides.

    Args:
        stack: The stack whose template defines it.
        name: Its name.
        resolve: Resolves a value of the template.
    """
    conditions = stack.template.get("Conditions") or {}
    known: dict[str, bool | None] = {}

    def test(expression: Any, depth: int = 0) -> bool | None:  # noqa: PLR0911 - one per function
        if not isinstance(expression, dict) or len(expression) != 1 or depth > _MOST_DEEP:
            return None
        ((function, argument),) = expression.items()
        if function == "Condition":
            if str(argument) not in known:  # each once: conditions that name two others double at every step
                known[str(argument)] = None
                known[str(argument)] = test(conditions.get(str(argument)), depth + 1)
            return known[str(argument)]
        if not isinstance(argument, list) or not argument:
            return None
        if function == "Fn::Equals" and len(argument) == 2:  # noqa: PLR2004 - the two that are compared
            left, right = map(resolve, argument)
            return _equal(left, right)
        if function == "Fn::Not":
            result = test(argument[0], depth + 1)
            return None if result is None else not result
        if function in {"Fn::And", "Fn::Or"}:
            deciding = function == "Fn::Or"
            results = [test(item, depth + 1) for item in argument]
            return deciding if deciding in results else (None if None in results else not deciding)
        return None

    return test(conditions.get(name)) if isinstance(conditions, dict) else None


_OF_REGION = ("AWS::Partition", "AWS::URLSuffix")
_OF_STACK = ("AWS::StackId", "AWS::StackName")


def pseudo_parameters(stack: Stack, *, compared: bool) -> dict[str, str]:
    """Return the pseudo parameters of a stack.

    Args:
        stack: The stack.
        compared: Whether a condition compares them: what then follows from a Region that only a deployment decides is
            a symbol. A stack's name that is not known always is.
    """
    values = {
        "AWS::AccountId": stack.account,
        "AWS::Region": stack.region,
        "AWS::Partition": stack.partition,
        "AWS::URLSuffix": URL_SUFFIXES.get(stack.partition, "amazonaws.com"),
        "AWS::StackName": stack.name,
        "AWS::StackId": f"arn:{stack.partition}:cloudformation:{stack.region}:{stack.account}:stack/{stack.name}",
    }
    open_ = (*(_OF_REGION if compared and stack.region == UNKNOWN_REGION else ()), *(() if stack.named else _OF_STACK))
    return values | {name: symbol(f"{name} of {stack.id}") for name in open_}


def _equal(left: object, right: object) -> bool | None:
    """Compare texts; account and Region of an environment-agnostic stack equal only themselves for certain."""
    left, right = ([*map(text, item)] if isinstance(item, list) else text(item) for item in (left, right))
    if left == right:
        return True
    undecided = is_symbolic(left) or is_symbolic(right)
    return None if undecided or any(mark in f"{left} {right}" for mark in (UNKNOWN_ACCOUNT, UNKNOWN_REGION)) else False


def only_near(stack: Stack, found: Sequence[tuple[Stack, Any]], *, far: bool = False) -> tuple[Stack, Any] | None:
    """Return the only one that a stack can meet: of its account and Region, or of one that may be; None if several may.

    Args:
        stack: The stack that asks.
        found: Stacks that answer, with what they say.
        far: Whether the Region may be another.
    """
    near = [item for item in found if item[0].account == stack.account and (far or item[0].region == stack.region)]
    agnostic = [item for item in found if {item[0].account, stack.account} & {UNKNOWN_ACCOUNT}]
    agnostic = agnostic or [item for item in found if {item[0].region, stack.region} & {UNKNOWN_REGION}]
    met = near or agnostic
    return met[0] if len(met) == 1 else None
