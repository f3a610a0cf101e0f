"""The grants of an HMAC key."""

from collections.abc import Sequence
from typing import Unpack

from aws_cdk import aws_iam as iam

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.grants.rules import GrantRules
from kms_patterns.keys.grants.target import CallConditions
from kms_patterns.policy import actions
from kms_patterns.policy.key_specs import MAC_ALGORITHM


class MacGrants(GrantRules):
    """One method per operation, so that a verifier of tags need not be able to generate them.

    Each takes ``algorithms``, such as ``HMAC_SHA_256`` (each key has one; defaults to that one), and the conditions of
    :class:`~kms_patterns.keys.grants.target.CallConditions`.
    """

    @checked
    def grant_generate_mac(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:GenerateMac``, of messages of up to 4096 bytes."""
        return self.grant_pinned(grantee, actions.GENERATE_MAC, pins={MAC_ALGORITHM: algorithms}, **demanded)

    @checked
    def grant_verify_mac(
        self, grantee: iam.IGrantable, *, algorithms: Sequence[str] | None = None, **demanded: Unpack[CallConditions]
    ) -> iam.Grant:
        """Allow ``kms:VerifyMac``."""
        return self.grant_pinned(grantee, actions.VERIFY_MAC, pins={MAC_ALGORITHM: algorithms}, **demanded)
