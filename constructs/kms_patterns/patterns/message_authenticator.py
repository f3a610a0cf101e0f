"""Makes and verifies message authentication codes in KMS, behind two functions with one permission each."""

from aws_cdk import aws_iam
from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.symmetric_keys import MacKey
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import CALLERS_BYTES, check_key_of_app, use_key
from kms_patterns.policy.key_specs import ALGORITHMS


class MessageAuthenticator(FunctionPattern):
    """Two Lambda functions: one may only ``kms:GenerateMac``, the other only ``kms:VerifyMac``, with one algorithm.

    A verifier cannot make a code, unlike with an HMAC key in a configuration file. Callers need
    no permission on the key: grant them a function with :meth:`grant_generate` or :meth:`grant_verify`. Messages have
    1 to 4096 bytes; for larger ones, or for verification without KMS, take a ``Signer``.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        mac_key: HMAC key; its spec decides the algorithm, and thereby the length of the code: 28, 32, 48 or 64 bytes.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 256 MiB and 10 seconds.
            The logs contain neither messages nor codes.

    Attributes:
        generate_function: Makes codes, and can do nothing else with the key.
        generate_role: Its role.
        verify_function: Verifies codes, and can make none.
        verify_role: Its role.

    Raises:
        ValueError: The key also makes tokens: a caller that has any message authenticated could have a token made.

    See https://docs.aws.amazon.com/kms/latest/developerguide/hmac.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        mac_key: MacKey,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="message_authenticator")
        check_key_of_app(self.node.path, "mac_key", mac_key, MacKey)
        use_key(mac_key, CALLERS_BYTES, self)
        (self.algorithm,) = ALGORITHMS[mac_key.key_usage.value][mac_key.key_spec.value]

        environment = {"KEY_ARN": mac_key.key_arn, "MAC_ALGORITHM": self.algorithm}
        generate = self._function("Generate", "Makes authentication codes of messages with KMS", environment)
        verify = self._function("Verify", "Verifies authentication codes of messages with KMS", environment)
        self.generate_function, self.generate_role = generate.function, generate.role
        self.verify_function, self.verify_role = verify.function, verify.role
        mac_key.grant_generate_mac(self.generate_role, algorithms=[self.algorithm]).assert_success()
        mac_key.grant_verify_mac(self.verify_role, algorithms=[self.algorithm]).assert_success()

    def grant_generate(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to have codes made, of any message; it needs no permission on the key."""
        return self.generate_function.grant_invoke(grantee)

    def grant_verify(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to have codes verified; it needs no permission on the key."""
        return self.verify_function.grant_invoke(grantee)
