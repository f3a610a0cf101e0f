"""Messages that one service signs and another verifies, with a key that never leaves KMS."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns import Signer, SigningKey

app = cdk.App()
stack = cdk.Stack(app, "Orders")
instances = iam.ServicePrincipal("ec2.amazonaws.com")

key = SigningKey(stack, "Key", alias="orders", key_spec=kms.KeySpec.RSA_3072)
signer = Signer(stack, "Signer", signing_key=key, algorithm="RSASSA_PSS_SHA_256")
signer.grant_sign(iam.Role(stack, "Author", assumed_by=instances))
signer.grant_verify(iam.Role(stack, "Reader", assumed_by=instances))

app.synth()
