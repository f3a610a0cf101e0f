"""Signed tokens and the address of their keys, in the middle of a roll-over from one key to the next."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import KeyLifecycle, SigningKey, TokenIssuer
from stacks import ReferenceStack, instance_role, outputs

ISSUER, AUDIENCE = "https://tokens.example.com", "orders"


class TokensStack(ReferenceStack):
    """Tokens of a tenant's users: issued by a function, verified by anyone, with the current key or the one before."""

    NAME = "KmsPatterns-Tokens"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = SigningKey(self, "Key", alias="tokens", lifecycle=lifecycle)
        previous = SigningKey(self, "PreviousKey", alias="previous-tokens", lifecycle=lifecycle)
        issuer = TokenIssuer(
            self,
            "Issuer",
            signing_key=key,
            previous_keys=[previous],
            issuer=ISSUER,
            audiences=[AUDIENCE, "invoices"],
            required_claims=["tenant"],
        )
        client = instance_role(self, "Client")
        issuer.grant_issue(client)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "PreviousKeyArn": previous.key_arn,
                "IssueFunctionName": issuer.issue_function.function_name,
                "IssueRoleArn": issuer.issue_role.role_arn,
                "JwksFunctionName": issuer.jwks_function.function_name,
                "JwksRoleArn": issuer.jwks_role.role_arn,
                "JwksUrl": issuer.jwks_url,
                "ClientRoleArn": client.role_arn,
            },
        )
