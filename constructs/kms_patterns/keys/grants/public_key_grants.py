"""The grant that every asymmetric key has."""

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.policy import actions
from kms_patterns.policy.conditions import Conditions

if TYPE_CHECKING:
    from collections.abc import Callable


class PublicKeyGrants:
    """Download of the public key, for whoever encrypts, verifies or agrees outside of KMS."""

    if TYPE_CHECKING:
        grant_operations: Callable[..., iam.Grant]

    def grant_public_key(
        self,
        grantee: iam.IGrantable,
        *,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:GetPublicKey``. What is done with the public key outside of KMS no policy sees.

        See https://docs.aws.amazon.com/kms/latest/developerguide/download-public-key.html
        """
        return self.grant_operations(grantee, actions.GET_PUBLIC_KEY, via_service=via_service, conditions=conditions)
