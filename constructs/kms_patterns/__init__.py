"""AWS KMS keys whose least privilege is a test result: CDK constructs, and an embedded AWS to prove them on.

Names are loaded on first use, so that the command line and the embedded AWS start without the CDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kms_patterns.keys.encryption_key import EncryptionKey
    from kms_patterns.keys.imported.imported_types import ImportedKey
    from kms_patterns.keys.key_access import KeyAccess
    from kms_patterns.keys.key_agreement_key import KeyAgreementKey
    from kms_patterns.keys.key_lifecycle import KeyLifecycle
    from kms_patterns.keys.mac_key import MacKey
    from kms_patterns.keys.replica_key import ReplicaKey
    from kms_patterns.keys.rsa_encryption_key import RsaEncryptionKey
    from kms_patterns.keys.signing_key import SigningKey
    from kms_patterns.patterns.code_signer import CodeSigner
    from kms_patterns.patterns.data_key_pairs import DataKeyPairs
    from kms_patterns.patterns.encrypted_bucket import EncryptedBucket
    from kms_patterns.patterns.envelope_cipher import EnvelopeCipher
    from kms_patterns.patterns.key_agreement import KeyAgreement
    from kms_patterns.patterns.key_grant import KeyGrant
    from kms_patterns.patterns.mac_token_issuer import MacTokenIssuer
    from kms_patterns.patterns.message_authenticator import MessageAuthenticator
    from kms_patterns.patterns.public_key_export import PublicKeyExport
    from kms_patterns.patterns.re_encryptor import ReEncryptor
    from kms_patterns.patterns.rsa_envelope_cipher import RsaEnvelopeCipher
    from kms_patterns.patterns.secret_cipher import SecretCipher
    from kms_patterns.patterns.signer import Signer
    from kms_patterns.patterns.token_issuer import TokenIssuer

__all__ = [
    "CodeSigner",
    "DataKeyPairs",
    "EncryptedBucket",
    "EncryptionKey",
    "EnvelopeCipher",
    "ImportedKey",
    "KeyAccess",
    "KeyAgreement",
    "KeyAgreementKey",
    "KeyGrant",
    "KeyLifecycle",
    "MacKey",
    "MacTokenIssuer",
    "MessageAuthenticator",
    "PublicKeyExport",
    "ReEncryptor",
    "ReplicaKey",
    "RsaEncryptionKey",
    "RsaEnvelopeCipher",
    "SecretCipher",
    "Signer",
    "SigningKey",
    "TokenIssuer",
]

_HOMES = {
    "CodeSigner": "kms_patterns.patterns.code_signer",
    "KeyGrant": "kms_patterns.patterns.key_grant",
    "ImportedKey": "kms_patterns.keys.imported.imported_types",
    "ReEncryptor": "kms_patterns.patterns.re_encryptor",
    "ReplicaKey": "kms_patterns.keys.replica_key",
    "DataKeyPairs": "kms_patterns.patterns.data_key_pairs",
    "EncryptedBucket": "kms_patterns.patterns.encrypted_bucket",
    "EncryptionKey": "kms_patterns.keys.encryption_key",
    "EnvelopeCipher": "kms_patterns.patterns.envelope_cipher",
    "KeyAccess": "kms_patterns.keys.key_access",
    "KeyAgreement": "kms_patterns.patterns.key_agreement",
    "KeyAgreementKey": "kms_patterns.keys.key_agreement_key",
    "KeyLifecycle": "kms_patterns.keys.key_lifecycle",
    "MacKey": "kms_patterns.keys.mac_key",
    "PublicKeyExport": "kms_patterns.patterns.public_key_export",
    "RsaEncryptionKey": "kms_patterns.keys.rsa_encryption_key",
    "RsaEnvelopeCipher": "kms_patterns.patterns.rsa_envelope_cipher",
    "MacTokenIssuer": "kms_patterns.patterns.mac_token_issuer",
    "MessageAuthenticator": "kms_patterns.patterns.message_authenticator",
    "TokenIssuer": "kms_patterns.patterns.token_issuer",
    "SecretCipher": "kms_patterns.patterns.secret_cipher",
    "Signer": "kms_patterns.patterns.signer",
    "SigningKey": "kms_patterns.keys.signing_key",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
