"""Lambda functions of the EnvelopeCipher construct.

Events and responses: ``schemas/envelope_cipher.json``.
"""

from typing import Any

from kms_runtime.handlers.envelope_requests import DECRYPT_INLINE, ENCRYPT_INLINE, decrypted_key, encrypted_key
from kms_runtime.handlers.envelope_work import EnvelopeWork
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.validation import Event, Response
from kms_runtime.s3 import decrypt_object, encrypt_object

_encryption = EnvelopeWork(encrypt_object, encrypted_key, inline=ENCRYPT_INLINE)
_decryption = EnvelopeWork(decrypt_object, decrypted_key, ranges=True, inline=DECRYPT_INLINE)


@logged("EnvelopeEncrypt")
def encrypt(event: Event, _context: Any) -> Response:
    """Encrypt S3 objects or a small payload; refusals raise, and Lambda reports the class name as ``errorType``."""
    return _encryption.run(event)


@logged("EnvelopeDecrypt")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt S3 objects or a small message; refusals raise, and Lambda reports the class name as ``errorType``."""
    return _decryption.run(event)
