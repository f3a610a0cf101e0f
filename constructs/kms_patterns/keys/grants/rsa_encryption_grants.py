"""The grants of an RSA key for encryption."""

from collections.abc import Sequence
from typing import Unpack

from aws_cdk import aws_iam as iam

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.grants.public_key_grants import PublicKeyGrants
from kms_patterns.keys.grants.target import CallConditions
from kms_patterns.policy import actions
from kms_patterns.policy.key_specs import ENCRYPTION_ALGORITHM


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
