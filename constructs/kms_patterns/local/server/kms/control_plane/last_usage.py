"""When a key was used last: by a cryptographic operation that succeeded.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyLastUsage.html
"""

import time

from kms_patterns.local.server.kms.keys import KeyRecord
from kms_patterns.local.server.kms.members import Request, ResponseMembers

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
