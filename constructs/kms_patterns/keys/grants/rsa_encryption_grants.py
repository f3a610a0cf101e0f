"""The grants of an RSA key for encryption."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.keys.grants.inherited_grants import InheritedGrants
from kms_patterns.keys.grants.public_key_grants import PublicKeyGrants
from kms_patterns.policy import actions
from kms_patterns.policy.conditions import Conditions
from kms_patterns.policy.key_specs import ENCRYPTION_ALGORITHM


class RsaEncryptionGrants(PublicKeyGrants, InheritedGrants):
    """One method per operation. RSA has no encryption context, so no grant can demand one.

    - ``algorithms``: ``RSAES_OAEP_SHA_256`` or ``RSAES_OAEP_SHA_1``. Left out, any that the key knows.
    - ``via_service``: the AWS service that must make the call for the grantee. Left out, anyone.
    - ``conditions``: further ones, operator -> condition key -> value.
    """

    if TYPE_CHECKING:
        grant_pinned: Callable[..., iam.Grant]

    def grant_encrypt(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Encrypt``: up to 190, 318 or 446 bytes by key size with SHA-256, 24 more with SHA-1."""
        pins = {ENCRYPTION_ALGORITHM: algorithms}
        return self.grant_pinned(grantee, actions.ENCRYPT, pins=pins, via_service=via_service, conditions=conditions)

    def grant_decrypt(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Decrypt``, also of what was encrypted outside of KMS under the public key."""
        pins = {ENCRYPTION_ALGORITHM: algorithms}
        return self.grant_pinned(grantee, actions.DECRYPT, pins=pins, via_service=via_service, conditions=conditions)

    def grant_encrypt_decrypt(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Encrypt`` and ``kms:Decrypt``."""
        pins = {ENCRYPTION_ALGORITHM: algorithms}
        return self.grant_pinned(
            grantee, actions.ENCRYPT, actions.DECRYPT, pins=pins, via_service=via_service, conditions=conditions
        )

    def grant_re_encrypt_from(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:ReEncryptFrom``: ciphertexts of this key may be moved under another key."""
        pins = {ENCRYPTION_ALGORITHM: algorithms}
        return self.grant_pinned(
            grantee, actions.RE_ENCRYPT_FROM, pins=pins, via_service=via_service, conditions=conditions
        )

    def grant_re_encrypt_to(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:ReEncryptTo``: ciphertexts of another key may be moved under this key."""
        pins = {ENCRYPTION_ALGORITHM: algorithms}
        return self.grant_pinned(
            grantee, actions.RE_ENCRYPT_TO, pins=pins, via_service=via_service, conditions=conditions
        )
