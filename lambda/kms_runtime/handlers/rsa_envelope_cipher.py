"""Lambda function of the RsaEnvelopeCipher construct: decrypts what outsiders encrypted with the public key.

Events and responses: ``schemas/envelope_cipher.json``, those of the decrypt function.
"""

from typing import Any, cast

from kms_runtime.handlers.envelope_requests import decrypted_key
from kms_runtime.handlers.envelope_work import EnvelopeWork
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import Settings, kms_client, required_variable
from kms_runtime.handlers.validation import Event, Response
from kms_runtime.keyrings.kms_rsa import EncryptionAlgorithm, KmsRsaKeyring
from kms_runtime.s3 import decrypt_object


def _keyring(settings: Settings) -> KmsRsaKeyring:
    algorithm = cast("EncryptionAlgorithm", required_variable("ENCRYPTION_ALGORITHM"))
    return KmsRsaKeyring(settings.key_arn, kms_client=kms_client(), encryption_algorithm=algorithm)


_opening = EnvelopeWork(decrypt_object, decrypted_key, ranges=True, keyring=_keyring)


@logged("RsaEnvelopeDecrypt")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt S3 objects; refusals raise, and Lambda reports the class name as ``errorType``."""
    return _opening.run(event)
