"""The grants of a key that agrees on shared secrets."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.keys.grants.inherited_grants import InheritedGrants
from kms_patterns.keys.grants.public_key_grants import PublicKeyGrants
from kms_patterns.policy import actions
from kms_patterns.policy.conditions import Conditions
from kms_patterns.policy.key_specs import KEY_AGREEMENT_ALGORITHM


class KeyAgreementGrants(PublicKeyGrants, InheritedGrants):
    """One method per operation.

    - ``algorithms``: ``ECDH``, the only one today. Left out, any that KMS may add.
    - ``via_service``: the AWS service that must make the call for the grantee. Left out, anyone.
    - ``conditions``: further ones, operator -> condition key -> value.
    """

    if TYPE_CHECKING:
        grant_pinned: Callable[..., iam.Grant]

    def grant_derive_shared_secret(
        self,
        grantee: iam.IGrantable,
        *,
        algorithms: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:DeriveSharedSecret``. Derive keys from the secret with a KDF, do not use it as one."""
        pins = {KEY_AGREEMENT_ALGORITHM: algorithms}
        return self.grant_pinned(
            grantee, actions.DERIVE_SHARED_SECRET, pins=pins, via_service=via_service, conditions=conditions
        )
