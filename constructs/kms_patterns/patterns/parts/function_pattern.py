"""The base of every pattern that has functions."""

from collections.abc import Mapping
from dataclasses import replace

from aws_cdk import Duration, aws_iam
from constructs import Construct

from kms_patterns.functions.data_plane_function import DataPlaneFunction, ExactFunction
from kms_patterns.functions.function_options import FunctionOptions


class FunctionPattern(Construct):
    """Functions of the data plane with a role each, under the same options; callers are granted a function, not a key.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        options: What the user of the pattern chose; None for the defaults.
        handlers: Module of ``kms_runtime.handlers`` with one entry point per function.
        memory_size: Memory of the functions in MiB, unless ``options`` says otherwise.
        timeout: Time of the functions, unless ``options`` says otherwise. Defaults to 10 seconds.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        options: FunctionOptions | None,
        *,
        handlers: str,
        memory_size: int = 256,
        timeout: Duration | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._options = FunctionOptions() if options is None else options
        self._handlers = handlers
        self._memory_size = memory_size
        self._timeout = timeout or Duration.seconds(10)

    def _function(
        self,
        name: str,
        description: str,
        environment: Mapping[str, str],
        *,
        handler: str | None = None,
        timeout: Duration | None = None,
    ) -> DataPlaneFunction:
        """Make one of the functions.

        Args:
            name: Construct id.
            description: What the function does.
            environment: What it is told to enforce.
            handler: Its entry point. Defaults to ``name`` in lower case.
            timeout: The time that it needs, whatever the options say. Defaults to the time of all functions.
        """
        options = self._options if timeout is None else replace(self._options, timeout=timeout)
        return DataPlaneFunction(
            self,
            name,
            handler=f"kms_runtime.handlers.{self._handlers}.{handler or name.lower()}",
            description=description,
            environment=environment,
            memory_size=self._memory_size,
            timeout=self._timeout,
            options=options,
        )


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
