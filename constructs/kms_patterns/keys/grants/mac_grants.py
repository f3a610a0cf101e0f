"""The grants of an HMAC key."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.keys.grants.inherited_grants import InheritedGrants
from kms_patterns.policy import actions
from kms_patterns.policy.conditions import Conditions
from kms_patterns.policy.key_specs import MAC_ALGORITHM


class MacGrants(InheritedGrants):
    """One method per operation. Who may verify a tag need not be able to make one.

    - ``algorithms``: such as ``HMAC_SHA_256``; each key has one. Left out, that one.
    - ``via_service``: the AWS service that must make the call for the grantee. Left out, anyone.
    - ``conditions``: further ones, operator -> condition key -> value.
    """

    if TYPE_CHECKING:
        grant_pinned: Callable[..., iam.Grant]

    def grant_generate_mac(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:GenerateMac``, of messages of up to 4096 bytes."""
        pins = {MAC_ALGORITHM: algorithms}
        return self.grant_pinned(
            grantee, actions.GENERATE_MAC, pins=pins, via_service=via_service, conditions=conditions
        )

    def grant_verify_mac(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:VerifyMac``."""
        pins = {MAC_ALGORITHM: algorithms}
        return self.grant_pinned(grantee, actions.VERIFY_MAC, pins=pins, via_service=via_service, conditions=conditions)
