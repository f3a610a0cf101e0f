"""Requests that custom resources make at deployment, as far as the template says them in full; KMS grants among them.

https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources.AwsCustomResource.html
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.symbols import GUARD, TRUE, Proposition, may_be, shown

ANY_CALL = "Custom::AWS"
SERVICE = re.compile(r"[\w-]+(?:\.[\w-]+)+")
"""A service principal: a domain name, of which the ending differs between partitions."""
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


GRANT = "Custom::KmsGrant"
"""The resource of the construct ``KeyGrant``; its property ``Grant`` is the request of CreateGrant."""


def granted(template: Template, keys: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key's ARN and the statement of every ``KeyGrant`` of the app.

    Args:
        template: The app.
        keys: Every way in which a key of the app is named -> its ARN.
    """
    for stack, logical_id, _ in template.of_type(GRANT, ANY_CALL):
        where, exists = template.where(stack, logical_id), template.existence(stack, logical_id)
        by_call = stack.resources[logical_id]["Type"] == ANY_CALL
        for guard, way in template.ways(stack, stack.resources[logical_id].get("Properties"), where):
            properties, given = mapping(way), [*exists, *guard]
            grant = _requested(properties) if by_call else mapping(properties.get("Grant"))
            named = text(grant.get("KeyId"))
            if grant and named not in keys:
                template.unresolved(where, f"KMS grant on {shown(named)}", "the key is not defined here")
            meant = (
                {named}
                if named in keys
                else {name for name in keys if may_be(f"key/{named}", f"key/{name}") or may_be(named, name)}
            )
            same = [] if named in keys else [(f"{shown(named)} is the key", TRUE)]
            for key in sorted({keys[name] for name in meant}) if grant else ():
                for statement in grant_statements({**grant, "GrantId": logical_id}):
                    yield key, {**statement, GUARD: [*given, *same]} if given or same else statement


def _requested(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the request of CreateGrant that an ``AwsCustomResource`` of the CDK makes; nothing if it makes another."""
    for member in ("Create", "Update"):
        try:
            call = mapping(json.loads(text(properties.get(member, ""))))
        except ValueError:
            continue
        if text(call.get("action")).lower().removesuffix("command") == "creategrant":
            return mapping(call.get("parameters"))
    return {}


def grant_statements(grant: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a grant as the statements that allow the same: its operations, and that it is retired.

    The constraint ``EncryptionContextSubset`` demands the pairs that it names, ``EncryptionContextEquals`` only these.
    """
    service = grant.get("GranteeServicePrincipal")
    grantee = text(service or grant.get("GranteePrincipal", "*"))
    is_service = service is not None or SERVICE.fullmatch(grantee) is not None
    constraints = mapping(grant.get("Constraints"))
    equal = mapping(constraints.get("EncryptionContextEquals"))
    pairs = {**mapping(constraints.get("EncryptionContextSubset")), **equal}
    block: dict[str, dict[str, Any]] = {}
    if pairs:
        block["StringEquals"] = {f"kms:EncryptionContext:{key}": value for key, value in pairs.items()}
    if equal:
        block["ForAllValues:StringEquals"] = {"kms:EncryptionContextKeys": sorted(equal)}
    if constraints.get("SourceArn"):
        block["ArnLike"] = {"aws:SourceArn": constraints["SourceArn"]}
    statement = {
        "Sid": f"grant {grant.get('Name') or grant['GrantId']}",
        "Effect": "Allow",
        "Principal": {"Service" if is_service else "AWS": grantee},
        "Action": [_action(name) for name in items(grant.get("Operations"))],
        "Resource": "*",
    }
    yield statement | ({"Condition": block} if block else {})
    if grant.get("RetiringPrincipal"):
        yield {**statement, "Principal": {"AWS": text(grant["RetiringPrincipal"])}, "Action": "kms:RetireGrant"}


def _action(operation: object) -> str:
    return f"kms:{text(operation)}"
