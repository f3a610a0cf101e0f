"""What every pair of encrypt and decrypt functions offers its callers."""

from aws_cdk import aws_iam

from kms_patterns.functions.data_plane_function import DataPlaneFunction, ExactFunction
from kms_patterns.patterns.parts.function_pattern import FunctionPattern


class CipherFunctions(FunctionPattern):
    """An encrypt and a decrypt function, each with a role of its own; callers are granted the function, not the key."""

    _encrypt: DataPlaneFunction
    _decrypt: DataPlaneFunction

    @property
    def encrypt_function(self) -> ExactFunction:
        """The function that encrypts and can do nothing else with the key."""
        return self._encrypt.function

    @property
    def decrypt_function(self) -> ExactFunction:
        """The function that decrypts and can do nothing else with the key."""
        return self._decrypt.function

    @property
    def encrypt_role(self) -> aws_iam.Role:
        """The role of the encrypt function."""
        return self._encrypt.role

    @property
    def decrypt_role(self) -> aws_iam.Role:
        """The role of the decrypt function."""
        return self._decrypt.role

    def grant_encrypt(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the encrypt function; it needs no permission on the key."""
        return self.encrypt_function.grant_invoke(grantee)

    def grant_decrypt(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the decrypt function; it needs no permission on the key.

        The grantee names the encryption context: a grantee that may decrypt for one tenant may decrypt for every
        tenant. Give each tenant a cipher with a fixed ``encryption_context`` where that matters.
        """
        return self.decrypt_function.grant_invoke(grantee)
