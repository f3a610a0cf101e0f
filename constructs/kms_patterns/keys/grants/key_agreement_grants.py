"""The grants of a key that agrees on shared secrets."""

from collections.abc import Sequence
from typing import Unpack

from aws_cdk import aws_iam as iam

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.grants.public_key_grants import PublicKeyGrants
from kms_patterns.keys.grants.target import CallConditions
from kms_patterns.policy import actions
from kms_patterns.policy.key_specs import KEY_AGREEMENT_ALGORITHM


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
