"""Ciphertexts that leave a key which is to be retired: moved inside KMS, each to the same tenant, read by no one."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey, ReEncryptor

app = cdk.App()
stack = cdk.Stack(app, "Move")

old, new = EncryptionKey(stack, "Old", alias="old"), EncryptionKey(stack, "New", alias="new")
move = ReEncryptor(stack, "Move", source_key=old, destination_key=new, kept_context=["tenant"])
move.grant_re_encrypt(iam.Role(stack, "Mover", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com")))

app.synth()
