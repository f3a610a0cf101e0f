"""Imported key material: a key takes its first material again, and a symmetric key one more that it can rotate to.

A replica takes what its primary was given before, and nothing else; it has no material until then.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_ImportKeyMaterial.html
https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-import.html
"""

import hashlib
import time
from typing import Any

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.key_records import SYMMETRIC, KeyRecord, material_id
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers, blob_member
from kms_patterns.local.server.kms.kms_errors import KmsError, invalid, invalid_ciphertext, unsupported

LONGEST_SECONDS = 365 * 86400
_EXPIRES = "KEY_MATERIAL_EXPIRES"
_MATERIALS = ("_symmetric_key", "_hmac_key", "_private_key", "_public_key_der")
_PARAMETERS = ("_import_wrapping_key", "_import_token", "_import_algorithm", "_import_token_expires")


def check_parameters(record: KeyRecord, request: Request) -> None:
    """Refuse to give out parameters under which this key's material cannot be wrapped; else leave it to the emulator.

    Raises:
        KmsError: UnsupportedOperationException.
    """
    _require_external(record)
    algorithm = request["WrappingAlgorithm"]
    is_rsa = record["KeySpec"].startswith("RSA_")
    raw = record["KeySpec"] == SYMMETRIC or record["KeySpec"].startswith("HMAC_")
    if (is_rsa and algorithm.startswith("RSAES_")) or (raw and algorithm.startswith("RSA_AES_")):
        raise unsupported(f"{record['KeySpec']} key material cannot be wrapped by {algorithm}.")
    if algorithm == "RSAES_PKCS1_V1_5":
        raise unsupported("AWS KMS does not support RSAES_PKCS1_V1_5 since October 10, 2023.")
    if algorithm == "SM2PKE" or request["WrappingKeySpec"] == "SM2":
        raise unsupported("SM2 wrapping keys exist in the Regions of China only.")


