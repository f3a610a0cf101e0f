"""Secrets of up to 4096 bytes, bound to a tenant: one service may encrypt them, another may decrypt them."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey, SecretCipher

app = cdk.App()
stack = cdk.Stack(app, "Secrets")
instances = iam.ServicePrincipal("ec2.amazonaws.com")

key = EncryptionKey(stack, "Key", alias="secrets")
cipher = SecretCipher(stack, "Cipher", encryption_key=key, required_context=["tenant"])
cipher.grant_encrypt(iam.Role(stack, "Writer", assumed_by=instances))
cipher.grant_decrypt(iam.Role(stack, "Reader", assumed_by=instances))

app.synth()
