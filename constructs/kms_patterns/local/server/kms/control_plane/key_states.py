"""Which control plane operations a key's state refuses, ScheduleKeyDeletion, and when a key was used last.

The data plane asks ``keys.require_usable``.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
"""

import json
import time

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.key_records import KeyRecord
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError, constraints

_LEAVING = frozenset({"PendingDeletion", "PendingReplicaDeletion"})
_NOT_WHILE_LEAVING = frozenset({
    "CreateAlias", "DisableKey", "EnableKey", "GetParametersForImport", "ImportKeyMaterial", "ReplicateKey",
    "ScheduleKeyDeletion", "UpdatePrimaryRegion",
    "TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription",
})  # fmt: skip


def check_state(operation: str, record: KeyRecord) -> None:
    """Refuse an operation that the key's state does not allow.

    Raises:
        KmsError: KMSInvalidStateException.
    """
    leaving = record["KeyState"] in _LEAVING
    if leaving and operation in _NOT_WHILE_LEAVING:
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
