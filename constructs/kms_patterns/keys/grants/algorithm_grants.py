"""The grants of keys whose requests name an algorithm: all types but the symmetric encryption key."""

from collections.abc import Sequence
from typing import Final, Unpack

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.grants.rules import GrantRules
from kms_patterns.keys.grants.target import CallConditions
from kms_patterns.policy import actions
from kms_patterns.policy.key_specs import (
    ENCAPSULATION_ALGORITHM,
    ENCRYPTION_ALGORITHM,
    KEY_AGREEMENT_ALGORITHM,
    MAC_ALGORITHM,
    MESSAGE_TYPE,
    SIGNING_ALGORITHM,
    MlKemUsage,
)

_NAMED_IN: Final = {
    "ENCRYPT_DECRYPT": ENCRYPTION_ALGORITHM,
    "SIGN_VERIFY": SIGNING_ALGORITHM,
    "GENERATE_VERIFY_MAC": MAC_ALGORITHM,
    "KEY_AGREEMENT": KEY_AGREEMENT_ALGORITHM,
    "ENCAPSULATE_DECAPSULATE": ENCAPSULATION_ALGORITHM,
}
"""Key usage -> condition key on the algorithm of a request."""


class AlgorithmConditions(CallConditions, total=False):
    """Conditions of a grant on a key whose requests name an algorithm.

    Attributes:
        algorithms: Such as ``ECDSA_SHA_256``, ``RSAES_OAEP_SHA_256`` or ``HMAC_SHA_256``. Defaults to any that the key
            supports.
    """

    algorithms: Sequence[str] | None


class AlgorithmGrants(GrantRules):
    """One method per operation; each takes the conditions of :class:`AlgorithmConditions`."""

    def _grant(
        self,
        grantee: iam.IGrantable,
        *operations: str,
        algorithms: Sequence[str] | None = None,
        message_types: Sequence[str] | None = None,
        **demanded: Unpack[CallConditions],
    ) -> iam.Grant:
        pins = {_NAMED_IN[self.key_usage.value]: algorithms, MESSAGE_TYPE: message_types}
        return self.grant_pinned(grantee, *operations, pins=pins, **demanded)


class PublicKeyGrants(AlgorithmGrants):
    """Download of the public key, for principals that encrypt, verify or agree outside of KMS."""

    @checked
    def grant_public_key(self, grantee: iam.IGrantable, **demanded: Unpack[CallConditions]) -> iam.Grant:
        """Allow ``kms:GetPublicKey``. No policy sees what is done with the public key outside of KMS.

        See https://docs.aws.amazon.com/kms/latest/developerguide/download-public-key.html
        """
        return self.grant_operations(grantee, actions.GET_PUBLIC_KEY, **demanded)


class SigningConditions(AlgorithmConditions, total=False):
    """Conditions of a grant on a key that signs.

    Attributes:
        message_types: ``RAW`` (up to 4096 bytes), ``DIGEST``, or ``EXTERNAL_MU`` with ML-DSA. Defaults to any.
    """

    message_types: Sequence[str] | None


class SigningGrants(PublicKeyGrants):
    """One method per operation; each takes the conditions of :class:`SigningConditions`."""

    operations = actions.SIGNING_OPERATIONS
    key_usage = kms.KeyUsage.SIGN_VERIFY

    @checked
    def grant_sign(self, grantee: iam.IGrantable, **demanded: Unpack[SigningConditions]) -> iam.Grant:
        """Allow ``kms:Sign``."""
        return self._grant(grantee, actions.SIGN, **demanded)

    @checked
    def grant_verify(self, grantee: iam.IGrantable, **demanded: Unpack[SigningConditions]) -> iam.Grant:
        """Allow ``kms:Verify``. A holder of the public key verifies without KMS: see ``grant_public_key``."""
        return self._grant(grantee, actions.VERIFY, **demanded)

    @checked
    def grant_sign_verify(self, grantee: iam.IGrantable, **demanded: Unpack[SigningConditions]) -> iam.Grant:
        """Allow ``kms:Sign`` and ``kms:Verify``."""
        return self._grant(grantee, actions.SIGN, actions.VERIFY, **demanded)


