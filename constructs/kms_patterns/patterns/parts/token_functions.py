"""What both kinds of token issuers have: the function that issues, and how it and its companion are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Duration, Stack, aws_iam, aws_lambda, aws_logs
from constructs import Construct

from kms_patterns.functions.data_plane_function import DataPlaneFunction, ExactFunction
from kms_patterns.keys.mac_key import MacKey
from kms_patterns.keys.signing_key import SigningKey
from kms_patterns.patterns.parts.key_uses import TOKENS, use_key
from kms_patterns.patterns.parts.token_choices import check_keys, check_lifetime, check_names, check_token_type
from kms_patterns.patterns.parts.token_choices import jose_algorithm as algorithm_of

_HANDLERS = "kms_runtime.handlers.token_issuer"


@dataclass(frozen=True)
class FunctionOptions:
    """What all functions of one issuer have in common."""

    memory_size: int
    timeout: Duration | None
    log_retention: aws_logs.RetentionDays
    retry_attempts: int
    tracing: aws_lambda.Tracing


class TokenFunctions(Construct):
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
        options: FunctionOptions,
    ) -> None:
        super().__init__(scope, construct_id)
        lifetime = token_lifetime or Duration.minutes(15)
        check_keys(keys)
        check_names(issuer, audiences, required_claims)
        check_lifetime(lifetime)
        check_token_type(token_type)
        for key in keys:
            use_key(key, TOKENS, self)
        self._options = options
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

    def _function(self, name: str, description: str, environment: Mapping[str, str]) -> DataPlaneFunction:
        return DataPlaneFunction(
            self,
            name,
            handler=f"{_HANDLERS}.{name.lower()}",
            description=description,
            environment=environment,
            memory_size=self._options.memory_size,
            timeout=self._options.timeout or Duration.seconds(10),
            log_retention=self._options.log_retention,
            retry_attempts=self._options.retry_attempts,
            tracing=self._options.tracing,
        )

    @property
    def _token_keys(self) -> dict[str, str]:
        """The variable that names each key and its algorithm, the current key first."""
        return {"TOKEN_KEYS": self._json(self._algorithms)}

    def _json(self, value: object) -> str:
        return Stack.of(self).to_json_string(value)
