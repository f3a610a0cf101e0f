"""ImportKeyMaterial as KMS does it: a key takes its first material again, and no other unless it can rotate to it.

The emulator unwraps for real; what it does not check is checked here.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_ImportKeyMaterial.html
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any

from kms_patterns.local.server.kms.keys import SYMMETRIC, KeyRecord
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response, invalid
from kms_patterns.local.server.kms.members import Request

LONGEST_SECONDS = 365 * 86400
_NEW = "NEW_KEY_MATERIAL"
_MATERIALS = ("_symmetric_key", "_hmac_key", "_public_key_der")

Store = Callable[[KeyRecord, bytes], Response | None]


def check_parameters(record: KeyRecord, request: Request) -> None:
    """Refuse to give out parameters under which this key's material cannot be wrapped; else leave it to the emulator.

    Raises:
        KmsError: UnsupportedOperationException.
    """
    algorithm = str(request.get("WrappingAlgorithm"))
    is_rsa = str(record["KeySpec"]).startswith("RSA_")
    raw = record["KeySpec"] == SYMMETRIC or str(record["KeySpec"]).startswith("HMAC_")
    if (is_rsa and algorithm.startswith("RSAES_")) or (raw and algorithm.startswith("RSA_AES_")):
        raise KmsError(
            "UnsupportedOperationException", f"{record['KeySpec']} key material cannot be wrapped by {algorithm}."
        )


def check_import(record: KeyRecord, request: Request) -> None:
    """Check the members of ImportKeyMaterial that the emulator takes as they are, then leave the import to it.

    Raises:
        KmsError: ValidationException.
    """
    valid_to, model = request.get("ValidTo"), request.get("ExpirationModel", "KEY_MATERIAL_EXPIRES")
    if valid_to is not None and model != "KEY_MATERIAL_EXPIRES":
        raise invalid("ValidTo must be null when ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE.")
    if valid_to is not None and not time.time() < float(valid_to) <= time.time() + LONGEST_SECONDS:
        raise invalid("ValidTo must be a future date and time, at most 365 days from now.")
    if request.get("ImportType") and record["KeySpec"] != SYMMETRIC:
        raise invalid("ImportType is for symmetric encryption keys only.")
    record["_import_type"] = request.get("ImportType")


def store(original: Store) -> Store:
    """Keep unwrapped material of the right form, if the key may take it."""

    def kept(record: KeyRecord, material: bytes) -> Response | None:
        new = record.pop("_import_type", None) == _NEW
        trial = {name: value for name, value in record.items() if name not in _MATERIALS}
        refused = original(trial, material)
        if refused is not None:
            return refused
        fingerprint = _fingerprint(trial)
        known = record.setdefault("_imported", [])
        if known and fingerprint not in known and not new:
            return error_response(KmsError("IncorrectKeyMaterialException", "It is not the material of before."))
        if known and new and record.get("_symmetric_key"):
            record |= {"_pending_material": material, "_imported": [*known, fingerprint]}
            return None
        record |= trial | {"_imported": list(dict.fromkeys([*known, fingerprint]))}
        return None

    return kept


def next_material(record: KeyRecord) -> bytes:
    """Return the material to which a key of origin EXTERNAL rotates.

    Raises:
        KmsError: KMSInvalidStateException: none was imported for that.
    """
    pending: bytes | None = record.pop("_pending_material", None)
    if pending is None:
        raise KmsError("KMSInvalidStateException", f"{record['Arn']} has no key material that is pending rotation.")
    return pending


def _fingerprint(record: dict[str, Any]) -> str:
    material = next(record[name] for name in _MATERIALS if record.get(name))
    return hashlib.sha256(record["KeyId"].encode() + material).hexdigest()
