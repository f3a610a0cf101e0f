"""Condition operators.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import base64
import binascii
import ipaddress
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from kms_patterns.local.server.authorization.patterns import (
    UNKNOWN,
    Lookup,
    UnknownVariable,
    Value,
    arn_matches,
    is_arn,
    matches,
)

Test = Callable[[str, str, Lookup | None], bool]


class Unreadable(ValueError):
    """A condition uses an operator that does not exist, or compares with a value that its operator cannot read."""


def _equals(found: str, wanted: str, lookup: Lookup | None) -> bool:
    return matches(found, wanted, lookup, wildcards=False)


def _equals_ignoring_case(found: str, wanted: str, lookup: Lookup | None) -> bool:
    return matches(found.lower(), wanted.lower(), lookup and _lowered(lookup), wildcards=False)


def _lowered(lookup: Lookup) -> Lookup:
    def lower(key: str) -> Value:
        value = lookup(key)
        return value.lower() if isinstance(value, str) else value

    return lower


def _number(compare: Callable[[float, float], bool]) -> Test:
    return lambda found, wanted, _lookup: compare(float(found), float(wanted))


def _date(compare: Callable[[datetime, datetime], bool]) -> Test:
    return lambda found, wanted, _lookup: compare(_instant(found), _instant(wanted))


def _instant(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _in_network(found: str, wanted: str, _lookup: Lookup | None) -> bool:
    return ipaddress.ip_address(found) in _network(wanted)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _same_bytes(found: str, wanted: str, _lookup: Lookup | None) -> bool:
    return _bytes(found) == _bytes(wanted)


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"


def _arn(text: str) -> str:
    if not is_arn(text):
        raise ValueError(text)
    return text


# The negated operators are their positive ones, inverted.
_TESTS: Mapping[str, Test] = {
    "stringequals": _equals,
    "stringequalsignorecase": _equals_ignoring_case,
    "stringlike": matches,
    "numericequals": _number(operator.eq),
    "numericlessthan": _number(operator.lt),
    "numericlessthanequals": _number(operator.le),
    "numericgreaterthan": _number(operator.gt),
    "numericgreaterthanequals": _number(operator.ge),
    "dateequals": _date(operator.eq),
    "datelessthan": _date(operator.lt),
    "datelessthanequals": _date(operator.le),
    "dategreaterthan": _date(operator.gt),
    "dategreaterthanequals": _date(operator.ge),
    "bool": lambda found, wanted, _lookup: found.lower() == wanted.lower(),
    "binaryequals": _same_bytes,
    "ipaddress": _in_network,
    "arnequals": arn_matches,
    "arnlike": arn_matches,
}
_NEGATED: Mapping[str, str] = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}


# How to read a policy's value, by the beginning of the operator's name; strings are what they are.
_READERS: Mapping[str, Callable[[str], object]] = {
    "numeric": float,
    "date": _instant,
    "ip": _network,
    "binary": _bytes,
    "bool": _boolean,
    "null": _boolean,
    "arn": _arn,
}


def is_operator(name: str) -> bool:
    """Return whether there is such a condition operator, with or without a set operator and IfExists."""
    scope, if_exists, bare = _parts(name)
    return scope in {"", "forallvalues", "foranyvalue"} and (
        bare in {*_TESTS, *_NEGATED} or (bare == "null" and not if_exists)
    )


def _parts(name: str) -> tuple[str, bool, str]:
    scope, _, bare = name.lower().rpartition(":")
    return scope, bare.endswith("ifexists"), bare.removesuffix("ifexists")


def _check(bare: str, wanted: Sequence[str]) -> None:
    for beginning, read in _READERS.items():
        if _NEGATED.get(bare, bare).startswith(beginning):
            try:
                for want in wanted:
                    read(want)
            except (ValueError, OverflowError) as unreadable:
                raise Unreadable(bare) from unreadable


def met(name: str, found: Value, wanted: Sequence[str], lookup: Lookup | None) -> bool | None:
    """Return whether one line of a condition is met; None if that rests on a condition key that is not known.

    Args:
        name: The operator, with ``ForAnyValue:``, ``ForAllValues:`` and ``IfExists`` if the policy has them.
        found: The condition key's value in the request, None if it has none.
        wanted: The policy's values.
        lookup: Fills policy variables; None where the policy's version has none.

    Raises:
        Unreadable: The operator is unknown, or cannot parse a value as the ARN, number, date or network it needs.
    """
    if not is_operator(name):
        raise Unreadable(name)
    scope, if_exists, bare = _parts(name)
    _check(bare, wanted)
    if found is UNKNOWN:
        return None
    if bare == "null":
        return any((found is None) == _boolean(want) for want in wanted)
    if found is None:
        return if_exists or scope == "forallvalues" or (not scope and bare in _NEGATED)
    try:
        return _compared(scope, bare, found, wanted, lookup)
    except UnknownVariable:
        return None


def _compared(
    scope: str, bare: str, found: str | list[str], wanted: Sequence[str], lookup: Lookup | None
) -> bool | None:
    values = found if isinstance(found, list) else [found]
    results = [_any_equal(bare, value, wanted, lookup) != (bare in _NEGATED) for value in values]
    if scope:
        return all(results) if scope == "forallvalues" else any(results)
    # Without a set operator a line is about one value: AWS does not say which of several that differ.
    return results[0] if len(set(results)) == 1 else None


def _any_equal(name: str, value: str, wanted: Sequence[str], lookup: Lookup | None) -> bool:
    test = _TESTS[_NEGATED.get(name, name)]
    return any(_tested(test, value, want, lookup) for want in wanted)


def _tested(test: Test, found: str, wanted: str, lookup: Lookup | None) -> bool:
    try:
        return test(found, wanted, lookup)
    except (ValueError, OverflowError, binascii.Error):
        return False