class RsaEncryptionGrants(PublicKeyGrants):
    """One method per operation. RSA has no encryption context, so no grant can demand one.

    Each takes the conditions of :class:`AlgorithmConditions`; algorithms are ``RSAES_OAEP_SHA_256`` and
    ``RSAES_OAEP_SHA_1``.
    """

    operations = actions.RSA_ENCRYPTION_OPERATIONS
    key_usage = kms.KeyUsage.ENCRYPT_DECRYPT

    @checked
    def grant_encrypt(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:Encrypt``: up to 190, 318 or 446 bytes by key size with SHA-256, 24 more with SHA-1."""
        return self._grant(grantee, actions.ENCRYPT, **demanded)

    @checked
    def grant_decrypt(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:Decrypt``, also of what was encrypted outside of KMS under the public key."""
        return self._grant(grantee, actions.DECRYPT, **demanded)

    @checked
    def grant_encrypt_decrypt(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:Encrypt`` and ``kms:Decrypt``."""
        return self._grant(grantee, actions.ENCRYPT, actions.DECRYPT, **demanded)

    @checked
    def grant_re_encrypt_from(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:ReEncryptFrom``: ciphertexts of this key may be moved under another key."""
        return self._grant(grantee, actions.RE_ENCRYPT_FROM, **demanded)

    @checked
    def grant_re_encrypt_to(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:ReEncryptTo``: ciphertexts of another key may be moved under this key."""
        return self._grant(grantee, actions.RE_ENCRYPT_TO, **demanded)


class KeyAgreementGrants(PublicKeyGrants):
    """One method per operation; each takes the conditions of :class:`AlgorithmConditions`."""

    operations = actions.KEY_AGREEMENT_OPERATIONS
    key_usage = kms.KeyUsage.KEY_AGREEMENT

    @checked
    def grant_derive_shared_secret(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:DeriveSharedSecret``. Derive keys from the secret with a KDF, do not use it as one."""
        return self._grant(grantee, actions.DERIVE_SHARED_SECRET, **demanded)


class KeyEncapsulationGrants(PublicKeyGrants):
    """One method per operation; each takes the conditions of :class:`AlgorithmConditions`."""

    operations = actions.KEY_ENCAPSULATION_OPERATIONS
    key_usage = MlKemUsage.ENCAPSULATE_DECAPSULATE

    @checked
    def grant_encapsulate(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:Encapsulate``: a new secret, and its ciphertext. Holders of the public key need no permission."""
        return self._grant(grantee, actions.ENCAPSULATE, **demanded)

    @checked
    def grant_decapsulate(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:Decapsulate``, which returns 32 bytes for a foreign ciphertext also: confirm the secret."""
        return self._grant(grantee, actions.DECAPSULATE, **demanded)


class MacGrants(AlgorithmGrants):
    """One method per operation, so that a verifier of tags need not be able to generate them.

    Each takes the conditions of :class:`AlgorithmConditions`; each key has one algorithm, such as ``HMAC_SHA_256``.
    """

    operations = actions.MAC_OPERATIONS
    key_usage = kms.KeyUsage.GENERATE_VERIFY_MAC

    @checked
    def grant_generate_mac(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:GenerateMac``, of messages of up to 4096 bytes."""
        return self._grant(grantee, actions.GENERATE_MAC, **demanded)

    @checked
    def grant_verify_mac(self, grantee: iam.IGrantable, **demanded: Unpack[AlgorithmConditions]) -> iam.Grant:
        """Allow ``kms:VerifyMac``."""
        return self._grant(grantee, actions.VERIFY_MAC, **demanded)
