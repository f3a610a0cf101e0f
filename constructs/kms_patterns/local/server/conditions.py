"""The condition keys of a KMS request.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from collections.abc import Mapping
from typing import Any

from kms_patterns.local.server.caller import Caller
from kms_patterns.local.server.emulator import KMS, reach
from kms_patterns.local.server.keys import SYMMETRIC, KeyRecord
from kms_patterns.local.server.members import Request

_ALGORITHM_MEMBERS = {
    "kms:Encrypt": "EncryptionAlgorithm",
    "kms:Decrypt": "EncryptionAlgorithm",
    "kms:ReEncryptFrom": "SourceEncryptionAlgorithm",
    "kms:ReEncryptTo": "DestinationEncryptionAlgorithm",
}
_FROM_REQUEST = {
    "kms:DataKeyPairSpec": "KeyPairSpec",
    "kms:GranteePrincipal": "GranteePrincipal",
    "kms:GrantOperations": "Operations",
    "kms:MacAlgorithm": "MacAlgorithm",
    "kms:MessageType": "MessageType",
    "kms:RetiringPrincipal": "RetiringPrincipal",
    "kms:ScheduleKeyDeletionPendingWindowInDays": "PendingWindowInDays",
    "kms:SigningAlgorithm": "SigningAlgorithm",
    "kms:WrappingAlgorithm": "WrappingAlgorithm",
    "kms:WrappingKeySpec": "WrappingKeySpec",
}
_FROM_KEY = {"kms:KeyOrigin": "Origin", "kms:KeySpec": "KeySpec", "kms:KeyUsage": "KeyUsage"}


def via_service(service: str | None, region: str) -> str | None:
    """Return the value of kms:ViaService for a call that ``service`` (``s3``) makes for a caller."""
    return f"{service}.{region}.amazonaws.com" if service else None


def condition_values(
    caller: Caller, action: str, record: KeyRecord | None, context: Mapping[str, str] | None, via: str | None,
    request: Request,
) -> dict[str, Any]:  # fmt: skip
    """Return the value of every condition key that the request has, named in lower case as IAM compares them."""
    values: dict[str, Any] = {
        "kms:CallerAccount": caller.account,
        "aws:ViaAWSService": "true" if via else "false",
        # The evaluator reads a list for aws:TagKeys where none is set; no tag named means no such key.
        "aws:TagKeys": None,
    }
    if via:
        values["kms:ViaService"] = via
    if context:
        values["kms:EncryptionContextKeys"] = list(context)
        values |= {f"kms:EncryptionContext:{name}": value for name, value in context.items()}
    values |= {key: request[member] for key, member in _FROM_REQUEST.items() if request.get(member) is not None}
    if action in _ALGORITHM_MEMBERS:
        values["kms:EncryptionAlgorithm"] = request.get(_ALGORITHM_MEMBERS[action]) or SYMMETRIC
    if record is not None:
        values |= _of_key(record, request)
    return {name.lower(): value for name, value in values.items()}


def _of_key(record: KeyRecord, request: Request) -> dict[str, Any]:
    values: dict[str, Any] = {key: record[member] for key, member in _FROM_KEY.items()}
    values["kms:MultiRegion"] = str(bool(record.get("MultiRegion"))).lower()
    values |= {f"aws:ResourceTag/{tag['TagKey']}": tag["TagValue"] for tag in record.get("Tags", [])}
    aliases = [arn.split(":", 5)[5] for arn, key_id in reach(KMS, "_aliases").items() if key_id == record["KeyId"]]
    if aliases:
        values["kms:ResourceAliases"] = aliases
    reference = str(request.get("KeyId") or "")
    if "alias/" in reference:
        values["kms:RequestAlias"] = reference[reference.index("alias/") :]
    return values
