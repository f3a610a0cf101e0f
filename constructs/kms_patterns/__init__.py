"""AWS KMS keys whose least privilege is a test result: CDK constructs, and an embedded AWS to prove them on.

A name is public if a line below re-exports it. It is loaded on first use, so that the command line and the embedded AWS
start without the CDK.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kms_patterns.functions.function_options import FunctionOptions as FunctionOptions
    from kms_patterns.keys.asymmetric_keys import KeyAgreementKey as KeyAgreementKey
    from kms_patterns.keys.asymmetric_keys import KeyEncapsulationKey as KeyEncapsulationKey
    from kms_patterns.keys.asymmetric_keys import RsaEncryptionKey as RsaEncryptionKey
    from kms_patterns.keys.asymmetric_keys import SigningKey as SigningKey
    from kms_patterns.keys.imported.imported_types import ImportedKey as ImportedKey
    from kms_patterns.keys.key_options import KeyAccess as KeyAccess
    from kms_patterns.keys.key_options import KeyLifecycle as KeyLifecycle
    from kms_patterns.keys.replica_key import ReplicaKey as ReplicaKey
    from kms_patterns.keys.symmetric_keys import EncryptionKey as EncryptionKey
    from kms_patterns.keys.symmetric_keys import MacKey as MacKey
    from kms_patterns.patterns.bucket_re_encryption import BucketReEncryption as BucketReEncryption
    from kms_patterns.patterns.bulk_envelope import BulkEnvelope as BulkEnvelope
    from kms_patterns.patterns.code_signer import CodeSigner as CodeSigner
    from kms_patterns.patterns.data_key_pairs import DataKeyPairs as DataKeyPairs
    from kms_patterns.patterns.encrypted_bucket import EncryptedBucket as EncryptedBucket
    from kms_patterns.patterns.envelope_cipher import EnvelopeCipher as EnvelopeCipher
    from kms_patterns.patterns.hpke_receiver import HpkeReceiver as HpkeReceiver
    from kms_patterns.patterns.key_agreement import KeyAgreement as KeyAgreement
    from kms_patterns.patterns.key_grant import KeyGrant as KeyGrant
    from kms_patterns.patterns.key_watch import KeyWatch as KeyWatch
    from kms_patterns.patterns.mac_token_issuer import MacTokenIssuer as MacTokenIssuer
    from kms_patterns.patterns.message_authenticator import MessageAuthenticator as MessageAuthenticator
    from kms_patterns.patterns.public_key_export import PublicKeyExport as PublicKeyExport
    from kms_patterns.patterns.random_bytes import RandomBytes as RandomBytes
    from kms_patterns.patterns.re_encryptor import ReEncryptor as ReEncryptor
    from kms_patterns.patterns.rsa_envelope_cipher import RsaEnvelopeCipher as RsaEnvelopeCipher
    from kms_patterns.patterns.secret_cipher import SecretCipher as SecretCipher
    from kms_patterns.patterns.signer import Signer as Signer
    from kms_patterns.patterns.token_issuer import TokenIssuer as TokenIssuer
    from kms_patterns.policy.key_specs import MlKemSpec as MlKemSpec

_LINE = re.compile(r"^    from (\S+) import (\w+) as \2$", re.MULTILINE)
_HOMES = {name: home for home, name in _LINE.findall(Path(__file__).read_text(encoding="utf-8"))}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
