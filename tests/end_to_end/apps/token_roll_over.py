"""One key of an issuer follows another, a deployment per step: context ``step`` is 1, 2 or 3."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms

from kms_patterns import KeyLifecycle, SigningKey, TokenIssuer

app = cdk.App()
stack = cdk.Stack(app, "RollOver")
step = int(app.node.try_get_context("step"))

old = SigningKey(stack, "Old", key_spec=kms.KeySpec.RSA_2048, lifecycle=KeyLifecycle.EPHEMERAL)
new = SigningKey(stack, "New", lifecycle=KeyLifecycle.EPHEMERAL) if step > 1 else None
issuer = TokenIssuer(
    stack,
    "Issuer",
    signing_key=new if new and step == 3 else old,
    next_keys=[new] if new and step == 2 else [],
    previous_keys=[old] if step == 3 else [],
    issuer="https://tokens.example.com",
    audiences=["orders"],
)
for name, value in {
    "IssueFunctionName": issuer.issue_function.function_name,
    "JwksUrl": issuer.jwks_url,
    "OldKeyArn": old.key_arn,
    "NewKeyArn": new.key_arn if new else "none",
}.items():
    cdk.CfnOutput(stack, name, value=value)

app.synth()
