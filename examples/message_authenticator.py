"""Authentication codes: one service has messages authenticated, another has them verified and can make none."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import MacKey, MessageAuthenticator

app = cdk.App()
stack = cdk.Stack(app, "Messages")
instances = iam.ServicePrincipal("ec2.amazonaws.com")

authenticator = MessageAuthenticator(stack, "Authenticator", mac_key=MacKey(stack, "Key", alias="messages"))
authenticator.grant_generate(iam.Role(stack, "Sender", assumed_by=instances))
authenticator.grant_verify(iam.Role(stack, "Receiver", assumed_by=instances))

app.synth()
