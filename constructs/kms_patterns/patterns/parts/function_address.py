"""An HTTPS address at which a function serves anyone."""

from aws_cdk import Stack, aws_lambda
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge
from kms_patterns.keys.errors import RegionUnsupported
from kms_patterns.policy.conditions import has_function_urls


class FunctionAddress(Construct):
    """A Lambda function URL without authentication, over HTTPS: the functions refuse requests that came without TLS.

    Anyone may call it, so the function must have only permissions that anyone may use. Each call is an
    invocation that is paid for and takes from the account's concurrency: reserve some for the function, or put a
    distribution of CloudFront before it, where that matters.

    Args:
        scope: The pattern.
        construct_id: Id within the pattern.
        function: What answers.
        instead: What the pattern's user can give where the Region does not have function URLs.
        reserved_concurrency: How many invocations may run at a time, taken from the account's; further ones are
            answered 429. Defaults to as many as the account has.

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
                "(TooManyRequestsException); reserve at least 1, or leave it out"
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
