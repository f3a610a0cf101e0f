"""KMS grants as statements: what a grant gives, it gives beside the key policy.

See https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.shapes import items, mapping, text
from kms_patterns.access.unknowns.symbols import GUARD, shown

CUSTOM_RESOURCE = "Custom::KmsGrant"
"""The resource of the construct ``KeyGrant``; its property ``Grant`` is the request of CreateGrant."""


def granted(template: Template, keys: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key's ARN and the statement of every ``KeyGrant`` of the app.

    Args:
        template: The app.
        keys: Every way in which a key of the app is named -> its ARN.
    """
    for stack, logical_id, properties in template.of_type(CUSTOM_RESOURCE):
        grant = mapping(properties.get("Grant"))
        named = text(grant.get("KeyId"))
        if named not in keys:
            template.unresolved(
                template.where(stack, logical_id), f"KMS grant on {shown(named)}", "the key is not defined here"
            )
            continue
        statement = statement_of({**grant, "GrantId": logical_id})
        given = template.existence(stack, logical_id)
        yield keys[named], {**statement, GUARD: list(given)} if given else statement


def statement_of(grant: Mapping[str, Any]) -> dict[str, Any]:
    """Return a grant as the statement that allows the same.

    The constraint ``EncryptionContextSubset`` demands the pairs that it names, ``EncryptionContextEquals`` only these.
    """
    service = grant.get("GranteeServicePrincipal")
    grantee = text(service or grant.get("GranteePrincipal", "*"))
    is_service = service is not None or (not grantee.startswith("arn:") and grantee.endswith(".amazonaws.com"))
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
    return statement | ({"Condition": block} if block else {})


def _action(operation: object) -> str:
    return f"kms:{text(operation)}"
