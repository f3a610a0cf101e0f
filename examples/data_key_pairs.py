"""A key pair per tenant: one service has it made, another signs with it; anyone verifies, without AWS."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import DataKeyPairs, EncryptionKey

app = cdk.App()
stack = cdk.Stack(app, "Pairs")
instances = iam.ServicePrincipal("ec2.amazonaws.com")

key = EncryptionKey(stack, "Key", alias="pairs")
pairs = DataKeyPairs(stack, "Pairs", encryption_key=key, required_context=["tenant"], pair_specs=["ECC_NIST_P256"])
pairs.grant_generate(iam.Role(stack, "Onboarding", assumed_by=instances))
pairs.grant_sign(iam.Role(stack, "Invoicing", assumed_by=instances))

app.synth()
