"""Encrypt, Decrypt and ReEncrypt under symmetric keys, with the checks of KMS.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
"""

from collections.abc import Callable, Mapping

from kms_patterns.local.server import ciphertext, data_keys
from kms_patterns.local.server.keys import (
    SYMMETRIC,
    KeyRecord,
    material_id,
    require_usable,
    require_usage,
    seal,
    unseal,
)
from kms_patterns.local.server.kms_errors import KmsError, invalid_ciphertext
from kms_patterns.local.server.members import (
    Answer,
    Request,
    blob_member,
    encryption_context,
    refuse_recipient,
    stop_dry_run,
    to_base64,
)

MAX_PLAINTEXT = 4096
MAX_CIPHERTEXT = 6144


def encrypt(record: KeyRecord, request: Request) -> Answer:
    """Answer Encrypt: 1 to 4096 bytes."""
    plaintext = blob_member(request, "Plaintext", MAX_PLAINTEXT)
    _require_ready(record, request.get("EncryptionAlgorithm"), "Encrypt")
    stop_dry_run(request)
    sealed = seal(record, plaintext, encryption_context(request))
    return {"KeyId": record["Arn"], "CiphertextBlob": to_base64(sealed), "EncryptionAlgorithm": SYMMETRIC}


def decrypt(record: KeyRecord, request: Request) -> Answer:
    """Answer Decrypt."""
    refuse_recipient(request)
    raw = blob_member(request, "CiphertextBlob", MAX_CIPHERTEXT)
    _require_ready(record, request.get("EncryptionAlgorithm"), "Decrypt")
    plaintext = _open(record, raw, encryption_context(request))
    stop_dry_run(request)
    return {
        "KeyId": record["Arn"],
        "Plaintext": to_base64(plaintext),
        "EncryptionAlgorithm": SYMMETRIC,
        "KeyMaterialId": material_id(record),
    }


def re_encrypt(source: KeyRecord, destination: KeyRecord, request: Request) -> Answer:
    """Answer ReEncrypt; the plaintext does not leave KMS."""
    raw = blob_member(request, "CiphertextBlob", MAX_CIPHERTEXT)
    _require_ready(source, request.get("SourceEncryptionAlgorithm"), "ReEncrypt")
    _require_ready(destination, request.get("DestinationEncryptionAlgorithm"), "ReEncrypt")
    plaintext = _open(source, raw, encryption_context(request, "SourceEncryptionContext"))
    stop_dry_run(request)
    sealed = seal(destination, plaintext, encryption_context(request, "DestinationEncryptionContext"))
    return {
        "CiphertextBlob": to_base64(sealed),
        "SourceKeyId": source["Arn"],
        "KeyId": destination["Arn"],
        "SourceEncryptionAlgorithm": SYMMETRIC,
        "DestinationEncryptionAlgorithm": SYMMETRIC,
        "SourceKeyMaterialId": material_id(source),
        "DestinationKeyMaterialId": material_id(destination),
    }


def _open(record: KeyRecord, raw: bytes, context: Mapping[str, str]) -> bytes:
    blob = ciphertext.parse(raw)
    if blob is None:
        raise invalid_ciphertext()
    return unseal(record, blob, context)


def _require_ready(record: KeyRecord, algorithm: object, operation: str) -> None:
    require_usage(record, operation, symmetric=True)
    require_usable(record)
    if algorithm not in (None, SYMMETRIC):
        message = f"Algorithm {algorithm} is incompatible with key spec {record['KeySpec']}."
        raise KmsError("InvalidKeyUsageException", message)


OPERATIONS: Mapping[str, Callable[[KeyRecord, Request], Answer]] = {
    "Encrypt": encrypt,
    "Decrypt": decrypt,
    "GenerateDataKey": data_keys.generate_data_key,
    "GenerateDataKeyWithoutPlaintext": data_keys.generate_data_key_without_plaintext,
    "GenerateDataKeyPair": data_keys.generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": data_keys.generate_data_key_pair_without_plaintext,
}
