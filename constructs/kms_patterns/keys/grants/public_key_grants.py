"""The grant that every asymmetric key has."""

from typing import Unpack

from aws_cdk import aws_iam as iam

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.grants.rules import GrantRules
from kms_patterns.keys.grants.target import CallConditions
from kms_patterns.policy import actions


class PublicKeyGrants(GrantRules):
    """Download of the public key, for principals that encrypt, verify or agree outside of KMS."""

    @checked
    def grant_public_key(self, grantee: iam.IGrantable, **demanded: Unpack[CallConditions]) -> iam.Grant:
        """Allow ``kms:GetPublicKey``. No policy sees what is done with the public key outside of KMS.

        See https://docs.aws.amazon.com/kms/latest/developerguide/download-public-key.html
        """
        return self.grant_operations(grantee, actions.GET_PUBLIC_KEY, **demanded)
