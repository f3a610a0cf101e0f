"""Wildcards and policy variables.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache


class Unknown(Enum):
    """A condition key that AWS may set and the embedded AWS does not know: no Allow rests on it, every Deny applies."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN
Value = str | list[str] | Unknown | None
Lookup = Callable[[str], Value]


class UnknownVariable(Exception):
    """A policy variable stands for a condition key that is not known."""


ARN_PARTS = 6
_TOKEN = re.compile(r"\$\{([^}]*)\}|[*?]")
_DEFAULT = re.compile(r"^([^,]*?)\s*,\s*'(.*)'$", re.DOTALL)
_LITERALS = ("*", "?", "$")


def matches(value: str, pattern: str, lookup: Lookup | None = None, *, wildcards: bool = True) -> bool:
    """Return whether all of ``value`` is what ``pattern`` describes, case counting.

    Args:
        value: What the request has.
        pattern: What the policy says.
        lookup: Returns a condition key's value for ``${variables}``; None where variables are plain text.
        wildcards: Whether ``*`` and ``?`` stand for other characters.
    """
    if lookup is None or "${" not in pattern:
        return _compiled(pattern, wildcards).fullmatch(value) is not None
    source = _source(pattern, lookup, wildcards=wildcards)
    return source is not None and re.fullmatch(source, value, re.DOTALL) is not None


def arn_matches(arn: str, pattern: str, lookup: Lookup | None = None, *, complete: bool = False) -> bool:
    """Return whether an ARN is what ``pattern`` describes; no wildcard reaches over a colon, except in the last part.

    Args:
        arn: The ARN of the request.
        pattern: The ARN of the policy.
        lookup: As for ``matches``.
        complete: Whether an ARN with missing parts stands for any, as in the element Resource.
    """
    if pattern == "*" and complete:
        return True
    found, wanted = arn.split(":", ARN_PARTS - 1), _parts(pattern)
    if complete and wanted[0] == "arn":
        wanted += ["*"] * (ARN_PARTS - len(wanted))
    if len(found) != ARN_PARTS or len(wanted) != ARN_PARTS:
        return False
    return all(matches(part, want, lookup) for part, want in zip(found, wanted, strict=True))


def is_arn(pattern: str) -> bool:
    """Return whether ``pattern`` has all parts of an ARN, or stands for any."""
    return pattern == "*" or len(_parts(pattern)) == ARN_PARTS


def resolvable(pattern: str, lookup: Lookup | None) -> bool:
    """Return whether every variable of ``pattern`` has a value."""
    return lookup is None or "${" not in pattern or _source(pattern, lookup, wildcards=True) is not None


def _parts(pattern: str) -> list[str]:
    # A colon inside ${aws:username} separates nothing.
    return re.split(r":(?![^{}]*\})", pattern, maxsplit=ARN_PARTS - 1)


@lru_cache(maxsize=4096)
def _compiled(pattern: str, wildcards: bool) -> re.Pattern[str]:  # noqa: FBT001 - a cache's key
    if not wildcards:
        return re.compile(re.escape(pattern), re.DOTALL)
    return re.compile(_joined([re.escape(part).replace(r"\?", ".") for part in pattern.split("*")]), re.DOTALL)


def _joined(parts: list[str]) -> str:
    """Return the expression of parts with ``*`` between them, each taken where it comes first: none takes for ever."""
    first, *between = parts
    last = f".*{between.pop()}" if between else ""
    return first + "".join(f"(?>.*?{part})" for part in between) + last


def _source(pattern: str, lookup: Lookup, *, wildcards: bool) -> str | None:
    parts, end = [""], 0
    for token in _TOKEN.finditer(pattern):
        parts[-1] += re.escape(pattern[end : token.start()])
        end = token.end()
        if wildcards and token[0] == "*":
            parts.append("")
            continue
        anyone = "." if wildcards else re.escape(token[0])
        part = anyone if token[1] is None else _variable(token[1], lookup)
        if part is None:
            return None
        parts[-1] += part
    parts[-1] += re.escape(pattern[end:])
    return _joined(parts)


def _variable(name: str, lookup: Lookup) -> str | None:
    if name in _LITERALS:
        return re.escape(name)
    default = _DEFAULT.match(name)
    value = lookup(default[1] if default else name.strip())
    if value is UNKNOWN:
        raise UnknownVariable(name)
    if isinstance(value, str) and value:
        return re.escape(value)
    # A key with several values, or none, fills no variable: the pattern then matches nothing.
    return re.escape(default[2]) if default and value is None else None
