"""Encrypt, Decrypt and ReEncrypt under symmetric and RSA keys, with the checks of KMS.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
"""

from collections.abc import Mapping

from kms_patterns.local.server.kms import ciphertext
from kms_patterns.local.server.kms.keys import (
    SYMMETRIC,
    KeyRecord,
    key_of_ciphertext,
    material_of_blob,
    require_usable,
    require_usage,
    seal,
    unseal,
)
from kms_patterns.local.server.kms.kms_errors import KmsError, incorrect_key, invalid_ciphertext
from kms_patterns.local.server.kms.members import (
    Answer,
    Request,
    blob_member,
    encryption_context,
    refuse_unsupported,
    stop_dry_run,
    to_base64,
)
from kms_patterns.local.server.kms.operations.rsa_encryption import rsa_decrypt, rsa_encrypt


def encrypt(record: KeyRecord, request: Request) -> Answer:
    """Answer Encrypt: 1 to 4096 bytes, under RSA keys fewer."""
    plaintext = blob_member(request, "Plaintext")
    algorithm = _algorithm(request, "EncryptionAlgorithm")
    _require_ready(record, "Encrypt")
    sealed = _seal(record, plaintext, algorithm, encryption_context(request))
    stop_dry_run(request)
    return {"KeyId": record["Arn"], "CiphertextBlob": to_base64(sealed), "EncryptionAlgorithm": algorithm}


def decrypt(record: KeyRecord, request: Request) -> Answer:
    """Answer Decrypt."""
    refuse_unsupported(request)
    raw = blob_member(request, "CiphertextBlob")
    algorithm = _algorithm(request, "EncryptionAlgorithm")
    _require_source(record, raw, "Decrypt")
    plaintext = _open(record, raw, algorithm, encryption_context(request))
    stop_dry_run(request)
    answer = {"KeyId": record["Arn"], "Plaintext": to_base64(plaintext), "EncryptionAlgorithm": algorithm}
    return answer | _material("KeyMaterialId", record, raw)


def re_encrypt(source: KeyRecord, destination: KeyRecord, request: Request) -> Answer:
    """Answer ReEncrypt; the plaintext does not leave KMS."""
    raw = blob_member(request, "CiphertextBlob")
    opening = _algorithm(request, "SourceEncryptionAlgorithm")
    sealing = _algorithm(request, "DestinationEncryptionAlgorithm")
    refuse_unsupported(request)
    _require_source(source, raw, "ReEncrypt")
    _require_ready(destination, "ReEncrypt")
    plaintext = _open(source, raw, opening, encryption_context(request, "SourceEncryptionContext"))
    sealed = _seal(destination, plaintext, sealing, encryption_context(request, "DestinationEncryptionContext"))
    stop_dry_run(request)
    answer = {
        "CiphertextBlob": to_base64(sealed),
        "SourceKeyId": source["Arn"],
        "KeyId": destination["Arn"],
        "SourceEncryptionAlgorithm": opening,
        "DestinationEncryptionAlgorithm": sealing,
    }
    materials = _material("SourceKeyMaterialId", source, raw) | _material(
        "DestinationKeyMaterialId", destination, sealed
    )
    return answer | materials


def _seal(record: KeyRecord, plaintext: bytes, algorithm: str, context: Mapping[str, str]) -> bytes:
    if record["KeySpec"] != SYMMETRIC:
        return rsa_encrypt(record, plaintext, algorithm, context)
    _require_symmetric(record, algorithm)
    return seal(record, plaintext, context)


def _open(record: KeyRecord, raw: bytes, algorithm: str, context: Mapping[str, str]) -> bytes:
    if record["KeySpec"] != SYMMETRIC:
        return rsa_decrypt(record, raw, algorithm, context)
    _require_symmetric(record, algorithm)
    blob = ciphertext.parse(raw)
    if blob is None:
        raise invalid_ciphertext()
    return unseal(record, blob, context)


def _material(member: str, record: KeyRecord, raw: bytes) -> Answer:
    return {member: material_of_blob(record, raw)} if record["KeySpec"] == SYMMETRIC else {}


def _algorithm(request: Request, member: str) -> str:
    return str(request.get(member) or SYMMETRIC)


def _require_ready(record: KeyRecord, operation: str) -> None:
    require_usage(record, operation, "ENCRYPT_DECRYPT")
    require_usable(record)


def _require_source(record: KeyRecord, raw: bytes, operation: str) -> None:
    if record["KeyUsage"] != "ENCRYPT_DECRYPT" and key_of_ciphertext(raw) is not None:
        raise incorrect_key()
    _require_ready(record, operation)


def _require_symmetric(record: KeyRecord, algorithm: str) -> None:
    if algorithm != SYMMETRIC:
        message = f"Algorithm {algorithm} is incompatible with key spec {record['KeySpec']}."
        raise KmsError("InvalidKeyUsageException", message)
