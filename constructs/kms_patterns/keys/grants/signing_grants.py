"""The grants of a key that signs."""

from collections.abc import Sequence
from typing import Unpack

from aws_cdk import aws_iam as iam

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.grants.public_key_grants import PublicKeyGrants
from kms_patterns.keys.grants.target import CallConditions
from kms_patterns.policy import actions
from kms_patterns.policy.key_specs import MESSAGE_TYPE, SIGNING_ALGORITHM


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
