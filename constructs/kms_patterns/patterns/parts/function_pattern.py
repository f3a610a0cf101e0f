"""The base of every pattern that has functions, and the address at which one serves anyone."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from aws_cdk import Duration, Stack, aws_iam, aws_lambda, aws_s3
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge
from kms_patterns.functions.data_plane_function import DataPlaneFunction
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.errors import RegionUnsupported
from kms_patterns.patterns.parts.object_grants import grant_role_objects
from kms_patterns.policy.actions import DOWNLOAD, DOWNLOAD_VERSIONS, UPLOAD_IN_PARTS
from kms_patterns.policy.conditions import has_function_urls


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

    def _object_function(
        self,
        name: str,
        description: str,
        environment: Mapping[str, str],
        *,
        source: aws_s3.IBucket,
        destination: aws_s3.IBucket,
        read_versions: bool,
    ) -> DataPlaneFunction:
        """Make a function that brings objects from one bucket to another; ``read_versions`` allows former ones."""
        buckets = {"SOURCE_BUCKET": source.bucket_name, "DESTINATION_BUCKET": destination.bucket_name}
        made = self._function(name, description, {**environment, **buckets})
        grant_role_objects(made.role, source, DOWNLOAD_VERSIONS if read_versions else DOWNLOAD)
        grant_role_objects(made.role, destination, UPLOAD_IN_PARTS)
        return made


class CipherFunctions(FunctionPattern):
    """An encrypt and a decrypt function, each with a role of its own; callers are granted the function, not the key.

    Attributes:
        encrypt_function: Encrypts, and can do nothing else with the key.
        encrypt_role: Its role.
        decrypt_function: Decrypts, and can do nothing else with the key.
        decrypt_role: Its role.
    """

    def _made_of(self, functions: Iterable[DataPlaneFunction]) -> None:
        encrypt, decrypt = functions
        self.encrypt_function, self.encrypt_role = encrypt.function, encrypt.role
        self.decrypt_function, self.decrypt_role = decrypt.function, decrypt.role

    def grant_encrypt(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the encrypt function; it needs no permission on the key."""
        return self.encrypt_function.grant_invoke(grantee)

    def grant_decrypt(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the decrypt function; it needs no permission on the key.

        The grantee names the encryption context: a grantee that may decrypt for one tenant may decrypt for every
        tenant. Give each tenant a cipher with a fixed ``encryption_context`` where that matters.
        """
        return self.decrypt_function.grant_invoke(grantee)


class FunctionAddress(Construct):
    """A Lambda function URL without authentication, over HTTPS: the functions refuse requests that came without TLS.

    Anyone may call it, so the function must have only permissions that anyone may use. Each call is an
    invocation that is paid for and takes from the account's concurrency: reserve some for the function, or put a
    distribution of CloudFront before it, where that matters.

    Args:
        scope: The pattern.
        construct_id: Id within the pattern.
        function: What serves.
        instead: What the pattern's user can give where the Region does not have function URLs.
        reserved_concurrency: How many invocations may run at a time, taken from the account's; further ones are
            refused with 429. Defaults to as many as the account has.

    Raises:
        RegionUnsupported: Lambda does not have function URLs in the Region of the stack.
        ValueError: ``reserved_concurrency`` is less than 1.

    See https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: aws_lambda.Function,
        instead: str,
        reserved_concurrency: int | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        if reserved_concurrency is not None and reserved_concurrency < 1:
            raise ValueError(
                f"reserved_concurrency is {reserved_concurrency}: Lambda would throttle every request "
                "(TooManyRequestsException); reserve at least 1, or omit it"
            )
        region = Stack.of(self).region
        if not has_function_urls(region):
            raise RegionUnsupported(
                f"{scope.node.path}: Lambda does not have function URLs in {region} (AWS::Lambda::Url does not exist "
                f"there); {instead}, or deploy to another Region"
            )
        made = aws_lambda.FunctionUrl(self, "Url", function=function, auth_type=aws_lambda.FunctionUrlAuthType.NONE)
        resource = function.node.default_child
        if reserved_concurrency is not None and isinstance(resource, aws_lambda.CfnFunction):
            resource.reserved_concurrent_executions = reserved_concurrency
        self.url = made.url
        acknowledge(function, _FINDINGS)


_FINDINGS = {
    "NIST.800.53.R5-LambdaFunctionPublicAccessProhibited": (
        "Outsiders without AWS credentials are whom this address is for; the function can read what it serves, no more."
    ),
}
