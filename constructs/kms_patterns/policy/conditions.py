"""Conditions under which a key may be used, as the mappings that a policy statement takes.

https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aws_cdk import Token, region_info

Conditions = Mapping[str, Mapping[str, object]]
"""Operator -> condition key -> value, as in a policy document."""

PRINCIPAL_ARN = "aws:PrincipalArn"
CLOUDFORMATION = "cloudformation.amazonaws.com"
VIA_SERVICE = "kms:ViaService"
CONTEXT_PREFIX = "kms:EncryptionContext:"
CONTEXT_NAMES = "kms:EncryptionContextKeys"
S3_CONTEXT_KEY = "aws:s3:arn"
_ANY_EQUALS = (
    "ForAnyValue:StringEquals",
    "ForAnyValue:StringLike",
    "ForAnyValue:StringEqualsIfExists",
    "ForAnyValue:StringLikeIfExists",
)
"""Operators that demand a value exactly; each stands in a statement once, and the first two that the key exists."""
_SOURCES = ("aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths")
_DEMANDING = ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike")
_ACCOUNT_OF_ARN, _RESOURCE_OF_ARN = 4, 5
_UNKNOWN = "\0"
_DNSSEC = "dnssec-route53.amazonaws.com"
_ENDPOINT = re.compile(r"[a-z0-9][a-z0-9.-]*")
_ENDPOINTS = {
    "aurora": "rds",
    "cloudwatch": "logs",
    "ebs": "ec2",
    "efs": "elasticfilesystem",
    "eventbridge": "events",
    "stepfunctions": "states",
}
"""What services are called -> what their endpoints are called."""


def encryption_context(
    pairs: Mapping[str, str], required: Iterable[str] = (), beside: Conditions | None = None
) -> Conditions:
    """Return the condition that the encryption context holds these pairs and names (among others).

    The case of a name after ``kms:EncryptionContext:`` does not count, so a context with ``Tenant`` would meet a
    condition on ``tenant``. ``kms:EncryptionContextKeys`` compares names exactly. A list of names under one operator
    demands any of them, so each operator demands one name, which is why the case of a fifth name and further ones does
    not count.

    Args:
        pairs: Name -> value; these names are the first to be compared exactly.
        required: Names that may have any value.
        beside: Conditions of the same statement; an operator with which they compare names is left to them.

    See https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-encryption-context-keys
    """
    names = list(dict.fromkeys([*pairs, *required]))
    taken = {
        operator for operator, demands in (beside or {}).items() if CONTEXT_NAMES.lower() in map(str.lower, demands)
    }
    exact = dict(zip((it for it in _ANY_EQUALS if it not in taken), names, strict=False))
    present = [name for name in names if name not in pairs and name not in exact.values()]
    return merge(
        {"StringEquals": {f"{CONTEXT_PREFIX}{name}": value for name, value in pairs.items()}} if pairs else {},
        {"Null": {f"{CONTEXT_PREFIX}{name}": "false" for name in present}} if present else {},
        {operator: {CONTEXT_NAMES: _literal(name)} for operator, name in exact.items()},
    )


def _literal(name: str) -> str:
    return name if Token.is_unresolved(name) else re.sub(r"[*?$]", r"${\g<0>}", name)


def via_service(service: str, region: str) -> Conditions:
    """Return the condition that an AWS service makes the call on the caller's behalf.

    Args:
        service: The service as its endpoint names it, such as ``s3``, ``dynamodb``, ``secretsmanager``.
        region: The Region of the key, or a token for it.

    Raises:
        ValueError: ``service`` is not the first label of an endpoint's name, so no request would match.
    """
    if ".amazonaws." in service:
        name = service.partition(".")[0]
        raise ValueError(f"via_service {service!r} is a host name, so no request would match; use {name!r}")
    if service in _ENDPOINTS:
        raise ValueError(
            f"via_service {service!r} is not a service endpoint prefix, so no request would match; "
            f"use {_ENDPOINTS[service]!r}"
        )
    if not Token.is_unresolved(service) and not _ENDPOINT.fullmatch(service):
        raise ValueError(
            f"via_service {service!r}: endpoints have small letters, digits, dots and hyphens, and a wildcard "
            "is read literally, so no request would match; give the service as its endpoint names it, such as 's3'"
        )
    hosts = [f"{service}.{region}.{suffix}" for suffix in endpoint_suffixes(region)]
    return {"StringEquals": {VIA_SERVICE: hosts[0] if len(hosts) == 1 else hosts}}


def contexts_demanded(demanded: Conditions) -> list[str]:
    """Return the names that the encryption context of a request must hold to meet ``demanded``."""
    found: list[str] = []
    for operator, demands in demanded.items():
        exact = operator.removeprefix("ForAnyValue:") in _DEMANDING
        for key, value in demands.items():
            present = operator == "Null" and str(value).lower() == "false"
            if (exact or present) and key.lower().startswith(CONTEXT_PREFIX.lower()):
                found.append(key[len(CONTEXT_PREFIX) :])
            elif (exact or present) and key.lower() == CONTEXT_NAMES.lower():
                found += ["any name"] if present else [str(it) for it in as_list(value)]
    return found


def aws_resource_grants(operations: Iterable[str]) -> Conditions:
    """Return the condition that a KMS grant is for an AWS service, and holds no other operations than these."""
    return {
        "Bool": {"kms:GrantIsForAWSResource": "true"},
        "ForAllValues:StringEquals": {"kms:GrantOperations": list(operations)},
    }


def principal(arn: str) -> Conditions:
    """Return the condition that the caller is this role or user.

    For a session of a role, ``aws:PrincipalArn`` is the ARN of the role.
    """
    return {"ArnEquals": {PRINCIPAL_ARN: arn}}


def not_deploying(deployers: Iterable[str | None], others: Iterable[str] = ()) -> Conditions:
    """Return the condition that the caller does not deploy: for a Deny.

    Args:
        deployers: ARNs of the roles with which AWS CloudFormation deploys; None stands for a stack without one, which
            AWS CloudFormation deploys with the permissions of its caller.
        others: ARNs of further roles or users that pass.

    See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html (aws:CalledViaLast)
    """
    roles = list(deployers)
    arns = list(dict.fromkeys([*(arn for arn in roles if arn is not None), *others]))
    by_caller = {"StringNotEquals": {"aws:CalledViaLast": CLOUDFORMATION}} if None in roles else {}
    return merge({"ArnNotEquals": {PRINCIPAL_ARN: arns}} if arns else {}, by_caller)


def merge(*parts: Conditions) -> dict[str, dict[str, object]]:
    """Return one mapping that demands everything that ``parts`` demand.

    Raises:
        ValueError: Two parts demand different values of one condition key: no request could meet both.
    """
    merged: dict[str, dict[str, object]] = {}
    for part in parts:
        for operator, demands in part.items():
            for key, value in demands.items():
                before = merged.setdefault(operator, {}).setdefault(key, value)
                if before != value:
                    raise ValueError(f"{operator} {key} cannot be both {before!r} and {value!r}: no request matches")
    return merged


def has_source(demanded: Conditions) -> bool:
    """Return whether conditions bind an AWS service to the resource or account for which it acts.

    Only a demand that the service's request must meet does: not what a request without the key passes, not a network
    (``aws:SourceIp``), and not a value that resources of any account have. What is known at deployment only names one.

    Args:
        demanded: As in a policy document; its tokens may be resolved.
    """
    return any(
        all(_names_source(key.lower(), _text(one)) for one in as_list(value))
        for operator, demands in demanded.items()
        if operator.removeprefix("ForAnyValue:") in _DEMANDING
        for key, value in demands.items()
    )


def is_grant_for_resource(service: str, actions: Iterable[str], demanded: Conditions) -> bool:
    """Return whether a statement lets Route 53 create grants for its hosted zones, and nothing else.

    AWS's page binds this statement to no source. It says so of this service alone: another one is a confused deputy.

    See https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/access-control-managing-permissions.html
    """
    only = str(demanded.get("Bool", {}).get("kms:GrantIsForAWSResource", "")).lower() == "true"
    return only and service == _DNSSEC and {action.lower() for action in actions} == {"kms:creategrant"}


def _names_source(key: str, text: str) -> bool:
    if key == "aws:sourcearn" or key.startswith(CONTEXT_PREFIX.lower()):
        return _names_resource(text)
    # Below an organization all units are its own.
    return key in _SOURCES and not _has_wildcard(text.partition("/")[0])


def _names_resource(arn: str) -> bool:
    parts = arn.split(":", _RESOURCE_OF_ARN)
    if _UNKNOWN in parts[0] or (_UNKNOWN in arn and len(parts) <= _RESOURCE_OF_ARN):
        return True
    if parts[0] != "arn" or len(parts) <= _RESOURCE_OF_ARN:
        return False
    # The name of a bucket is one in all accounts; what follows it is inside.
    resource = parts[_RESOURCE_OF_ARN].partition("/")[0] if parts[2] == "s3" else parts[_RESOURCE_OF_ARN]
    owner = parts[_ACCOUNT_OF_ARN] or resource
    return bool(owner) and not _has_wildcard(owner)


def _has_wildcard(text: str) -> bool:
    # A policy variable is filled from the request, so it may stand for anything.
    return any(mark in text for mark in ("*", "?", "${"))


def _text(value: object) -> str:
    """Return a value as text, with a mark for each part that is known at deployment only."""
    if isinstance(value, Mapping):
        joined = value.get("Fn::Join")
        if isinstance(joined, list) and isinstance(joined[1], list):
            return str(joined[0]).join(_text(one) for one in joined[1])
        found = value.get("Fn::Sub", _UNKNOWN)
        return re.sub(r"\$\{[^}]*\}", _UNKNOWN, str(found[0] if isinstance(found, list) else found))
    return re.sub(r"[$#]\{Token\[[^}]*\}", _UNKNOWN, str(value))


_WITHOUT_FUNCTION_URLS: Final = frozenset({
    "ap-east-2", "ap-south-2", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1",
    "eu-central-2", "eu-south-2", "il-central-1", "me-central-1", "mx-central-1",
})  # fmt: skip
_OTHER_PARTITIONS: Final = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")
_SUFFIX: Final = "amazonaws.com"


def has_function_urls(region: str) -> bool:
    """Return whether Lambda has function URLs in a Region; it may for a token.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html; ``mx-central-1`` lacks the resource type.
    """
    return region not in _WITHOUT_FUNCTION_URLS and not region.startswith(_OTHER_PARTITIONS)


def endpoint_suffixes(region: str) -> Sequence[str]:
    """Return what may follow the Region in the name of a service, as ``kms:ViaService`` has it.

    Where the partition's endpoints do not end with ``amazonaws.com``, AWS's pages use both and none of them says which
    one the condition key holds. Only AWS sets that value, so to accept either lets no one else in. A token is taken
    for a Region of the partition aws.
    """
    found = None if Token.is_unresolved(region) else region_info.RegionInfo.get(region).domain_suffix
    return tuple(dict.fromkeys((_SUFFIX, found or _SUFFIX)))


def as_list(value: Any) -> list[Any]:
    """Return ``value`` as the list that a policy document may write without brackets."""
    return value if isinstance(value, list) else [value]
