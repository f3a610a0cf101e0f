"""Tenants of one key: each role decrypts the values of its own tenant, which its tag names, and no others."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey

app = cdk.App()
stack = cdk.Stack(app, "Tenants")

key = EncryptionKey(stack, "Key", alias="tenants")
for tenant in ("blue", "red"):
    role = iam.Role(stack, tenant.title(), assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    cdk.Tags.of(role).add("tenant", tenant)
    # AWS puts the tag of the caller in its place, so the statement is the same for all tenants.
    key.grant_encrypt_decrypt(role, encryption_context={"tenant": "${aws:PrincipalTag/tenant}"})

app.synth()
