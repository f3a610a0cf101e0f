"""Which objects of a bucket must be asked about apart: every pattern of object keys that a policy tells apart."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.model import Principal, Resource
from kms_patterns.access.unknowns.symbols import is_symbolic, matches

_ANY_OBJECT = "any-object"
_VALUE = "any-value"
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9-]+:[^},]+)[^}]*\}")


def object_scopes(principal: Principal, bucket: Resource) -> Iterator[tuple[str | None, str, dict[str, str]]]:
    """Yield an object-key pattern, the ARN of an object that stands for it, and request context that makes it match.

    The first has no pattern: an object that no pattern of a policy singles out. A request for one concrete object
    is evaluated exactly, where a request with a wildcard would have to be approximated. A pattern with a policy
    variable is asked about with the variable's value: ``home/${aws:username}/*`` as a user with that name.
    """
    yield None, f"{bucket.arn}/{_ANY_OBJECT}", {}
    for pattern in sorted(set(_patterns(principal, bucket))):
        tags = {f"aws:principaltag/{name.lower()}": value for name, value in (principal.tags or {}).items()}
        known = {
            name: value for name, value in {**principal.attributes, **tags}.items() if value and not is_symbolic(value)
        }
        named = {name: known.get(name.lower(), known.get(name)) for name in _VARIABLE.findall(pattern)}
        assumed = {name: _VALUE for name, value in named.items() if value is None}
        values = {name: value or _VALUE for name, value in named.items()}
        yield pattern, f"{bucket.arn}/{_stand_in(_filled(pattern, values))}", assumed


def _filled(pattern: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values[match[1]], pattern)


def _patterns(principal: Principal, bucket: Resource) -> Iterator[str]:
    policies = [*principal.identity, *(principal.boundaries or ()), *([bucket.policy] if bucket.policy else [])]
    for policy in policies:
        for resource in _resources(policy.document):
            named, slash, pattern = resource.partition("/")
            if slash and matches(named, bucket.arn):
                yield from _telling(pattern)
            for place in [match.start() for match in re.finditer(r"\*", resource)]:
                # A star also matches slashes: in "documents*.txt" and "*/x" it may end inside the object's key.
                if matches(resource[: place + 1], f"{bucket.arn}/"):
                    yield from _telling(resource[place:])


def _telling(pattern: str) -> Iterator[str]:
    if set(pattern) - {"*"}:
        yield pattern


def _resources(document: Mapping[str, Any]) -> Iterator[str]:
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        for member in ("Resource", "NotResource"):
            values = statement.get(member, [])
            yield from [values] if isinstance(values, str) else values


def _stand_in(pattern: str) -> str:
    return pattern.replace("*", _ANY_OBJECT).replace("?", "x")
