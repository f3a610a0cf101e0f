"""Key records of the emulator: found by id, ARN, alias or ciphertext, and checked for use.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from kms_patterns.local.server.emulator.emulator import KMS, RESPONSES, reach
from kms_patterns.local.server.kms import ciphertext
from kms_patterns.local.server.kms.kms_errors import KmsError, incorrect_key, invalid_ciphertext

KeyRecord = dict[str, Any]

SYMMETRIC = "SYMMETRIC_DEFAULT"
_expired: list[str] = []
_UNUSABLE = {
    "PendingDeletion": ("KMSInvalidStateException", "{arn} is pending deletion."),
    "PendingReplicaDeletion": ("KMSInvalidStateException", "{arn} is pending deletion."),
    "PendingImport": ("KMSInvalidStateException", "{arn} is pending import."),
    "Disabled": ("DisabledException", "{arn} is disabled."),
}


def find_key(reference: str) -> KeyRecord | None:
    """Return the key that an id, key ARN, alias name or alias ARN names in this account and Region."""
    record: KeyRecord | None = reach(KMS, "_resolve_key")(reference)
    if record is not None and record.get("ValidTo") is not None and record["ValidTo"] <= time.time():
        _expire(record)
    return record


def _expire(record: KeyRecord) -> None:
    # Imported key material goes when its time has come; the key waits for a new import.
    for name in ("_symmetric_key", "_hmac_key", "_private_key", "_public_key_der", "_older_materials", "ValidTo"):
        record.pop(name, None)
    record |= {"KeyState": "PendingImport", "Enabled": False}
    _expired.append(str(record["Arn"]))


def take_expired() -> list[str]:
    """Return the keys whose imported material expired since this was last asked."""
    found = [*_expired]
    _expired.clear()
    return found


def key_of_ciphertext(raw: bytes) -> KeyRecord | None:
    """Return the key that a ciphertext blob of ours says it was made under."""
    blob = ciphertext.parse(raw)
    return find_key(blob.key_id) if blob else None


def require_usable(record: Mapping[str, Any]) -> None:
    """Refuse a key that is disabled or on its way in or out."""
    if record["KeyState"] in _UNUSABLE:
        code, message = _UNUSABLE[record["KeyState"]]
        raise KmsError(code, message.format(arn=record["Arn"]))


def require_usage(record: Mapping[str, Any], operation: str, usage: str, *, symmetric: bool = False) -> None:
    """Refuse a key that is for another usage, or with ``symmetric`` one that is not a symmetric key."""
    if record["KeyUsage"] != usage or (symmetric and record["KeySpec"] != SYMMETRIC):
        raise KmsError(
            "InvalidKeyUsageException",
            f"{record['Arn']} key usage is {record['KeyUsage']} which is not valid for {operation}.",
        )


def material_id(record: Mapping[str, Any]) -> str:
    """Return the id of the current key material that KMS reports, in hexadecimal."""
    found: str = reach(KMS, "_key_material_id")(record)
    return found


def material_of_blob(record: Mapping[str, Any], raw: bytes) -> str:
    """Return the id of the key material under which a blob was made."""
    blob = ciphertext.parse(raw)
    return next((full for full in _materials(record) if blob and _short(full) == blob.material_id), material_id(record))


def encrypt_under(record: Mapping[str, Any], plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """Encrypt under the current key material and return the blob."""
    name = _short(material_id(record))
    return ciphertext.encrypt(record["KeyId"], record["_symmetric_key"], name, plaintext, context)


def decrypt_under(record: Mapping[str, Any], blob: ciphertext.Blob, context: Mapping[str, str]) -> bytes:
    """Decrypt a blob under the key material that it names.

    Raises:
        KmsError: IncorrectKeyException for another key's blob, InvalidCiphertextException for an altered one.
    """
    if blob.key_id != record["KeyId"] and find_key(blob.key_id):
        raise incorrect_key()
    materials = {_short(full): material for full, material in _materials(record).items()}
    if blob.key_id != record["KeyId"] or blob.material_id not in materials:
        raise invalid_ciphertext()
    return ciphertext.decrypt(blob, materials[blob.material_id], context)


def _materials(record: Mapping[str, Any]) -> dict[str, bytes]:
    all_of_them = [record["_symmetric_key"], *record.get("_older_materials", ())]
    return {material_id({**record, "_symmetric_key": material}): material for material in all_of_them}


def _short(full_id: str) -> bytes:
    return bytes.fromhex(full_id)[: ciphertext.MATERIAL_ID_BYTES]


# What the key of each service protects, in the words of its description.
MANAGED = {
    "dynamodb": "DynamoDB data", "s3": "S3 objects", "secretsmanager": "Secrets Manager data", "sns": "SNS data",
    "sqs": "SQS messages", "ssm": "SSM parameters",
}  # fmt: skip


def managed_key(service: str) -> KeyRecord:
    """Return the AWS managed key of a service, such as ``s3``, made on first use as AWS does."""
    return find_key(f"alias/aws/{service}") or keep_managed_key(new_managed_key(service))


def new_managed_key(service: str) -> KeyRecord:
    """Return a key for a service that no request finds before ``keep_managed_key``."""
    region, account = reach(RESPONSES, "get_region")(), reach(RESPONSES, "get_account_id")()
    description = f"Default key that protects my {MANAGED[service]} when no other key is defined"
    payload = {"Description": description, "Policy": _managed_policy(service, region, account)}
    _status, _headers, body = reach(KMS, "_create_key")(payload)
    key_id = json.loads(body)["KeyMetadata"]["KeyId"]
    record: KeyRecord = reach(KMS, "_keys").pop(key_id)
    # AWS rotates its managed keys every year.
    record |= {"_managed": f"alias/aws/{service}", "KeyRotationEnabled": True, "RotationPeriodInDays": 365}
    return record


def keep_managed_key(record: KeyRecord) -> KeyRecord:
    """Give a new managed key its alias; return it, or the key that another request gave the alias meanwhile."""
    keys = reach(KMS, "_keys")
    keys[record["KeyId"]] = record
    kept = reach(KMS, "_aliases").setdefault(reach(KMS, "_alias_arn")(record["_managed"]), record["KeyId"])
    if kept != record["KeyId"]:
        del keys[record["KeyId"]]
    found: KeyRecord = keys[kept]
    return found


def _managed_policy(service: str, region: str, account: str) -> str:
    use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"]
    through = {"kms:ViaService": f"{service}.{region}.amazonaws.com", "kms:CallerAccount": account}
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": use, "Resource": "*",
         "Condition": {"StringEquals": through}},
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
         "Action": ["kms:Describe*", "kms:Get*", "kms:List*"], "Resource": "*"},
    ]  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Id": f"auto-{service}-2", "Statement": statements})
