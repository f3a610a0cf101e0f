"""Requests that the CDK's ``AwsCustomResource`` makes at deployment, as far as its template says them in full.

https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources.AwsCustomResource.html
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import mapping, text
from kms_patterns.access.unknowns.symbols import Proposition

ANY_CALL = "Custom::AWS"
_PROVIDER = "AWS679f53fac002430cb0da5b7982bd2287"
"""What the logical id of the function starts with that makes the requests, and makes no others."""


@dataclass(frozen=True)
class SdkCall:
    """One request.

    Attributes:
        service: The service in lower case: ``lambda`` of ``Lambda`` and of ``@aws-sdk/client-lambda``.
        action: The operation in lower case: ``addpermission``.
        parameters: What it asks for.
        given: Propositions under which it is made.
    """

    service: str
    action: str
    parameters: Mapping[str, Any]
    given: Sequence[Proposition] = ()


def sdk_calls(template: Template, stack: Stack, logical_id: str) -> list[SdkCall] | None:
    """Return every request of a custom resource; None if one is not said in full, or another function makes them."""
    provider = json.dumps(template.raw(stack, logical_id, "ServiceToken"))
    if stack.resources[logical_id]["Type"] != ANY_CALL or f'"{_PROVIDER}' not in provider:
        return None
    found = list(_calls(template, stack, logical_id))
    return None if None in found else [call for call in found if call]


def _calls(template: Template, stack: Stack, logical_id: str) -> Iterator[SdkCall | None]:
    where, given = template.where(stack, logical_id), template.existence(stack, logical_id)
    properties = mapping(stack.resources[logical_id].get("Properties"))
    if any(name.startswith("Fn::") for name in properties):
        yield None
    for member in ("Create", "Update", "Delete"):
        for guard, way in template.ways(stack, template.raw(stack, logical_id, member), where):
            if way is not None:
                yield _call(way, [*given, *guard])


def _call(said: object, given: Sequence[Proposition]) -> SdkCall | None:
    try:
        call = json.loads(said) if isinstance(said, str) else said
    except ValueError:
        return None
    found = mapping(call)
    if not isinstance(found.get("action"), str) or not isinstance(found.get("parameters", {}), Mapping):
        return None
    service = text(found.get("service")).rpartition("client-")[2].lower()
    action = found["action"].lower().removesuffix("command")
    return SdkCall(service, action, mapping(found.get("parameters")), given)
