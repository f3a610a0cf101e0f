"""Rotation of key material; what was encrypted under an older one stays readable.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
"""

import os
import time
from typing import Any

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.keys import KeyRecord, material_id, require_usable
from kms_patterns.local.server.kms.kms_errors import KmsError, constraint
from kms_patterns.local.server.kms.members import Answer, Request
from kms_patterns.local.server.kms.operations.imported_material import next_material

MOST_ON_DEMAND = 25
PERIOD_DAYS = (90, 2560)
DEFAULT_PERIOD = 365
# What a replica shares with its primary, besides what the emulator copies.
SHARED = ("KeyAgreementAlgorithms", "_older_materials", "_rotations", "KeyRotationEnabled", "RotationPeriodInDays")
_DAY = 86400


def enable_key_rotation(record: KeyRecord, request: Request) -> Answer:
    """Answer EnableKeyRotation."""
    _require_rotating(record, "EnableKeyRotation")
    require_usable(record)
    period = request.get("RotationPeriodInDays", DEFAULT_PERIOD)
    least, most = PERIOD_DAYS
    if not isinstance(period, int) or not least <= period <= most:
        raise constraint("rotationPeriodInDays", f"have value between {least} and {most}")
    for member in _members(record):
        member |= {"KeyRotationEnabled": True, "RotationPeriodInDays": period, "_rotates_from": time.time()}
    return {}


def disable_key_rotation(record: KeyRecord, _request: Request) -> Answer:
    """Answer DisableKeyRotation."""
    _require_rotating(record, "DisableKeyRotation")
    require_usable(record)
    for member in _members(record):
        member["KeyRotationEnabled"] = False
    return {}


def get_key_rotation_status(record: KeyRecord, _request: Request) -> Answer:
    """Answer GetKeyRotationStatus; a key that cannot rotate does not."""
    enabled = bool(record.get("KeyRotationEnabled"))
    answer = {"KeyId": record["Arn"], "KeyRotationEnabled": enabled}
    if enabled:
        period = record["RotationPeriodInDays"]
        started = record.get("_rotates_from", record["CreationDate"])
        answer |= {"RotationPeriodInDays": period, "NextRotationDate": started + period * _DAY}
    return answer


def rotate_key_on_demand(record: KeyRecord, _request: Request) -> Answer:
    """Answer RotateKeyOnDemand: at once, where AWS takes a moment."""
    _require_rotating(record, "RotateKeyOnDemand")
    require_usable(record)
    if record.get("_mrk_type") == "REPLICA":
        raise KmsError("UnsupportedOperationException", f"{record['Arn']} cannot be rotated on demand here.")
    rotations = record.get("_rotations", [])
    if len(rotations) >= MOST_ON_DEMAND:
        raise KmsError("LimitExceededException", f"A key can be rotated on demand {MOST_ON_DEMAND} times.")
    fresh = os.urandom(32) if record["Origin"] == "AWS_KMS" else next_material(record)
    older = [*record.get("_older_materials", ()), record["_symmetric_key"]]
    for member in _members(record):
        member |= {"_symmetric_key": fresh, "_older_materials": older}
        rotation = {"KeyId": member["Arn"], "RotationDate": time.time(), "RotationType": "ON_DEMAND"}
        member["_rotations"] = [*rotations, rotation | {"KeyMaterialId": material_id(member)}]
    return {"KeyId": record["Arn"]}


def list_key_rotations(record: KeyRecord, _request: Request) -> Answer:
    """Answer ListKeyRotations: the rotations that took place."""
    _require_rotating(record, "ListKeyRotations")
    return {"Rotations": record.get("_rotations", []), "Truncated": False}


def _require_rotating(record: KeyRecord, operation: str) -> None:
    if record["KeySpec"] != "SYMMETRIC_DEFAULT":
        raise KmsError("UnsupportedOperationException", f"{operation} is for symmetric encryption keys only.")
    if operation == "EnableKeyRotation" and record["Origin"] != "AWS_KMS":
        raise KmsError("UnsupportedOperationException", f"{record['Arn']} origin is {record['Origin']}.")


def _members(record: KeyRecord) -> list[dict[str, Any]]:
    members = [member for _region, member in reach(KMS, "_mrk_members")(record)]
    return members or [record]
