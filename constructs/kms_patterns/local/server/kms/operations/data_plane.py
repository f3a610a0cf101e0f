"""Encrypt, Decrypt and ReEncrypt under symmetric and RSA keys, with the checks of KMS.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
"""

from collections.abc import Mapping

from kms_patterns.local.server.kms import ciphertext
from kms_patterns.local.server.kms.keys import (
    SYMMETRIC,
    KeyRecord,
    decrypt_under,
    encrypt_under,
    key_of_ciphertext,
    material_of_blob,
    require_usable,
    require_usage,
)
from kms_patterns.local.server.kms.kms_errors import KmsError, incorrect_key, invalid_ciphertext
from kms_patterns.local.server.kms.members import (
    Request,
    ResponseMembers,
    blob_member,
    encryption_context,
    refuse_unsupported,
    stop_dry_run,
    to_base64,
)
from kms_patterns.local.server.kms.operations.rsa_encryption import rsa_decrypt, rsa_encrypt


def encrypt(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to Encrypt: 1 to 4096 bytes, under RSA keys fewer."""
    plaintext = blob_member(request, "Plaintext")
    algorithm = _algorithm(request, "EncryptionAlgorithm")
    _require_ready(record, "Encrypt")
    encrypted = _encrypted(record, plaintext, algorithm, encryption_context(request))
    stop_dry_run(request)
    return {"KeyId": record["Arn"], "CiphertextBlob": to_base64(encrypted), "EncryptionAlgorithm": algorithm}


def decrypt(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to Decrypt."""
    refuse_unsupported(request)
    raw = blob_member(request, "CiphertextBlob")
    algorithm = _algorithm(request, "EncryptionAlgorithm")
    _require_source(record, raw, "Decrypt")
    plaintext = _decrypted(record, raw, algorithm, encryption_context(request))
    stop_dry_run(request)
    response = {"KeyId": record["Arn"], "Plaintext": to_base64(plaintext), "EncryptionAlgorithm": algorithm}
    return response | _material("KeyMaterialId", record, raw)


def re_encrypt(source: KeyRecord, destination: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ReEncrypt; the plaintext does not leave KMS."""
    raw = blob_member(request, "CiphertextBlob")
    source_algorithm = _algorithm(request, "SourceEncryptionAlgorithm")
    algorithm = _algorithm(request, "DestinationEncryptionAlgorithm")
    refuse_unsupported(request)
    _require_source(source, raw, "ReEncrypt")
    _require_ready(destination, "ReEncrypt")
    plaintext = _decrypted(source, raw, source_algorithm, encryption_context(request, "SourceEncryptionContext"))
    context = encryption_context(request, "DestinationEncryptionContext")
    encrypted = _encrypted(destination, plaintext, algorithm, context)
    stop_dry_run(request)
    response = {
        "CiphertextBlob": to_base64(encrypted),
        "SourceKeyId": source["Arn"],
        "KeyId": destination["Arn"],
        "SourceEncryptionAlgorithm": source_algorithm,
        "DestinationEncryptionAlgorithm": algorithm,
    }
    materials = _material("SourceKeyMaterialId", source, raw) | _material(
        "DestinationKeyMaterialId", destination, encrypted
    )
    return response | materials


def _encrypted(record: KeyRecord, plaintext: bytes, algorithm: str, context: Mapping[str, str]) -> bytes:
    if record["KeySpec"] != SYMMETRIC:
        return rsa_encrypt(record, plaintext, algorithm, context)
    _require_symmetric(record, algorithm)
    return encrypt_under(record, plaintext, context)


def _decrypted(record: KeyRecord, raw: bytes, algorithm: str, context: Mapping[str, str]) -> bytes:
    if record["KeySpec"] != SYMMETRIC:
        return rsa_decrypt(record, raw, algorithm, context)
    _require_symmetric(record, algorithm)
    blob = ciphertext.parse(raw)
    if blob is None:
        raise invalid_ciphertext()
    return decrypt_under(record, blob, context)


def _material(member: str, record: KeyRecord, raw: bytes) -> ResponseMembers:
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
