"""Lambda functions of the SecretCipher construct.

Events and responses: ``schemas/secret_cipher.json``.
"""

from typing import Any

from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client, settings_and_context
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64
from kms_runtime.secrets.symmetric import decrypt_secret, encrypt_secret


@logged("SecretEncrypt", "secret_cipher/encrypt_request")
def encrypt(event: Event, _context: Any) -> Response:
    """Encrypt a small secret; refusals raise, and Lambda reports the class name as ``errorType``."""
    plaintext = decode_base64(event, "plaintext")
    made = encrypt_secret(plaintext, **_common(event))
    return {"ciphertext": encode_base64(made.ciphertext)} | _facts(made.key_arn, made.encryption_algorithm)


@logged("SecretDecrypt", "secret_cipher/decrypt_request")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt a small secret; refusals raise, and Lambda reports the class name as ``errorType``."""
    ciphertext = decode_base64(event, "ciphertext")
    found = decrypt_secret(ciphertext, **_common(event))
    return {"plaintext": encode_base64(found.plaintext)} | _facts(found.key_arn, found.encryption_algorithm)


def _common(event: Event) -> dict[str, Any]:
    settings, context = settings_and_context(event.get("encryptionContext", {}))
    return {"key_arn": settings.key_arn, "encryption_context": context, "kms_client": kms_client()}


def _facts(key_arn: str, algorithm: str) -> Response:
    return {"keyArn": key_arn, "encryptionAlgorithm": algorithm}
