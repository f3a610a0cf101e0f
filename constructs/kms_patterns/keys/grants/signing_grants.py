"""The grants of a key that signs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.keys.grants.inherited_grants import InheritedGrants
from kms_patterns.keys.grants.public_key_grants import PublicKeyGrants
from kms_patterns.policy import actions
from kms_patterns.policy.conditions import Conditions
from kms_patterns.policy.key_specs import MESSAGE_TYPE, SIGNING_ALGORITHM


class SigningGrants(PublicKeyGrants, InheritedGrants):
    """One method per operation.

    - ``algorithms``: such as ``ECDSA_SHA_256``. Left out, any that the key knows.
    - ``message_types``: ``RAW`` (up to 4096 bytes), ``DIGEST``, or ``EXTERNAL_MU`` with ML-DSA. Left out, any.
    - ``via_service``: the AWS service that must make the call for the grantee. Left out, anyone.
    - ``conditions``: further ones, operator -> condition key -> value.
    """

    if TYPE_CHECKING:
        grant_pinned: Callable[..., iam.Grant]

    def grant_sign(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        message_types: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Sign``."""
        pins = {SIGNING_ALGORITHM: algorithms, MESSAGE_TYPE: message_types}
        return self.grant_pinned(grantee, actions.SIGN, pins=pins, via_service=via_service, conditions=conditions)

    def grant_verify(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        message_types: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Verify``. Who has the public key needs no KMS to verify: see ``grant_public_key``."""
        pins = {SIGNING_ALGORITHM: algorithms, MESSAGE_TYPE: message_types}
        return self.grant_pinned(grantee, actions.VERIFY, pins=pins, via_service=via_service, conditions=conditions)

    def grant_sign_verify(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        message_types: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Sign`` and ``kms:Verify``."""
        pins = {SIGNING_ALGORITHM: algorithms, MESSAGE_TYPE: message_types}
        return self.grant_pinned(
            grantee, actions.SIGN, actions.VERIFY, pins=pins, via_service=via_service, conditions=conditions
        )
