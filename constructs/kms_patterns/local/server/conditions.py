"""The condition keys of a KMS request.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from typing import Any

from kms_patterns.local.server.emulator import KMS, reach
from kms_patterns.local.server.keys import SYMMETRIC, KeyRecord
from kms_patterns.local.server.members import Request
from kms_patterns.local.server.targets import Target

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


def condition_values(account: str, target: Target, request: Request, via: str | None) -> dict[str, Any]:
    """Return the value of every condition key that a request has, named in lower case as IAM compares them.

    Args:
        account: The caller's account.
        target: The permission asked for.
        request: The KMS request.
        via: The value of kms:ViaService, if a service makes the call.
    """
    context = target.context
    values: dict[str, Any] = {
        "kms:CallerAccount": account,
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
    if target.action in _ALGORITHM_MEMBERS:
        values["kms:EncryptionAlgorithm"] = request.get(_ALGORITHM_MEMBERS[target.action]) or SYMMETRIC
    if target.key is not None:
        values |= _of_key(target.key, request)
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
