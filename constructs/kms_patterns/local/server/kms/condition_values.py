"""The condition keys of a KMS request and their values.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.control_plane.key_states import days_unused
from kms_patterns.local.server.kms.grants import constraint_types
from kms_patterns.local.server.kms.key_records import SYMMETRIC, KeyRecord, find_key, key_of_ciphertext
from kms_patterns.local.server.kms.kms_call import KmsCall, Request, blob_member, called_via
from kms_patterns.local.server.kms.permissions import DEFAULTS, PERMISSIONS
from kms_patterns.local.server.kms.targets import LINKED_SERVICE, Target, alias_in

_FROM_KEY = {
    "kms:KeyOrigin": "Origin",
    "kms:KeySpec": "KeySpec",
    "kms:KeyUsage": "KeyUsage",
    # Their names before 2021, still in many policies.
    "kms:CustomerMasterKeySpec": "KeySpec",
    "kms:CustomerMasterKeyUsage": "KeyUsage",
}
_ON_GRANTS = frozenset({"kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"})
_ENDING = frozenset({"kms:DisableKey", "kms:ScheduleKeyDeletion"})
_UNUSED = "kms:trailingdayswithoutkeyusage"
_TAGGING = frozenset({"kms:CreateKey", "kms:TagResource", "kms:UntagResource"})
_COMPUTED = (
    "kms:calleraccount", "kms:encryptioncontext:", "kms:encryptioncontextkeys", "kms:grantconstraintsourcearn",
    "kms:grantconstrainttype", "kms:grantisforawsresource", "kms:multiregion", "kms:multiregionkeytype",
    "kms:reencryptonsamekey", "kms:requestalias", "kms:resourcealiases", "kms:viaservice",
    # Attestations of enclaves are refused.
    "kms:recipientattestation:",
)  # fmt: skip
_NAMED = frozenset(
    name.lower()
    for name in (*_FROM_KEY, *(key for row in PERMISSIONS.values() for permission in row for key in permission.keys))
)


def is_known(action: str, key: str) -> bool:
    """Return whether a condition key, in lower case, is absent from an action's requests when it has no value here."""
    if key == _UNUSED:
        # How AWS counts for a key that was never used, it does not say.
        return action not in _ENDING
    return not key.startswith("kms:") or key in _NAMED or key.startswith(_COMPUTED)


def condition_values(call: KmsCall, target: Target) -> dict[str, Any]:
    """Return the value of every condition key that one permission of a call has, in lower case as IAM compares them.

    A value that takes a search is a function of no arguments.
    """
    request, permission = call.request, target.permission
    values: dict[str, Any] = {
        "kms:CallerAccount": call.caller.account,
        "aws:ViaAWSService": "true" if call.via or call.called_via else "false",
        # The evaluator reads a list for aws:TagKeys where none is set; no tag named means no such key.
        "aws:TagKeys": None,
    }
    if call.via:
        values["kms:ViaService"] = call.via_service
    if target.action.startswith("iam:"):
        values["iam:AWSServiceName"] = LINKED_SERVICE
    values |= called_via("dynamodb.amazonaws.com" if call.via == "dynamodb" else call.called_via)
    if target.context:
        values["kms:EncryptionContextKeys"] = list(target.context)
        values |= _by_name("kms:EncryptionContext", target.context.items())
    for key, member in permission.keys.items():
        if request.get(member) is not None or key in DEFAULTS:
            values[key] = request.get(member, DEFAULTS.get(key))
    if target.action in _ON_GRANTS:
        values["kms:GrantIsForAWSResource"] = str(call.via is not None).lower()
    values |= dict(_of_constraints(target, request))
    if target.action in _TAGGING:
        values |= _tags(request)
    values |= _of_key(target.key, target.action) if target.key is not None else dict(_of_new_key(call, target))
    if permission.aliases and alias_in(target.reference):
        values["kms:RequestAlias"] = alias_in(target.reference)
    if target.action.startswith("kms:ReEncrypt"):
        values["kms:ReEncryptOnSameKey"] = str(_re_encrypts_on_same_key(request)).lower()
    return {name.lower(): value for name, value in values.items()}


