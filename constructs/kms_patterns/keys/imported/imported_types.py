"""Imported keys by type, and the look-ups of each type of key that return them."""

from typing import Any, ClassVar, Generic, TypeVar

from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.algorithm_grants import (
    KeyAgreementGrants,
    KeyEncapsulationGrants,
    MacGrants,
    RsaEncryptionGrants,
    SigningGrants,
)
from kms_patterns.keys.grants.encryption_grants import EncryptionGrants
from kms_patterns.keys.imported.imported_key import ImportedKeyBase
from kms_patterns.policy.actions import CRYPTOGRAPHIC_OPERATIONS


class ImportedKey(EncryptionGrants, ImportedKeyBase):
    """A key of another app or account, of an unspecified type: its grants take every operation of KMS.

    ``EncryptionKey.from_key_arn``, ``SigningKey.from_key_arn`` and their like return keys whose grants refuse what the
    type cannot do, and take the algorithms that it supports. What :class:`ImportedKeyBase` says holds for all of them.
    """

    operations = CRYPTOGRAPHIC_OPERATIONS


class ImportedEncryptionKey(EncryptionGrants, ImportedKeyBase):
    """A symmetric encryption key of another app or account."""


class ImportedRsaEncryptionKey(RsaEncryptionGrants, ImportedKeyBase):
    """An RSA key for encryption, of another app or account."""


class ImportedSigningKey(SigningGrants, ImportedKeyBase):
    """A key pair for signatures, of another app or account."""


class ImportedMacKey(MacGrants, ImportedKeyBase):
    """An HMAC key of another app or account."""


class ImportedKeyAgreementKey(KeyAgreementGrants, ImportedKeyBase):
    """A key pair for shared secrets, of another app or account."""


class ImportedKeyEncapsulationKey(KeyEncapsulationGrants, ImportedKeyBase):
    """An ML-KEM key of another app or account."""


Imported = TypeVar("Imported", bound=ImportedKeyBase)


class LookUps(Generic[Imported]):
    """Keys of this type that another app or account owns.

    Each is used as a key of this app is, also by constructs of the AWS CDK. Its grants refuse what the type cannot do,
    write the identity's half, and report the statement that the owner must add to the key policy.
    """

    imported_as: ClassVar[type[Any]]

    @classmethod
    def from_key_arn(cls, scope: Construct, construct_id: str, key_arn: str) -> Imported:
        """Name a key by its ARN, in any account and Region.

        Raises:
            KeyConfigurationError: It is the ARN of something else; policies do not resolve aliases.
        """
        made: Imported = cls.imported_as.from_key_arn(scope, construct_id, key_arn)
        return made

    @classmethod
    def from_cfn_key(cls, cfn_key: kms.CfnKey) -> Imported:
        """Refuse a key that is an L1 construct: this package cannot extend its policy.

        Raises:
            GrantRefused: Always; the key that the AWS CDK would return grants ``kms:GenerateDataKey*`` and its like.
        """
        raise GrantRefused(
            f"{cfn_key.node.path}: {cls.__name__}.from_cfn_key would give a key with the broad grants of the AWS CDK: "
            f"make a {cls.__name__} instead of the CfnKey, or call from_key_arn with its ARN, which prints what its "
            "key policy needs"
        )

    @classmethod
    def from_alias(cls, scope: Construct, construct_id: str, alias_name: str) -> Imported:
        """Name the key of this account and Region that has an alias, whichever that is when it is used.

        Grants are on the keys that carry the alias: a principal that may move it moves the permission with it.
        """
        made: Imported = cls.imported_as.from_alias(scope, construct_id, alias_name)
        return made

    @classmethod
    def from_lookup(
        cls, scope: Construct, construct_id: str, *, alias_name: str, return_dummy_key_on_missing: bool | None = None
    ) -> Imported:
        """Look an alias up in the account, at synth; the response is kept in ``cdk.context.json``.

        Args:
            scope: Parent construct.
            construct_id: Id within the parent.
            alias_name: With or without ``alias/``.
            return_dummy_key_on_missing: True gives a key with a made-up id instead of an error where there is none.
        """
        made: Imported = cls.imported_as.from_lookup(
            scope, construct_id, alias_name=alias_name, return_dummy_key_on_missing=return_dummy_key_on_missing
        )
        return made
