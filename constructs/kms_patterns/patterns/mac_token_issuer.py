"""Issues tokens (JWT) under an HMAC key of KMS, which alone can verify them."""

from collections.abc import Sequence

from aws_cdk import Duration, aws_iam
from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.symmetric_keys import MacKey
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.patterns.parts.token_functions import TOKEN_ALGORITHMS, TokenFunctions, check_time


class MacTokenIssuer(TokenFunctions):
    """Two functions: one issues tokens by ``kms:GenerateMac``, the other verifies them by ``kms:VerifyMac``.

    It has no JWKS address, because the key is secret: any holder of it could issue tokens, and it never
    leaves KMS. Readers invoke the verify function, one call of KMS per verification; disabling the key ends all
    its tokens at once. If readers are many, or outside of AWS, take a ``TokenIssuer``.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        mac_key: The key of new tokens: HMAC_256 (HS256), HMAC_384 or HMAC_512.
        issuer: ``iss``: who issues, usually an address that starts with ``https://``.
        audiences: ``aud``: who reads the tokens; a request names one, or means the only one.
        previous_keys: Keys of tokens that have not expired yet; they make nothing new.
        required_claims: Claims that every token has besides the registered ones, such as ``["tenant"]``.
        token_lifetime: The longest time that a token is valid, up to 24 hours. Defaults to 15 minutes.
        clock_skew: How much the clock may differ between issuing and verifying, up to 5 minutes. Defaults to 30
            seconds.
        token_type: ``typ``, such as ``at+jwt``: tokens for another purpose should have another.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 256 MiB and 10 seconds.
            No token is in the logs.

    Attributes:
        verify_function: Verifies tokens, and can make none.
        verify_role: Its role.

    Raises:
        ValueError: No token algorithm exists for a key's spec, a key authenticates other data in another pattern, or a
            name or duration is out of range.

    See https://docs.aws.amazon.com/kms/latest/developerguide/hmac.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        mac_key: MacKey,
        issuer: str,
        audiences: Sequence[str],
        previous_keys: Sequence[MacKey] = (),
        required_claims: Sequence[str] = (),
        token_lifetime: Duration | None = None,
        clock_skew: Duration | None = None,
        token_type: str = "JWT",  # noqa: S107 - a header's value
        options: FunctionOptions | None = None,
    ) -> None:
        keys = [mac_key, *previous_keys]
        for key in keys:
            check_key_of_app(scope.node.path, "a key of tokens", key, MacKey)
        skew = Duration.seconds(30) if clock_skew is None else clock_skew
        check_time("clock_skew", skew)
        super().__init__(
            scope,
            construct_id,
            keys=keys,
            issuer=issuer,
            audiences=audiences,
            required_claims=required_claims,
            token_lifetime=token_lifetime,
            token_type=token_type,
            rsa_algorithm="PS256",
            options=options,
        )
        expected = {**self._expected, **self._token_keys, "CLOCK_SKEW": str(skew.to_seconds())}
        verify = self._function("Verify", "Verifies tokens by KMS", expected)
        self.verify_function, self.verify_role = verify.function, verify.role
        mac_key.grant_generate_mac(self.issue_role, algorithms=[_kms_name(self.algorithm)]).assert_success()
        for key in keys:
            algorithms = [_kms_name(self._algorithms[key.key_arn])]
            key.grant_verify_mac(self.verify_role, algorithms=algorithms).assert_success()

    def grant_verify(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to have tokens verified; it needs no permission on the key."""
        return self.verify_function.grant_invoke(grantee)


def _kms_name(algorithm: str) -> str:
    return TOKEN_ALGORITHMS[algorithm].kms_name
