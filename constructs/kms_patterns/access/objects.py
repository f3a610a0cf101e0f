"""Which objects of a bucket must be asked about apart: every pattern of object keys that a policy tells apart."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.model import Principal, Resource

_ANY_OBJECT = "any-object"


def object_scopes(principal: Principal, bucket: Resource) -> Iterator[tuple[str | None, str]]:
    """Yield pairs of an object-key pattern and the ARN of an object that stands for it.

    The first pair has no pattern: an object that no pattern of a policy singles out. A request for one concrete object
    is evaluated exactly, where a request with a wildcard would have to be approximated.
    """
    yield None, f"{bucket.arn}/{_ANY_OBJECT}"
    for pattern in sorted(set(_patterns(principal, bucket))):
        yield pattern, f"{bucket.arn}/{_stand_in(pattern)}"


def _patterns(principal: Principal, bucket: Resource) -> Iterator[str]:
    policies = [*principal.identity, *(principal.boundaries or ()), *([bucket.policy] if bucket.policy else [])]
    for policy in policies:
        for resource in _resources(policy.document):
            named, slash, pattern = resource.partition("/")
            if slash and set(pattern) - {"*"} and _matches(named, bucket.arn):
                yield pattern


def _resources(document: Mapping[str, Any]) -> Iterator[str]:
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        for member in ("Resource", "NotResource"):
            values = statement.get(member, [])
            yield from [values] if isinstance(values, str) else values


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text) is not None


def _stand_in(pattern: str) -> str:
    return pattern.replace("*", _ANY_OBJECT).replace("?", "x")
