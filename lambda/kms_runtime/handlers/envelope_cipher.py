"""Lambda functions of the EnvelopeCipher construct.

Events and answers: ``envelope_request.json``, ``s3_notification.json``, ``sqs_batch.json`` and others in ``schemas``.
"""

from typing import Any

from kms_runtime.handlers.envelope_inline import DECRYPT_INLINE, ENCRYPT_INLINE
from kms_runtime.handlers.envelope_range import read_range
from kms_runtime.handlers.envelope_requests import decrypted_key, encrypted_key
from kms_runtime.handlers.envelope_work import EnvelopeWork
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.validation import Answer, Event
from kms_runtime.s3 import decrypt_object, encrypt_object

_encryption = EnvelopeWork(encrypt_object, encrypted_key, inline=ENCRYPT_INLINE)
_decryption = EnvelopeWork(decrypt_object, decrypted_key, read_range, inline=DECRYPT_INLINE)


@logged("EnvelopeEncrypt")
def encrypt(event: Event, _context: Any) -> Answer:
    """Encrypt S3 objects or a small payload; refusals raise, and Lambda reports the class name as ``errorType``."""
    return _encryption.run(event)


@logged("EnvelopeDecrypt")
def decrypt(event: Event, _context: Any) -> Answer:
    """Decrypt S3 objects or a small message; refusals raise, and Lambda reports the class name as ``errorType``."""
    return _decryption.run(event)
