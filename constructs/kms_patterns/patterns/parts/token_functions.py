"""What both kinds of token issuers have: the function that issues, and how it and its companion are made."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack, aws_iam
from constructs import Construct

from kms_patterns.functions.data_plane_function import ExactFunction
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.mac_key import MacKey
from kms_patterns.keys.signing_key import SigningKey
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import TOKENS, use_key
from kms_patterns.patterns.parts.token_choices import check_keys, check_lifetime, check_names, check_token_type
from kms_patterns.patterns.parts.token_choices import jose_algorithm as algorithm_of


class TokenFunctions(FunctionPattern):
    """Base of the token issuers; use one of those: ``TokenIssuer`` or ``MacTokenIssuer``."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        keys: Sequence[SigningKey] | Sequence[MacKey],
        issuer: str,
        audiences: Sequence[str],
        required_claims: Sequence[str],
        token_lifetime: Duration | None,
        token_type: str,
        rsa_algorithm: str,
        options: FunctionOptions | None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="token_issuer")
        lifetime = token_lifetime or Duration.minutes(15)
        check_keys(keys)
        check_names(issuer, audiences, required_claims)
        check_lifetime(lifetime)
        check_token_type(token_type)
        for key in keys:
            use_key(key, TOKENS, self)
        self._algorithms = {key.key_arn: algorithm_of(key, rsa_algorithm) for key in keys}
        self._expected = {
            "ISSUER": issuer,
            "AUDIENCES": self._json(list(audiences)),
            "REQUIRED_CLAIMS": self._json(list(required_claims)),
            "TOKEN_TYPE": token_type,
        }
        self.algorithm = self._algorithms[keys[0].key_arn]
        own = {"KEY_ARN": keys[0].key_arn, "TOKEN_ALGORITHM": self.algorithm}
        times = {"TOKEN_LIFETIME": str(lifetime.to_seconds())}
        self._issue = self._function("Issue", "Issues tokens signed by KMS", {**self._expected, **own, **times})

    @property
    def issue_function(self) -> ExactFunction:
        """The function that issues tokens and can do nothing else with the key."""
        return self._issue.function

    @property
    def issue_role(self) -> aws_iam.Role:
        """The role of the issuing function."""
        return self._issue.role

    def grant_issue(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to get tokens, for any subject; it needs no permission on the key."""
        return self.issue_function.grant_invoke(grantee)

    @property
    def _token_keys(self) -> dict[str, str]:
        """The variable that names each key and its algorithm, the current key first."""
        return {"TOKEN_KEYS": self._json(self._algorithms)}

    def _json(self, value: object) -> str:
        return Stack.of(self).to_json_string(value)
