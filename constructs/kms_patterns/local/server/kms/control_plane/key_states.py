"""What a key's state refuses of the control plane, and what KMS refuses to store as its policy; its deletion and use.

A policy is refused when it is malformed, names unknown principals, or locks its author out. The data plane asks
``keys.require_usable``.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
"""

import json
import time

from kms_patterns.local.server.authorization.authorization import authorize_key
from kms_patterns.local.server.authorization.caller import Caller, bound_ids
from kms_patterns.local.server.authorization.policy_documents import KEY_POLICY, Malformed, check_document
from kms_patterns.local.server.emulator.emulator import KMS, RESPONSES, reach
from kms_patterns.local.server.kms.key_records import KeyRecord, find_key
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError, constraints

LEAVING = frozenset({"PendingDeletion", "PendingReplicaDeletion"})
_NOT_WHILELEAVING = frozenset({
    "CreateAlias", "DisableKey", "EnableKey", "GetParametersForImport", "ImportKeyMaterial", "ReplicateKey",
    "ScheduleKeyDeletion", "UpdatePrimaryRegion",
    "TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription",
})  # fmt: skip


def check_state(operation: str, record: KeyRecord) -> None:
    """Refuse an operation that the key's state does not allow.

    Raises:
        KmsError: KMSInvalidStateException.
    """
    leaving = record["KeyState"] in LEAVING
    if leaving and operation in _NOT_WHILELEAVING:
        raise KmsError("KMSInvalidStateException", f"{record['Arn']} is pending deletion.")
    if operation == "CancelKeyDeletion" and not leaving:
        raise KmsError("KMSInvalidStateException", f"{record['Arn']} is not pending deletion.")
    if operation in {"EnableKey", "DisableKey"} and record["KeyState"] == "PendingImport":
        raise KmsError("KMSInvalidStateException", f"{record['Arn']} is pending import.")


LEAST_DAYS, MOST_DAYS, DEFAULT_DAYS = 7, 30, 30


def schedule_key_deletion(_record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ScheduleKeyDeletion; a primary that waits for its replicas has no date yet."""
    days = request.get("PendingWindowInDays", DEFAULT_DAYS)
    if not LEAST_DAYS <= days <= MOST_DAYS:
        bound = f"less than or equal to {MOST_DAYS}" if days > MOST_DAYS else f"greater than or equal to {LEAST_DAYS}"
        failed = f"Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value {bound}"
        raise constraints([failed])
    _status, _headers, body = reach(KMS, "_schedule_key_deletion")(dict(request))
    response: ResponseMembers = json.loads(body) | {"PendingWindowInDays": days}
    if response["KeyState"] == "PendingReplicaDeletion":
        del response["DeletionDate"]
    return response


_DAY = 86400


def record_use(record: KeyRecord, operation: str) -> None:
    """Note a cryptographic operation that succeeded; AWS shows it within an hour, here it shows at once."""
    record["_last_usage"] = {"Operation": operation, "Timestamp": time.time()}


def days_unused(record: KeyRecord) -> int | None:
    """Return the whole days since the key was used, None if it was never used."""
    used = record.get("_last_usage")
    return int((time.time() - used["Timestamp"]) // _DAY) if used else None


def get_key_last_usage(record: KeyRecord, _request: Request) -> ResponseMembers:
    """Return the response to GetKeyLastUsage."""
    response = {"KeyId": record["KeyId"], "KeyCreationDate": record["CreationDate"]}
    used = record.get("_last_usage")
    return response | {"TrackingStartDate": record["CreationDate"]} | ({"KeyLastUsage": used} if used else {})


MOST_BYTES = 32768
POLICY_NAME = "default"
_ANY_KEY = "arn:aws:kms:us-east-1:000000000000:key/any"
_LOCKED_OUT = "The new key policy will not allow you to update the key policy in the future."
_STORING = frozenset({"CreateKey", "PutKeyPolicy", "ReplicateKey"})


def check_policy(operation: str, request: Request, caller: Caller) -> None:
    """Refuse a request that stores a key policy, or names one, if KMS would refuse it.

    Raises:
        KmsError: MalformedPolicyDocumentException, LimitExceededException, NotFoundException for another name.
    """
    if operation in {"PutKeyPolicy", "GetKeyPolicy"} and request.get("PolicyName", POLICY_NAME) != POLICY_NAME:
        raise KmsError("NotFoundException", f"No such policy exists: a key has the policy {POLICY_NAME} only")
    document = request.get("Policy")
    if operation not in _STORING or document is None:
        return
    if len(document.encode()) > MOST_BYTES:
        raise KmsError("LimitExceededException", f"A key policy has at most {MOST_BYTES} bytes.")
    try:
        check_document(document, KEY_POLICY)
    except Malformed as refused:
        raise _malformed(str(refused)) from refused
    if request.get("BypassPolicyLockoutSafetyCheck"):
        return
    # It binds root here, as which nothing is delegated; what a key policy leaves to IAM, IAM must allow the author.
    # AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html (Policy)
    author = Caller(caller.arn, "Author", caller.account)
    decision = authorize_key(author, "kms:PutKeyPolicy", {"Arn": _ANY_KEY, "Policy": document}, {})
    delegated = decision.reason.startswith("because no identity-based")
    if delegated and not caller.is_root:
        held = find_key(str(request["KeyId"])) if operation == "PutKeyPolicy" else None
        here = f"{reach(RESPONSES, 'get_region')()}:{caller.account}"
        key = {"Arn": held["Arn"] if held else f"arn:aws:kms:{here}:key/new", "Policy": document}
        decision = authorize_key(caller, "kms:PutKeyPolicy", key, {})
    if not decision.allowed and not (delegated and caller.is_root):
        raise _malformed(_LOCKED_OUT)


def put_key_policy(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to PutKeyPolicy; the principals that the policy names are those that exist now."""
    record |= {"Policy": request["Policy"], "_bound_policy": None}
    bound_ids(record)
    return {}


def _malformed(message: str) -> KmsError:
    return KmsError("MalformedPolicyDocumentException", message)
