"""Statements and attachments that decide about no key, bucket, function or role: a comparison shows that they changed.

Queue, topic, secret, repository and table policies, permissions for other services, managed policies by their ARN, and
to whom a policy is attached.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.escalation.allowed_methods import concerns
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping

_READ = ("AWS::KMS::", "AWS::S3::BucketPolicy", "AWS::Lambda::Permission")
_ATTACHED = ("ManagedPolicyArns", "ManagedPolicies", "PermissionsBoundary", "Roles", "Users", "Groups")

Found = tuple[str, int, Mapping[str, Any]]


def other_statements(template: Template) -> Iterator[Found]:
    """Yield place, number and statement of what the matrix has no statement of; each way of a condition is one."""
    for stack in template.stacks:
        for logical_id, resource in stack.resources.items():
            kind, where = str(resource["Type"]), template.where(stack, logical_id)
            if not kind.startswith(_READ):
                found = _statements(template, stack, resource.get("Properties"), where)
                # Statements of IAM that may be about our resources stand in the matrix.
                told = kind.startswith("AWS::IAM::")
                others = [each for each in found if not (told and ("Principal" in each or concerns(each)))]
                yield from ((f"{where} for other services", number, each) for number, each in enumerate(others, 1))
            if kind.startswith(("AWS::IAM::", "AWS::SSO::")):
                yield from _attachments(template, stack, logical_id, where)


def _statements(template: Template, stack: Stack, value: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of every policy document in a value, those that are given as text included."""
    if isinstance(value, str) and value.lstrip().startswith("{") and '"Statement"' in value:
        try:
            yield from _statements(template, stack, json.loads(value), where)
        except ValueError:
            return
    elif isinstance(value, Mapping) and "Statement" in value:
        for _, way in template.ways(stack, value, where):
            yield from (each for each in items(mapping(way).get("Statement")) if isinstance(each, Mapping))
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _statements(template, stack, item, where)


def _attachments(template: Template, stack: Stack, logical_id: str, where: str) -> Iterator[Found]:
    for name in _ATTACHED:
        raw = template.raw(stack, logical_id, name)
        values = {json.dumps(way, sort_keys=True) for _, way in template.several(stack, raw, where) if way is not None}
        for number, value in enumerate(sorted(values) if raw is not None else (), 1):
            yield f"{where} attachments", number, {name: json.loads(value)}
