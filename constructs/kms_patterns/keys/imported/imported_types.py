"""Imported keys by type: what ``EncryptionKey.from_key_arn`` and its like return."""

from aws_cdk import aws_kms as kms

from kms_patterns.keys.grants.encryption_grants import EncryptionGrants
from kms_patterns.keys.grants.key_agreement_grants import KeyAgreementGrants
from kms_patterns.keys.grants.mac_grants import MacGrants
from kms_patterns.keys.grants.rsa_encryption_grants import RsaEncryptionGrants
from kms_patterns.keys.grants.signing_grants import SigningGrants
from kms_patterns.keys.imported.imported_key import ImportedKeyBase
from kms_patterns.policy import actions


class ImportedKey(EncryptionGrants, ImportedKeyBase):
    """A key of another app or account, of an unspecified type: its grants take every operation of KMS.

    ``EncryptionKey.from_key_arn``, ``SigningKey.from_key_arn`` and their like return keys whose grants refuse what the
    type cannot do, and take the algorithms that it supports. What :class:`ImportedKeyBase` says holds for all of them.
    """


class ImportedEncryptionKey(EncryptionGrants, ImportedKeyBase):
    """A symmetric encryption key of another app or account."""

    operations = actions.SYMMETRIC_OPERATIONS
    key_usage = kms.KeyUsage.ENCRYPT_DECRYPT


class ImportedRsaEncryptionKey(RsaEncryptionGrants, ImportedKeyBase):
    """An RSA key for encryption, of another app or account."""

    operations = actions.RSA_ENCRYPTION_OPERATIONS
    key_usage = kms.KeyUsage.ENCRYPT_DECRYPT


class ImportedSigningKey(SigningGrants, ImportedKeyBase):
    """A key pair for signatures, of another app or account."""

    operations = actions.SIGNING_OPERATIONS
    key_usage = kms.KeyUsage.SIGN_VERIFY


class ImportedMacKey(MacGrants, ImportedKeyBase):
    """An HMAC key of another app or account."""

    operations = actions.MAC_OPERATIONS
    key_usage = kms.KeyUsage.GENERATE_VERIFY_MAC


class ImportedKeyAgreementKey(KeyAgreementGrants, ImportedKeyBase):
    """A key pair for shared secrets, of another app or account."""

    operations = actions.KEY_AGREEMENT_OPERATIONS
    key_usage = kms.KeyUsage.KEY_AGREEMENT
