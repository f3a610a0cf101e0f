"""The data plane of AWS KMS keys: envelope encryption, small secrets, and the Lambda handlers that serve them.

Depends on ``cryptography`` only; bring your own boto3 client. Handlers need ``boto3`` and ``fastjsonschema``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kms_runtime.envelope.decrypting import decrypt, decrypt_bytes
from kms_runtime.envelope.encrypting import encrypt, encrypt_bytes
from kms_runtime.errors import KmsRuntimeError
from kms_runtime.keyrings.kms import KmsKeyring
from kms_runtime.message import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CommitmentPolicy,
)
from kms_runtime.message.header import MessageResult
from kms_runtime.secrets.symmetric import decrypt_secret, encrypt_secret

if TYPE_CHECKING:
    from kms_runtime.envelope.ranged import decrypt_range
    from kms_runtime.keyrings.caching import CachingKeyring
    from kms_runtime.keyrings.ecdh import KmsEcdhKeyring, RawEcdhKeyring
    from kms_runtime.keyrings.keyring import MultiKeyring
    from kms_runtime.keyrings.kms import KmsDiscoveryKeyring
    from kms_runtime.keyrings.kms_hpke import KmsHpkeKeyring
    from kms_runtime.keyrings.kms_rsa import KmsRsaKeyring
    from kms_runtime.keyrings.raw import RawAesKeyring, RawRsaKeyring
    from kms_runtime.public_keys.public_key import PublicKey
    from kms_runtime.public_keys.remote_public_key import RemotePublicKey
    from kms_runtime.secrets.rsa_secrets import decrypt_rsa_secret, encrypt_rsa_secret, encrypt_with_public_key

__all__ = [
    "AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
    "AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384",
    "CachingKeyring",
    "CommitmentPolicy",
    "KmsDiscoveryKeyring",
    "KmsEcdhKeyring",
    "KmsHpkeKeyring",
    "KmsKeyring",
    "KmsRsaKeyring",
    "KmsRuntimeError",
    "MessageResult",
    "MultiKeyring",
    "PublicKey",
    "RawAesKeyring",
    "RawEcdhKeyring",
    "RawRsaKeyring",
    "RemotePublicKey",
    "decrypt",
    "decrypt_bytes",
    "decrypt_range",
    "decrypt_rsa_secret",
    "decrypt_secret",
    "encrypt",
    "encrypt_bytes",
    "encrypt_rsa_secret",
    "encrypt_secret",
    "encrypt_with_public_key",
]

# What few functions use is imported when it is first asked for: a cold start does not wait for it.
_LATER = {
    "CachingKeyring": "kms_runtime.keyrings.caching",
    "KmsDiscoveryKeyring": "kms_runtime.keyrings.kms",
    "KmsEcdhKeyring": "kms_runtime.keyrings.ecdh",
    "KmsHpkeKeyring": "kms_runtime.keyrings.kms_hpke",
    "KmsRsaKeyring": "kms_runtime.keyrings.kms_rsa",
    "MultiKeyring": "kms_runtime.keyrings.keyring",
    "RawAesKeyring": "kms_runtime.keyrings.raw",
    "RawEcdhKeyring": "kms_runtime.keyrings.ecdh",
    "RawRsaKeyring": "kms_runtime.keyrings.raw",
    "PublicKey": "kms_runtime.public_keys",
    "RemotePublicKey": "kms_runtime.public_keys.remote_public_key",
    "decrypt_range": "kms_runtime.envelope.ranged",
    "decrypt_rsa_secret": "kms_runtime.secrets.rsa_secrets",
    "encrypt_rsa_secret": "kms_runtime.secrets.rsa_secrets",
    "encrypt_with_public_key": "kms_runtime.secrets.rsa_secrets",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
