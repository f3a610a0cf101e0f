"""The grants that ``kms.Key`` has for every type of key; a type overrides those that it can serve."""

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.policy import actions

if TYPE_CHECKING:
    from collections.abc import Callable


class InheritedGrants:
    """Sends every inherited grant through ``grant``, which refuses what the type of key cannot do."""

    if TYPE_CHECKING:
        grant: Callable[..., iam.Grant]

    def grant_encrypt(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Encrypt``."""
        return self.grant(grantee, actions.ENCRYPT)

    def grant_decrypt(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Decrypt``."""
        return self.grant(grantee, actions.DECRYPT)

    def grant_encrypt_decrypt(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Encrypt`` and ``kms:Decrypt``."""
        return self.grant(grantee, actions.ENCRYPT, actions.DECRYPT)

    def grant_sign(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Sign``."""
        return self.grant(grantee, actions.SIGN)

    def grant_verify(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Verify``."""
        return self.grant(grantee, actions.VERIFY)

    def grant_sign_verify(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Sign`` and ``kms:Verify``."""
        return self.grant(grantee, actions.SIGN, actions.VERIFY)

    def grant_generate_mac(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:GenerateMac``."""
        return self.grant(grantee, actions.GENERATE_MAC)

    def grant_verify_mac(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:VerifyMac``."""
        return self.grant(grantee, actions.VERIFY_MAC)
