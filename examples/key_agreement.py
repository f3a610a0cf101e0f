"""Partners encrypt orders for a KMS key with a key pair of their own; one service decrypts them, another answers."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import KeyAgreement, KeyAgreementKey

app = cdk.App()
stack = cdk.Stack(app, "Agreement")
instances = iam.ServicePrincipal("ec2.amazonaws.com")

key = KeyAgreementKey(stack, "Key", alias="orders")
agreement = KeyAgreement(stack, "Agreement", agreement_key=key, purpose="orders")
agreement.grant_decrypt(iam.Role(stack, "Intake", assumed_by=instances))
agreement.grant_encrypt(iam.Role(stack, "Answers", assumed_by=instances))

app.synth()
