"""Lambda functions of the SecretCipher construct on an RSA key.

Events and responses: ``schemas/rsa_secret_cipher.json``.
"""

from typing import Any

from kms_runtime.errors import InvalidRequest
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client, required_variable
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64, validator
from kms_runtime.secrets.rsa_secrets import decrypt_rsa_secret, encrypt_rsa_secret

_encrypt_request = validator("rsa_secret_cipher/encrypt_request")
_decrypt_request = validator("rsa_secret_cipher/decrypt_request")


@logged("RsaSecretEncrypt")
def encrypt(event: Event, _context: Any) -> Response:
    """Encrypt a small secret; refusals raise, and Lambda reports the class name as ``errorType``."""
    _refuse_context(event)
    plaintext = decode_base64(_encrypt_request(event), "plaintext")
    made = encrypt_rsa_secret(plaintext, **_common())
    return {"ciphertext": encode_base64(made.ciphertext)} | _facts(made.key_arn, made.encryption_algorithm)


@logged("RsaSecretDecrypt")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt a small secret; refusals raise, and Lambda reports the class name as ``errorType``."""
    _refuse_context(event)
    ciphertext = decode_base64(_decrypt_request(event), "ciphertext")
    found = decrypt_rsa_secret(ciphertext, **_common())
    return {"plaintext": encode_base64(found.plaintext)} | _facts(found.key_arn, found.encryption_algorithm)


def _common() -> dict[str, Any]:
    return {
        "key_arn": required_variable("KEY_ARN"),
        "key_spec": required_variable("KEY_SPEC"),
        "algorithm": required_variable("ENCRYPTION_ALGORITHM"),
        "kms_client": kms_client(),
    }


def _refuse_context(event: object) -> None:
    # Dropped silently it would be believed to bind the ciphertext.
    if isinstance(event, dict) and "encryptionContext" in event:
        raise InvalidRequest(
            "event.encryptionContext: RSA keys have no encryption context; leave it out, or use a SecretCipher with a "
            "symmetric key, or the RsaEnvelopeCipher, which binds one to the data key"
        )


def _facts(key_arn: str, algorithm: str) -> Response:
    return {"keyArn": key_arn, "encryptionAlgorithm": algorithm}