def import_key_material(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ImportKeyMaterial."""
    _require_external(record)
    _check_expiration(record, request)
    material = _unwrapped(record, request)
    trial: dict[str, Any] = {name: value for name, value in record.items() if name not in _MATERIALS}
    if reach(KMS, "_store_imported_material")(trial, material) is not None:
        raise KmsError("IncorrectKeyMaterialException", f"The key material is not that of a {record['KeySpec']} key.")
    pending = _take(record, trial, new=request.get("ImportType") == "NEW_KEY_MATERIAL")
    for name in _PARAMETERS:
        record.pop(name, None)
    valid_to = request.get("ValidTo")
    if pending:
        record["_pending_valid_to"] = valid_to
    elif pending is not None:
        _set_expiration(record, valid_to)
    return {"KeyId": record["Arn"]} | ({"KeyMaterialId": material_id(trial)} if record["KeySpec"] == SYMMETRIC else {})


def delete_imported_key_material(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to DeleteImportedKeyMaterial; the key waits for an import again."""
    _require_external(record)
    response: ResponseMembers = {"KeyId": record["Arn"]}
    pending = {**record, "_symmetric_key": record["_pending_material"]} if record.get("_pending_material") else None
    wanted = request.get("KeyMaterialId")
    if pending is not None and wanted == material_id(pending):
        # It never became a material of the key, so another one may take its place.
        for member in members(record):
            member.pop("_pending_material", None)
            member["_imported"] = record["_imported"][:-1]
        return response | {"KeyMaterialId": wanted}
    current = material_id(record) if record.get("_symmetric_key") else None
    if wanted and wanted != current:
        raise KmsError("NotFoundException", f"Key material {wanted} is not the current material of {record['Arn']}.")
    for name in (*_MATERIALS, "ValidTo", "ExpirationModel"):
        record.pop(name, None)
    record |= {"KeyState": "PendingImport", "Enabled": False}
    if current:
        record["_last_material_id"] = current
    return response | ({"KeyMaterialId": current} if current else {})


def wait_for_import(replica: KeyRecord) -> None:
    """Take the material that the emulator copied: on AWS, the same has to be imported into a replica."""
    for name in _MATERIALS:
        replica.pop(name, None)
    replica |= {"KeyState": "PendingImport", "Enabled": False}


def pending_state(record: KeyRecord) -> str:
    """Return the state of a material that waits for a rotation."""
    waiting = all(member.get("_pending_material") for member in members(record))
    return "PENDING_ROTATION" if waiting else "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"


def next_material(record: KeyRecord) -> bytes:
    """Return the material to which a key of origin EXTERNAL rotates.

    Raises:
        KmsError: KMSInvalidStateException: none was imported for that, or not into every replica.
    """
    pending: bytes | None = record.get("_pending_material")
    if pending is None or pending_state(record) != "PENDING_ROTATION":
        raise KmsError(
            "KMSInvalidStateException", f"No available key material pending rotation for the key: {record['Arn']}."
        )
    for member in members(record):
        del member["_pending_material"]
    # A key is usable as long as all of its materials are: the first to expire counts.
    times = [moment for moment in (record.get("ValidTo"), record.pop("_pending_valid_to", None)) if moment is not None]
    _set_expiration(record, min(times, default=None))
    return pending


def members(record: KeyRecord) -> list[KeyRecord]:
    """Return the related multi-Region keys, this one among them; the key alone if it is of one Region."""
    return [member for _region, member in reach(KMS, "_mrk_members")(record)] or [record]


def _set_expiration(record: KeyRecord, valid_to: float | None) -> None:
    record["ExpirationModel"] = "KEY_MATERIAL_DOES_NOT_EXPIRE" if valid_to is None else _EXPIRES
    record.pop("ValidTo", None)
    if valid_to is not None:
        record["ValidTo"] = valid_to


def _require_external(record: KeyRecord) -> None:
    if record["Origin"] != "EXTERNAL":
        raise unsupported(f"{record['Arn']} origin is {record['Origin']} which is not valid for this operation.")


def _check_expiration(record: KeyRecord, request: Request) -> None:
    valid_to, model = request.get("ValidTo"), request.get("ExpirationModel", _EXPIRES)
    if valid_to is None and model == _EXPIRES:
        raise invalid(f"A validTo date must be set if the ExpirationModel is {_EXPIRES}")
    if valid_to is not None and model != _EXPIRES:
        raise invalid("ValidTo must be null when ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE.")
    if valid_to is not None and not time.time() < valid_to <= time.time() + LONGEST_SECONDS:
        raise invalid("ValidTo must be a future date and time, at most 365 days from now.")
    if request.get("ImportType") and record["KeySpec"] != SYMMETRIC:
        raise invalid("ImportType is for symmetric encryption keys only.")


def _unwrapped(record: KeyRecord, request: Request) -> bytes:
    if not record.get("_import_token") or blob_member(request, "ImportToken") != record["_import_token"]:
        raise KmsError("InvalidImportTokenException", "The import token is invalid for this key.")
    if time.time() > record["_import_token_expires"]:
        raise KmsError("ExpiredImportTokenException", "The import token has expired.")
    wrapped = blob_member(request, "EncryptedKeyMaterial")
    try:
        material: bytes = reach(KMS, "_unwrap_key_material")(
            record["_import_wrapping_key"], record["_import_algorithm"], wrapped
        )
    except Exception as refused:  # the emulator's unwrapping fails with whatever its library raises
        raise invalid_ciphertext() from refused
    return material


def _take(record: KeyRecord, trial: dict[str, Any], *, new: bool) -> bool | None:
    """Give the key its material; return whether it waits for a rotation instead, None for one of a rotation before."""
    primary = next((it for it in members(record) if it.get("_mrk_type") == "PRIMARY"), record)
    fingerprint, known = _fingerprint(trial), primary.get("_imported", [])
    if new and primary is not record:
        raise unsupported(f"{record['Arn']} is a replica: import new key material into the primary Region key first.")
    if known and fingerprint not in known and not new:
        raise KmsError("IncorrectKeyMaterialException", "It is not the key material that was imported before.")
    if primary is not record and primary.get("_pending_material") == trial.get("_symmetric_key", b""):
        record["_pending_material"] = trial["_symmetric_key"]
        return True
    if known and not new and fingerprint != known[-2 if primary.get("_pending_material") else -1]:
        # Of a rotation before, or waiting for one: it was given again and stays what it is.
        return fingerprint == known[-1] or None
    waits = bool(new and record.get("_symmetric_key") and fingerprint != _fingerprint(record))
    if waits:
        if record.get("_pending_material"):
            waiting = material_id({**record, "_symmetric_key": record["_pending_material"]})
            raise KmsError(
                "KMSInvalidStateException",
                f"New key material (id: {material_id(trial)}) cannot be imported into KMS key {record['Arn']}, "
                f"because another key material (id: {waiting}) is pending rotation.",
            )
        record["_pending_material"] = trial["_symmetric_key"]
    else:
        record |= {name: trial[name] for name in _MATERIALS if name in trial}
        if record["KeyState"] == "PendingImport":
            record |= {"KeyState": "Enabled", "Enabled": True}
    for member in members(record):
        member["_imported"] = list(dict.fromkeys([*known, fingerprint]))
    return waits


def _fingerprint(record: dict[str, Any]) -> str:
    material = next(record[name] for name in ("_symmetric_key", "_hmac_key", "_public_key_der") if record.get(name))
    return hashlib.sha256(record["KeyId"].encode() + material).hexdigest()