def _by_name(prefix: str, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    separator, values = ":" if prefix.startswith("kms") else "/", dict[str, list[str]]()
    for name, value in pairs:
        values.setdefault(f"{prefix}{separator}{name}".lower(), []).append(value)
    # IAM compares the names of keys without case: of two names that differ in case only, neither decides alone.
    return {name: found if len(found) > 1 else found[0] for name, found in values.items()}


def _of_constraints(target: Target, request: Request) -> Iterator[tuple[str, Any]]:
    kinds = constraint_types(target.action, request)
    if kinds:
        yield "kms:GrantConstraintType", kinds[0] if len(kinds) == 1 else kinds
    if target.action == "kms:CreateGrant" and (request.get("Constraints") or {}).get("SourceArn"):
        yield "kms:GrantConstraintSourceArn", request["Constraints"]["SourceArn"]


def _tags(request: Request) -> dict[str, Any]:
    tags = [(tag["TagKey"], tag["TagValue"]) for tag in request.get("Tags") or ()]
    names = [*(name for name, _value in tags), *(request.get("TagKeys") or ())]
    return _by_name("aws:RequestTag", tags) | ({"aws:TagKeys": names} if names else {})


def _re_encrypts_on_same_key(request: Request) -> bool:
    destination = find_key(str(request.get("DestinationKeyId") or ""))
    source = find_key(str(request.get("SourceKeyId") or "")) or key_of_ciphertext(
        blob_member(request, "CiphertextBlob")
    )
    return destination is not None and source is not None and source["Arn"] == destination["Arn"]


def _of_key(record: KeyRecord, action: str) -> dict[str, Any]:
    values: dict[str, Any] = {key: record[member] for key, member in _FROM_KEY.items()}
    values["kms:MultiRegion"] = str(bool(record.get("MultiRegion"))).lower()
    if record.get("MultiRegion"):
        values["kms:MultiRegionKeyType"] = record["_mrk_type"]
    values |= _by_name("aws:ResourceTag", ((tag["TagKey"], tag["TagValue"]) for tag in record.get("Tags", [])))
    unused = days_unused(record) if action in _ENDING else None
    values |= {_UNUSED: unused} if unused is not None else {}
    return values | {"kms:ResourceAliases": partial(_aliases, record)}


def _aliases(record: KeyRecord) -> list[str] | None:
    # Looked for when a policy asks: the aliases of a key are found by going through all.
    aliases = [arn.split(":", 5)[5] for arn, key_id in reach(KMS, "_aliases").items() if key_id == record["KeyId"]]
    return aliases or ([record["_managed"]] if record.get("_managed") else None)


def _of_new_key(call: KmsCall, target: Target) -> Iterator[tuple[str, Any]]:
    """Yield what is asked about the key that CreateKey makes, or the replica that ReplicateKey makes of a primary."""
    if target.region:
        yield "aws:RequestedRegion", target.region
    if target.action != "kms:CreateKey":
        return
    replica = call.operation == "ReplicateKey"
    primary = find_key(str(call.request.get("KeyId") or "")) if replica else None
    asked = primary or {
        "KeySpec": call.request.get("KeySpec") or call.request.get("CustomerMasterKeySpec") or SYMMETRIC,
        "KeyUsage": call.request.get("KeyUsage") or "ENCRYPT_DECRYPT",
        "Origin": call.request.get("Origin") or "AWS_KMS",
    }
    yield from ((key, asked[member]) for key, member in _FROM_KEY.items())
    tags = ((tag["TagKey"], tag["TagValue"]) for tag in call.request.get("Tags") or ())
    yield from _by_name("aws:ResourceTag", tags).items()
    multi_region = replica or bool(call.request.get("MultiRegion"))
    yield "kms:MultiRegion", str(multi_region).lower()
    if multi_region:
        yield "kms:MultiRegionKeyType", "REPLICA" if replica else "PRIMARY"
