"""Rotation of key material; what was encrypted under an older one stays readable.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
"""

import os
import time
from collections.abc import Iterator

from kms_patterns.local.server.kms.control_plane.imported_material import members, next_material, pending_state
from kms_patterns.local.server.kms.control_plane.key_states import LEAVING
from kms_patterns.local.server.kms.control_plane.listing import KEYS, page
from kms_patterns.local.server.kms.key_records import SYMMETRIC, KeyRecord, material_id, require_usable
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError, unsupported

MOST_ON_DEMAND = 25
DEFAULT_PERIOD = 365
# What a replica shares with its primary, besides what the emulator copies.
SHARED = ("KeyAgreementAlgorithms", "_older_materials", "_rotations", "KeyRotationEnabled", "RotationPeriodInDays")
_DAY = 86400


def enable_key_rotation(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to EnableKeyRotation."""
    _require_rotating(record, automatic=True)
    period = request.get("RotationPeriodInDays", DEFAULT_PERIOD)
    for member in members(record):
        member |= {"KeyRotationEnabled": True, "RotationPeriodInDays": period, "_rotates_from": time.time()}
    return {}


def disable_key_rotation(record: KeyRecord, _request: Request) -> ResponseMembers:
    """Return the response to DisableKeyRotation."""
    _require_rotating(record, automatic=True)
    for member in members(record):
        member["KeyRotationEnabled"] = False
    return {}


def get_key_rotation_status(record: KeyRecord, _request: Request) -> ResponseMembers:
    """Return the response to GetKeyRotationStatus; a key that cannot rotate does not, nor one that is to be deleted."""
    enabled = bool(record.get("KeyRotationEnabled")) and record["KeyState"] not in LEAVING
    response = {"KeyId": record["Arn"], "KeyRotationEnabled": enabled}
    if enabled:
        period = record["RotationPeriodInDays"]
        started = record.get("_rotates_from", record["CreationDate"])
        response |= {"RotationPeriodInDays": period, "NextRotationDate": started + period * _DAY}
    return response


def rotate_key_on_demand(record: KeyRecord, _request: Request) -> ResponseMembers:
    """Return the response to RotateKeyOnDemand: at once, where AWS takes a moment."""
    _require_rotating(record, automatic=False)
    rotations = record.get("_rotations", [])
    if len(rotations) >= MOST_ON_DEMAND:
        raise KmsError(
            "LimitExceededException",
            "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be "
            f"performed for this key: {record['Arn']}",
        )
    fresh = os.urandom(32) if record["Origin"] == "AWS_KMS" else next_material(record)
    older = [*record.get("_older_materials", ()), record["_symmetric_key"]]
    for member in members(record):
        member |= {"_symmetric_key": fresh, "_older_materials": older}
        rotation = {"KeyId": member["Arn"], "RotationDate": time.time(), "RotationType": "ON_DEMAND"}
        member["_rotations"] = [*rotations, rotation | {"KeyMaterialId": material_id(member)}]
    return {"KeyId": record["Arn"]}


def list_key_rotations(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ListKeyRotations: the rotations that took place, or all key materials."""
    if record["KeySpec"] != SYMMETRIC:
        raise unsupported("")
    rotations = {it["KeyMaterialId"]: it for it in record.get("_rotations", [])}
    if request.get("IncludeKeyMaterial") == "ALL_KEY_MATERIAL":
        rotations = {found: {"KeyId": record["Arn"], **rotations.get(found, {}), **it} for found, it in _all(record)}
    return page(request, "Rotations", list(rotations.items()), KEYS)


def _all(record: KeyRecord) -> Iterator[tuple[str, dict[str, str]]]:
    states = (
        *((material, "NON_CURRENT") for material in record.get("_older_materials", ())),
        (record.get("_symmetric_key"), "CURRENT"),
        (record.get("_pending_material"), pending_state(record)),
    )
    for material, state in states:
        if material:
            found = material_id({**record, "_symmetric_key": material})
            yield found, {"KeyMaterialId": found, "KeyMaterialState": state}


def _require_rotating(record: KeyRecord, *, automatic: bool) -> None:
    require_usable(record)
    if record["KeySpec"] != SYMMETRIC:
        raise unsupported("")
    if automatic and record["Origin"] != "AWS_KMS":
        raise unsupported(f"{record['Arn']} origin is {record['Origin']} which is not valid for this operation.")
    if record.get("_mrk_type") == "REPLICA":
        raise unsupported(f"{record['Arn']} is not a multi-region primary key.")
