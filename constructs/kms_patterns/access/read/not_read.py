"""What may give access and is not evaluated here: listed, so that the report claims no more than it knows."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kms_patterns.access.model import Unresolved
from kms_patterns.access.read.assembly import Stack

TYPES: Mapping[str, str] = {
    "AWS::Organizations::Policy": "policies of an organization are not evaluated",
    "AWS::RolesAnywhere::Profile": "its principals are not evaluated",
    "AWS::S3::AccessGrant": "the prefix of its location is not evaluated: it counts as possible on the whole bucket",
    "AWS::S3::AccessPoint": "access through access points is not evaluated",
    "AWS::S3::MultiRegionAccessPoint": "access through access points is not evaluated",
    "AWS::S3::MultiRegionAccessPointPolicy": "access through access points is not evaluated",
    "AWS::S3Express::BucketPolicy": "directory buckets are not evaluated",
    "AWS::S3ObjectLambda::AccessPoint": "access through access points is not evaluated",
    "AWS::S3ObjectLambda::AccessPointPolicy": "access through access points is not evaluated",
    "AWS::CloudFormation::StackSet": "the stacks that it makes are not evaluated",
}
"""Resource types that give or take access, with why they are not evaluated."""

_PREFIXES = ("AWS::Serverless::", "Fn::")
_BY_TRANSFORM = "made by a transform that is not read"
_CHANGED_BY_MACROS = {
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::IAM::User",
    "AWS::KMS::Key",
    "AWS::KMS::ReplicaKey",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
}
CALLS: Mapping[str, str] = {
    "addPermission": "function",
    "addUserToGroup": "user",
    "attachGroupPolicy": "group",
    "attachRolePolicy": "role",
    "attachUserPolicy": "user",
    "createGrant": "key",
    "createPolicyVersion": "policy",
    "deleteRolePermissionsBoundary": "boundary",
    "deleteUserPermissionsBoundary": "boundary",
    "putBucketAcl": "bucket",
    "putBucketPolicy": "bucket",
    "putGroupPolicy": "group",
    "putKeyPolicy": "key",
    "putObjectAcl": "bucket",
    "putRolePolicy": "role",
    "putUserPolicy": "user",
    "updateAssumeRolePolicy": "trust",
}
"""Calls of custom resources that give access, with what they give access to or change."""
_CALLS = re.compile(rf"(?i)\b({'|'.join(CALLS)})(?:Command)?\b")


def not_read(stack: Stack) -> Iterator[Unresolved]:
    """Yield what of ``stack`` may give access and is not evaluated."""
    transforms = _transforms(stack.template)
    for name in transforms:
        yield Unresolved(stack.id, f"transform {name}", "what it makes of the template at deployment is not seen")
    for logical_id, what, why_not in stack.notes:
        yield Unresolved(f"{stack.id}/{stack.path(logical_id)}" if logical_id else stack.id, what, why_not)
    noted = {logical_id for logical_id, _, _ in stack.notes}
    for logical_id, resource in stack.template.get("Resources", {}).items():
        if logical_id in noted:
            continue
        kind = resource.get("Type", "") if isinstance(resource, Mapping) else logical_id
        why = _why(str(kind))
        where = f"{stack.id}/{stack.path(logical_id)}"
        yield from _of_transforms(where, resource, transforms)
        if why:
            yield Unresolved(where, str(kind), why)


def _why(kind: str) -> str | None:
    if kind.endswith("::MODULE"):
        return "a registered module makes resources of it at deployment"
    return TYPES.get(kind) or (_BY_TRANSFORM if kind.startswith(_PREFIXES) else None)


def _of_transforms(where: str, resource: Any, transforms: Iterable[str]) -> Iterator[Unresolved]:
    """Yield what macros may make of one resource: those of the whole template, and those inside it."""
    kind = str(resource.get("Type", "")) if isinstance(resource, Mapping) else ""
    if kind in _CHANGED_BY_MACROS or (kind and "::" not in kind):
        for name in transforms:
            yield Unresolved(where, f"transform {name}", _BY_TRANSFORM)
    for name in sorted(set(_inner_transforms(resource))):
        yield Unresolved(where, f"transform {name}", _BY_TRANSFORM)


def _inner_transforms(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "Fn::Transform":
                yield str(item.get("Name", "")) if isinstance(item, Mapping) else str(item)
            yield from _inner_transforms(item)
    elif isinstance(value, list):
        for item in value:
            yield from _inner_transforms(item)


def calls_in(properties: Any) -> list[str]:
    """Return the calls of ``CALLS`` that the properties of a custom resource name."""
    named = {match[1].lower() for match in _CALLS.finditer(json.dumps(properties))}
    return [call for call in CALLS if call.lower() in named]


def transforms_of(stack: Stack, logical_id: str) -> list[str]:
    """Return the macros that may change a resource: those of the whole template, and those inside it."""
    resource = stack.resources[logical_id]
    whole = _transforms(stack.template) if resource.get("Type") in _CHANGED_BY_MACROS else []
    return [*whole, *sorted(set(_inner_transforms(resource)))]


def _transforms(template: Mapping[str, Any]) -> list[str]:
    """Return the macros that may change a template or add resources to it; those inside one resource left out."""
    sections = (template, template.get("Resources"))
    inserted = [section.get("Fn::Transform") for section in sections if isinstance(section, Mapping)]
    given = [template.get("Transform"), *inserted]
    named = [item for value in given for item in (value if isinstance(value, list) else [value]) if item]
    return [str(item.get("Name", "")) if isinstance(item, Mapping) else str(item) for item in named]
