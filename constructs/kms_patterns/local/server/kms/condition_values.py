"""The condition keys of a KMS request.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from collections.abc import Mapping
from typing import Any

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.keys import SYMMETRIC, KeyRecord, find_key, key_of_ciphertext
from kms_patterns.local.server.kms.members import Request, blob_member
from kms_patterns.local.server.kms.operations.data_plane import MAX_CIPHERTEXT
from kms_patterns.local.server.kms.targets import Target

_ALGORITHM_MEMBERS = {
    "kms:Encrypt": "EncryptionAlgorithm",
    "kms:Decrypt": "EncryptionAlgorithm",
    "kms:ReEncryptFrom": "SourceEncryptionAlgorithm",
    "kms:ReEncryptTo": "DestinationEncryptionAlgorithm",
}
_FROM_REQUEST = {
    "kms:BypassPolicyLockoutSafetyCheck": "BypassPolicyLockoutSafetyCheck",
    "kms:DataKeyPairSpec": "KeyPairSpec",
    "kms:ExpirationModel": "ExpirationModel",
    "kms:GranteePrincipal": "GranteePrincipal",
    "kms:GrantOperations": "Operations",
    "kms:KeyAgreementAlgorithm": "KeyAgreementAlgorithm",
    "kms:MacAlgorithm": "MacAlgorithm",
    "kms:MessageType": "MessageType",
    "kms:PrimaryRegion": "PrimaryRegion",
    "kms:ReplicaRegion": "ReplicaRegion",
    "kms:RetiringPrincipal": "RetiringPrincipal",
    "kms:RotationPeriodInDays": "RotationPeriodInDays",
    "kms:ScheduleKeyDeletionPendingWindowInDays": "PendingWindowInDays",
    "kms:SigningAlgorithm": "SigningAlgorithm",
    "kms:ValidTo": "ValidTo",
    "kms:WrappingAlgorithm": "WrappingAlgorithm",
    "kms:WrappingKeySpec": "WrappingKeySpec",
}
_FROM_KEY = {
    "kms:KeyOrigin": "Origin",
    "kms:KeySpec": "KeySpec",
    "kms:KeyUsage": "KeyUsage",
    # Their names before 2021, still in many policies.
    "kms:CustomerMasterKeySpec": "KeySpec",
    "kms:CustomerMasterKeyUsage": "KeyUsage",
}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "kms:Sign": {"MessageType": "RAW"},
    "kms:Verify": {"MessageType": "RAW"},
    "kms:ScheduleKeyDeletion": {"PendingWindowInDays": 30},
    "kms:CreateKey": {"KeySpec": SYMMETRIC, "KeyUsage": "ENCRYPT_DECRYPT", "Origin": "AWS_KMS"},
}


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
        values |= _of_context(context)
    request = {**_DEFAULTS.get(target.action, {}), **request}
    values |= {key: request[member] for key, member in _FROM_REQUEST.items() if request.get(member) is not None}
    if target.action in _ALGORITHM_MEMBERS:
        values["kms:EncryptionAlgorithm"] = request.get(_ALGORITHM_MEMBERS[target.action]) or SYMMETRIC
    if target.action == "kms:CreateGrant":
        values |= _of_grant(request, via)
    values |= _tags(request)
    if target.key is not None:
        values |= _of_key(target.key, request)
    elif target.action == "kms:CreateKey":
        values |= {key: request.get(member) for key, member in _FROM_KEY.items()}
        values["kms:MultiRegion"] = str(bool(request.get("MultiRegion"))).lower()
    if target.action.startswith("kms:ReEncrypt"):
        values["kms:ReEncryptOnSameKey"] = str(re_encrypts_on_same_key(request)).lower()
    return {name.lower(): value for name, value in values.items()}


def _of_context(context: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, list[str]] = {}
    for name, value in context.items():
        values.setdefault(f"kms:encryptioncontext:{name}".lower(), []).append(value)
    # IAM compares the names of keys without case: of two names that differ in case only, neither decides alone.
    return {name: found if len(found) > 1 else found[0] for name, found in values.items()}


def _of_grant(request: Request, via: str | None) -> dict[str, Any]:
    kinds = list(request.get("Constraints") or {})
    return {"kms:GrantIsForAWSResource": str(via is not None).lower()} | (
        {"kms:GrantConstraintType": kinds[0]} if kinds else {}
    )


def _tags(request: Request) -> dict[str, Any]:
    tags = {str(tag.get("TagKey")): str(tag.get("TagValue")) for tag in request.get("Tags") or ()}
    names = [*tags, *(request.get("TagKeys") or ())]
    return {f"aws:RequestTag/{name}": value for name, value in tags.items()} | ({"aws:TagKeys": names} if names else {})


def re_encrypts_on_same_key(request: Request) -> bool:
    """Return whether a ReEncrypt stays with its key."""
    destination = find_key(str(request.get("DestinationKeyId") or ""))
    source = find_key(str(request.get("SourceKeyId") or "")) or _key_in(request)
    return destination is not None and source is not None and source["Arn"] == destination["Arn"]


def _key_in(request: Request) -> KeyRecord | None:
    return key_of_ciphertext(blob_member(request, "CiphertextBlob", MAX_CIPHERTEXT))


def _of_key(record: KeyRecord, request: Request) -> dict[str, Any]:
    values: dict[str, Any] = {key: record[member] for key, member in _FROM_KEY.items()}
    values["kms:MultiRegion"] = str(bool(record.get("MultiRegion"))).lower()
    if record.get("MultiRegion"):
        values["kms:MultiRegionKeyType"] = record["_mrk_type"]
    values |= {f"aws:ResourceTag/{tag['TagKey']}": tag["TagValue"] for tag in record.get("Tags", [])}
    aliases = [arn.split(":", 5)[5] for arn, key_id in reach(KMS, "_aliases").items() if key_id == record["KeyId"]]
    if aliases:
        values["kms:ResourceAliases"] = aliases
    reference = str(request.get("KeyId") or "")
    if "alias/" in reference:
        values["kms:RequestAlias"] = reference[reference.index("alias/") :]
    return values
