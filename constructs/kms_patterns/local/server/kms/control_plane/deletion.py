"""ScheduleKeyDeletion; what the key's state allows stands in ``key_states``.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
"""

import json

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.keys import KeyRecord
from kms_patterns.local.server.kms.kms_errors import constraints
from kms_patterns.local.server.kms.members import Request, ResponseMembers

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
