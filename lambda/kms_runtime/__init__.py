"""The data plane of AWS KMS keys: envelope encryption, small secrets, and the Lambda handlers that serve them.

Depends on ``cryptography`` only; bring your own boto3 client. Handlers need ``boto3`` and ``fastjsonschema``.
"""

from kms_runtime.envelope import decrypt, decrypt_bytes, encrypt, encrypt_bytes
from kms_runtime.errors import KmsRuntimeError
from kms_runtime.keyring import KmsKeyring
from kms_runtime.result import MessageResult
from kms_runtime.secrets import decrypt_secret, encrypt_secret

__all__ = [
    "KmsKeyring",
    "KmsRuntimeError",
    "MessageResult",
    "decrypt",
    "decrypt_bytes",
    "decrypt_secret",
    "encrypt",
    "encrypt_bytes",
    "encrypt_secret",
]
