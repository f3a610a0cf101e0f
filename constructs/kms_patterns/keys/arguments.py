"""Checks the arguments of public methods against their annotations when they are given.

A wrong type would otherwise become a wider default: ``access="named"`` is not ``KeyAccess.NAMED``.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

from aws_cdk import Duration
from aws_cdk import aws_iam as iam

from kms_patterns.keys.errors import ArgumentRefused

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a method so that each call checks its arguments against their annotations.

    Raises:
        ArgumentRefused: An argument is not of its type; the message says what to give instead.
        TypeError: An argument is missing, or the method has none of that name.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*positional: P.args, **named: P.kwargs) -> R:
        hints = _hints(function)
        for name, value in _given(function.__name__, signature.bind(*positional, **named), hints):
            if not _fits(value, hints[name]):
                where = type(positional[0]).__name__ if function.__name__ == "__init__" else function.__name__
                raise ArgumentRefused(f"{where}: {name}={value!r}: {_advice(value, hints[name])}")
        return function(*positional, **named)

    return call


@functools.cache
def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return parameter -> type; what ``**options: Unpack[…]`` stands for under the names of its own."""
    hints: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(function).items():
        if get_origin(hint) is typing.Unpack:
            hints |= typing.get_type_hints(get_args(hint)[0])
        else:
            hints[name] = hint
    return hints


def _given(method: str, bound: inspect.BoundArguments, hints: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            yield from ((name, one) for one in value)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            unknown = value.keys() - hints.keys()
            if unknown:
                known = ", ".join(name for name in hints if name != "return")
                raise TypeError(f"{method}() has no argument {', '.join(sorted(unknown))}; it has {known}")
            yield from value.items()
        elif name in hints:
            yield name, value


def _fits(value: Any, hint: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in args)
    if origin is Sequence:
        return isinstance(value, Sequence) and not isinstance(value, str) and all(_fits(one, args[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(k, args[0]) and _fits(v, args[1]) for k, v in value.items())
    if getattr(hint, "_is_protocol", False):
        # Of interfaces only grantees are given; asked of the type, so that no request goes to the CDK's process.
        return hasattr(type(value), "grant_principal") or hasattr(value, "grant_principal")
    return isinstance(value, hint)


def _advice(value: Any, hint: Any) -> str:
    wanted = next((one for one in _alternatives(hint) if one is not types.NoneType), hint)
    if get_origin(wanted) is Sequence:
        return _advice_on_list(value, get_args(wanted)[0])
    if wanted is str and isinstance(value, list):
        return "give the values one by one, not as a list"
    if wanted is Duration:
        return f"give a Duration, such as Duration.days({value if str(value).isdigit() else 30})"
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        meant = [it for it in wanted if str(value).lower() in (str(it.value).lower(), it.name.lower())]
        return "give " + " or ".join(f"{wanted.__name__}.{it.name}" for it in meant or wanted)
    if wanted is iam.IGrantable and isinstance(value, str):
        return (
            "a text is not a grantee, and no policy can be attached to an iam.ArnPrincipal; give the role or user "
            "itself, such as iam.Role.from_role_arn(scope, id, arn)"
        )
    wrong: Any = type(value).__name__
    if get_origin(wanted) is Mapping and isinstance(value, Mapping):
        wrong = next({name: one} for name, one in value.items() if not _fits({name: one}, wanted))
    return f"give {_name(wanted)}, not {wrong}"


def _advice_on_list(value: Any, member: Any) -> str:
    if isinstance(value, str) and member is str:
        return f"a string, of which each letter would be a name; give a list: [{value!r}]"
    if isinstance(value, str) or not isinstance(value, Sequence):
        return f"give a list of {_name(member)}, also of a single one"
    return f"give a list of {_name(member)}: {next(repr(one) for one in value if not _fits(one, member))} is not one"


def _alternatives(hint: Any) -> Sequence[Any]:
    return get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _name(hint: Any) -> str:
    if hint is iam.IGrantable:
        return "roles or users (iam.IGrantable)"
    if get_origin(hint) is Mapping:
        keys, values = get_args(hint)
        return f"a mapping of {_name(keys)} to {_name(values)}"
    return {str: "text", bool: "True or False"}.get(hint, getattr(hint, "__name__", str(hint)))
