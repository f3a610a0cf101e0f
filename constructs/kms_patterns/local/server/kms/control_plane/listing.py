"""Lists in pages, each with the bounds and the default of its operation, and the lists of keys and of policy names.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_ListKeys.html
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.key_records import KeyRecord
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError, constraints


@dataclass(frozen=True)
class Paging:
    """How many items a page of an operation has: ``most`` may be asked for, ``default`` come without asking."""

    most: int
    default: int


KEYS = Paging(1000, 100)
ALIASES = GRANTS = Paging(100, 50)
TAGS = Paging(50, 50)


def page(request: Request, member: str, items: Sequence[tuple[str, Any]], paging: Paging) -> ResponseMembers:
    """Return the page of ``items``, each with its identity, that Limit and Marker ask for.

    Raises:
        KmsError: ValidationException, InvalidMarkerException.
    """
    limit = request.get("Limit", paging.default)
    if limit > paging.most:
        rule = f"Member must have value less than or equal to {paging.most}"
        raise constraints([f"Value '{limit}' at 'limit' failed to satisfy constraint: {rule}"])
    start = _position(request["Marker"], items) if request.get("Marker") else 0
    shown, rest = items[start : start + limit], items[start + limit :]
    response = {member: [item for _identity, item in shown], "Truncated": bool(rest)}
    return response | ({"NextMarker": base64.urlsafe_b64encode(rest[0][0].encode()).decode()} if rest else {})


def list_keys(request: Request) -> ResponseMembers:
    """Return the response to ListKeys."""
    records = reach(KMS, "_keys").values()
    items = [(record["KeyId"], {"KeyId": record["KeyId"], "KeyArn": record["Arn"]}) for record in records]
    return page(request, "Keys", items, KEYS)


def list_key_policies(_record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ListKeyPolicies: a key has the one policy ``default``."""
    return page(request, "PolicyNames", [("default", "default")], KEYS)


def list_resource_tags(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ListResourceTags."""
    return page(request, "Tags", [(tag["TagKey"], tag) for tag in record.get("Tags", [])], TAGS)


def _position(marker: str, items: Sequence[tuple[str, Any]]) -> int:
    try:
        identity = base64.b64decode(marker, altchars=b"-_", validate=True).decode()
        return [found for found, _item in items].index(identity)
    except (binascii.Error, ValueError) as unknown:
        raise KmsError("InvalidMarkerException", "The marker is not valid.") from unknown
