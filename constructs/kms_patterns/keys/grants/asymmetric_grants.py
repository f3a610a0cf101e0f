"""The grants of keys with a public half: signing, RSA encryption, key agreement, key encapsulation."""

from collections.abc import Sequence
from typing import Unpack

from aws_cdk import aws_iam as iam

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.grants.rules import GrantRules
from kms_patterns.keys.grants.target import CallConditions
from kms_patterns.policy import actions
from kms_patterns.policy.key_specs import (
    ENCAPSULATION_ALGORITHM,
    ENCRYPTION_ALGORITHM,
    KEY_AGREEMENT_ALGORITHM,
    MESSAGE_TYPE,
    SIGNING_ALGORITHM,
)


class PublicKeyGrants(GrantRules):
    """Download of the public key, for principals that encrypt, verify or agree outside of KMS."""

    @checked
    def grant_public_key(self, grantee: iam.IGrantable, **demanded: Unpack[CallConditions]) -> iam.Grant:
        """Allow ``kms:GetPublicKey``. No policy sees what is done with the public key outside of KMS.

        See https://docs.aws.amazon.com/kms/latest/developerguide/download-public-key.html
        """
        return self.grant_operations(grantee, actions.GET_PUBLIC_KEY, **demanded)


class SigningConditions(CallConditions, total=False):
    """Conditions of a grant on a key that signs.

    Attributes:
        algorithms: Such as ``ECDSA_SHA_256``. Defaults to any that the key supports.
        message_types: ``RAW`` (up to 4096 bytes), ``DIGEST``, or ``EXTERNAL_MU`` with ML-DSA. Defaults to any.
    """

    algorithms: Sequence[str] | None
    message_types: Sequence[str] | None


class SigningGrants(PublicKeyGrants):
    """One method per operation; each takes the conditions of :class:`SigningConditions`."""

    @checked
    def grant_sign(self, grantee: iam.IGrantable, **demanded: Unpack[SigningConditions]) -> iam.Grant:
        """Allow ``kms:Sign``."""
        return self._grant_signing(grantee, actions.SIGN, **demanded)

    @checked
    def grant_verify(self, grantee: iam.IGrantable, **demanded: Unpack[SigningConditions]) -> iam.Grant:
        """Allow ``kms:Verify``. A holder of the public key verifies without KMS: see ``grant_public_key``."""
        return self._grant_signing(grantee, actions.VERIFY, **demanded)

    @checked
    def grant_sign_verify(self, grantee: iam.IGrantable, **demanded: Unpack[SigningConditions]) -> iam.Grant:
        """Allow ``kms:Sign`` and ``kms:Verify``."""
        return self._grant_signing(grantee, actions.SIGN, actions.VERIFY, **demanded)

    def _grant_signing(
        self,
        grantee: iam.IGrantable,
        *operations: str,
        algorithms: Sequence[str] | None = None,
        message_types: Sequence[str] | None = None,
        **demanded: Unpack[CallConditions],
    ) -> iam.Grant:
        pins = {SIGNING_ALGORITHM: algorithms, MESSAGE_TYPE: message_types}
        return self.grant_pinned(grantee, *operations, pins=pins, **demanded)


class RsaEncryptionGrants(PublicKeyGrants):
    """One method per operation. RSA has no encryption context, so no grant can demand one.

    Each takes ``algorithms``, ``RSAES_OAEP_SHA_256`` or ``RSAES_OAEP_SHA_1`` (defaults to any of the key), and the
    conditions of :class:`~kms_patterns.keys.grants.target.CallConditions`.
    """

    @checked
    def grant_encrypt(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:Encrypt``: up to 190, 318 or 446 bytes by key size with SHA-256, 24 more with SHA-1."""
        return self.grant_pinned(grantee, actions.ENCRYPT, pins={ENCRYPTION_ALGORITHM: algorithms}, **demanded)

    @checked
    def grant_decrypt(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:Decrypt``, also of what was encrypted outside of KMS under the public key."""
        return self.grant_pinned(grantee, actions.DECRYPT, pins={ENCRYPTION_ALGORITHM: algorithms}, **demanded)

    @checked
    def grant_encrypt_decrypt(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:Encrypt`` and ``kms:Decrypt``."""
        pins = {ENCRYPTION_ALGORITHM: algorithms}
        return self.grant_pinned(grantee, actions.ENCRYPT, actions.DECRYPT, pins=pins, **demanded)

    @checked
    def grant_re_encrypt_from(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:ReEncryptFrom``: ciphertexts of this key may be moved under another key."""
        return self.grant_pinned(grantee, actions.RE_ENCRYPT_FROM, pins={ENCRYPTION_ALGORITHM: algorithms}, **demanded)

    @checked
    def grant_re_encrypt_to(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:ReEncryptTo``: ciphertexts of another key may be moved under this key."""
        return self.grant_pinned(grantee, actions.RE_ENCRYPT_TO, pins={ENCRYPTION_ALGORITHM: algorithms}, **demanded)


class KeyAgreementGrants(PublicKeyGrants):
    """One method per operation.

    Each takes the conditions of :class:`~kms_patterns.keys.grants.target.CallConditions`.
    """

    @checked
    def grant_derive_shared_secret(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:DeriveSharedSecret``. Derive keys from the secret with a KDF, do not use it as one.

        Args:
            grantee: A role, a user, or anything that has one.
            algorithms: ``ECDH``, the only one today. Defaults to any that KMS may add.
            demanded: See :class:`~kms_patterns.keys.grants.target.CallConditions`.
        """
        pins = {KEY_AGREEMENT_ALGORITHM: algorithms}
        return self.grant_pinned(grantee, actions.DERIVE_SHARED_SECRET, pins=pins, **demanded)


class KeyEncapsulationGrants(PublicKeyGrants):
    """One method per operation.

    Each takes the conditions of :class:`~kms_patterns.keys.grants.target.CallConditions`.
    """

    @checked
    def grant_encapsulate(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:Encapsulate``: a new secret, and its ciphertext. Holders of the public key need no permission.

        Args:
            grantee: A role, a user, or anything that has one.
            algorithms: ``ML_KEM``, the only one today. Defaults to any that KMS may add.
            demanded: See :class:`~kms_patterns.keys.grants.target.CallConditions`.
        """
        pins = {ENCAPSULATION_ALGORITHM: algorithms}
        return self.grant_pinned(grantee, actions.ENCAPSULATE, pins=pins, **demanded)

    @checked
    def grant_decapsulate(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:Decapsulate``, which returns 32 bytes for a foreign ciphertext also: confirm the secret.

        Args:
            grantee: A role, a user, or anything that has one.
            algorithms: ``ML_KEM``, the only one today. Defaults to any that KMS may add.
            demanded: See :class:`~kms_patterns.keys.grants.target.CallConditions`.
        """
        pins = {ENCAPSULATION_ALGORITHM: algorithms}
        return self.grant_pinned(grantee, actions.DECAPSULATE, pins=pins, **demanded)
