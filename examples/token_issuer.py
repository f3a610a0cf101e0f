"""Signed tokens: one service gets them, and everyone verifies them with the keys at the address of the output."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import SigningKey, TokenIssuer

app = cdk.App()
stack = cdk.Stack(app, "Tokens")

issuer = TokenIssuer(
    stack,
    "Issuer",
    signing_key=SigningKey(stack, "Key2027", alias="tokens/2027"),
    previous_keys=[SigningKey(stack, "Key2026", alias="tokens/2026")],
    issuer="https://tokens.example.com",
    audiences=["orders"],
    required_claims=["tenant"],
)
issuer.grant_issue(iam.Role(stack, "Login", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com")))
cdk.CfnOutput(stack, "JwksUrl", value=issuer.jwks_url)

app.synth()
