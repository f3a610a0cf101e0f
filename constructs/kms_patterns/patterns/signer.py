"""Signs and verifies in KMS, behind two functions with one permission each and one algorithm."""

from collections.abc import Sequence

from aws_cdk import aws_iam
from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import SigningKey
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import CALLERS_BYTES, chosen_algorithm, use_key


class Signer(FunctionPattern):
    """Two Lambda functions: one may only ``kms:Sign``, the other only ``kms:Verify``, both with one algorithm.

    Roles and key policy demand the algorithm, so a function that is taken over cannot sign with a weaker one. Callers
    need no permission on the key: grant them a function with :meth:`grant_sign` or :meth:`grant_verify`. They send
    messages of up to 4096 bytes, or the digest of longer ones.

    Any holder of the public key verifies without AWS, faster and at no cost (``kms_runtime.signatures.verify``). The
    verify function is for callers without a library for it, for a trail of who verified, and for keys whose deletion
    or disabling must stop verification at once.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        signing_key: Key that signs.
        algorithm: The only one, such as ``RSASSA_PSS_SHA_256``. Defaults to the key's, if it has only one: RSA and
            Ed25519 keys have several.
        message_types: ``RAW``, ``DIGEST`` or ``EXTERNAL_MU``, demanded by roles and key policy: ``["DIGEST"]`` keeps
            messages out of KMS calls altogether. Defaults to every type that the algorithm accepts.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 256 MiB and 10 seconds.
            The logs contain neither messages nor signatures.

    Attributes:
        sign_function: Signs, and can do nothing else with the key.
        sign_role: Its role.
        verify_function: Verifies, and can do nothing else with the key.
        verify_role: Its role.

    Raises:
        ValueError: The key does not have the algorithm, has several and none is named, or also signs tokens.
        GrantRefused: A message type that KMS does not know.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        signing_key: SigningKey,
        algorithm: str | None = None,
        message_types: Sequence[str] | None = None,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="signer")
        self.algorithm = chosen_algorithm(signing_key, algorithm)
        use_key(signing_key, CALLERS_BYTES, self)

        environment = {"KEY_ARN": signing_key.key_arn, "SIGNING_ALGORITHM": self.algorithm}
        sign = self._function("Sign", "Signs messages of up to 4096 bytes, or digests, with KMS", environment)
        verify = self._function("Verify", "Verifies signatures with KMS", environment)
        self.sign_function, self.sign_role = sign.function, sign.role
        self.verify_function, self.verify_role = verify.function, verify.role
        for grant, role in ((signing_key.grant_sign, self.sign_role), (signing_key.grant_verify, self.verify_role)):
            grant(role, algorithms=[self.algorithm], message_types=message_types).assert_success()

    def grant_sign(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the sign function, so to sign anything; it needs no permission on the key."""
        return self.sign_function.grant_invoke(grantee)

    def grant_verify(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the verify function; it needs no permission on the key."""
        return self.verify_function.grant_invoke(grantee)
