"""Returns random bytes from the hardware security modules of AWS KMS, behind one function."""

from aws_cdk import aws_iam
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge, wildcard
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.policy.actions import GENERATE_RANDOM


class RandomBytes(FunctionPattern):
    """A Lambda function that may only ``kms:GenerateRandom``: 1 to 1024 bytes for each invocation.

    For seeds that a rule wants from a validated hardware security module; ``os.urandom`` is as unpredictable, costs no
    call and has no quota. GenerateRandom uses no key: IAM has no resource to name, so the role's statement has
    ``"Resource": "*"``, and no key policy could name the role in turn. Its callers need no permission in
    KMS: grant them the function with :meth:`grant_generate`.

    Invoke synchronously: Lambda drops the response of an asynchronous invocation. The function logs no bytes.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        options: Memory, timeout, network, logs and the like of the function. Defaults to 256 MiB and 10 seconds.

    Attributes:
        function: Returns random bytes, and can use no key.
        role: Its role.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateRandom.html
    """

    def __init__(self, scope: Construct, construct_id: str, *, options: FunctionOptions | None = None) -> None:
        super().__init__(scope, construct_id, options, handlers="random_bytes")
        made = self._function("Generate", "Returns random bytes from KMS", {})
        self.function, self.role = made.function, made.role
        aws_iam.Grant.add_to_principal(
            grantee=self.role, actions=[GENERATE_RANDOM], resource_arns=["*"]
        ).assert_success()
        acknowledge(self.role, {wildcard("*"): "kms:GenerateRandom uses no key, so IAM has no resource to name."})

    def grant_generate(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the function; it needs no permission in KMS."""
        return self.function.grant_invoke(grantee)
