"""Encrypt, Decrypt, ReEncrypt, GenerateMac and VerifyMac, with the checks of KMS.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
"""

import hmac
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP

from kms_patterns.local.server.kms import ciphertext
from kms_patterns.local.server.kms.key_records import (
    SYMMETRIC,
    KeyRecord,
    decrypt_under,
    encrypt_under,
    key_of_ciphertext,
    material_of_blob,
    require_usable,
    require_usage,
)
from kms_patterns.local.server.kms.kms_call import (
    Request,
    ResponseMembers,
    blob_member,
    encryption_context,
    refuse_unsupported,
    stop_dry_run,
    to_base64,
)
from kms_patterns.local.server.kms.kms_errors import KmsError, incorrect_key, invalid, invalid_ciphertext


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


_DIGESTS: Mapping[str, type[hashes.HashAlgorithm]] = {
    "RSAES_OAEP_SHA_1": hashes.SHA1,
    "RSAES_OAEP_SHA_256": hashes.SHA256,
}


def rsa_encrypt(record: Mapping[str, Any], plaintext: bytes, algorithm: str, context: Mapping[str, str]) -> bytes:
    """Encrypt under the public key.

    Raises:
        KmsError: The algorithm is for other keys, the plaintext is too long for it, or there is a context.
    """
    padding = _padding(record, algorithm, context)
    most = record["_private_key"].key_size // 8 - 2 * _DIGESTS[algorithm]().digest_size - 2
    if len(plaintext) > most:
        raise invalid(
            f"Algorithm {algorithm} and key spec {record['KeySpec']} cannot encrypt data larger than {most} bytes."
        )
    encrypted: bytes = record["_private_key"].public_key().encrypt(plaintext, padding)
    return encrypted


def rsa_decrypt(record: Mapping[str, Any], blob: bytes, algorithm: str, context: Mapping[str, str]) -> bytes:
    """Decrypt with the private key.

    Raises:
        KmsError: InvalidCiphertextException, for another algorithm as well; ValidationException: a context.
    """
    if algorithm not in _DIGESTS:
        raise invalid_ciphertext()
    try:
        decrypted: bytes = record["_private_key"].decrypt(blob, _padding(record, algorithm, context))
    except ValueError as refused:
        raise invalid_ciphertext() from refused
    return decrypted


def _padding(record: Mapping[str, Any], algorithm: str, context: Mapping[str, str]) -> OAEP:
    if context:
        raise invalid("EncryptionContext is not supported with asymmetric keys.")
    if algorithm not in _DIGESTS:
        message = f"Algorithm {algorithm} is incompatible with key spec {record['KeySpec']}."
        raise KmsError("InvalidKeyUsageException", message)
    digest = _DIGESTS[algorithm]
    return OAEP(mgf=MGF1(digest()), algorithm=digest(), label=None)


_MAC_DIGESTS: Mapping[str, str] = {f"HMAC_SHA_{bits}": f"sha{bits}" for bits in (224, 256, 384, 512)}


def generate_mac(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to GenerateMac."""
    algorithm, mac = _computed(record, request, "GenerateMac")
    stop_dry_run(request)
    return {"KeyId": record["Arn"], "Mac": to_base64(mac), "MacAlgorithm": algorithm}


def verify_mac(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to VerifyMac."""
    given = blob_member(request, "Mac")
    algorithm, mac = _computed(record, request, "VerifyMac")
    if not hmac.compare_digest(mac, given):
        raise KmsError("KMSInvalidMacException", "")
    stop_dry_run(request)
    return {"KeyId": record["Arn"], "MacValid": True, "MacAlgorithm": algorithm}


def _computed(record: KeyRecord, request: Request, operation: str) -> tuple[str, bytes]:
    message = blob_member(request, "Message")
    algorithm: str = request["MacAlgorithm"]
    require_usage(record, operation, "GENERATE_VERIFY_MAC")
    if algorithm not in record["MacAlgorithms"]:
        message_ = f"Algorithm {algorithm} is incompatible with key spec {record['KeySpec']}."
        raise KmsError("InvalidKeyUsageException", message_)
    require_usable(record)
    return algorithm, hmac.new(record["_hmac_key"], message, _MAC_DIGESTS[algorithm]).digest()
