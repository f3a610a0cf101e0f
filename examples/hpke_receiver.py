"""Outsiders encrypt by HPKE for a published ML-KEM key; one function decrypts, and one role may invoke it."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import HpkeReceiver, KeyEncapsulationKey, PublicKeyExport

app = cdk.App()
stack = cdk.Stack(app, "Hpke")

key = KeyEncapsulationKey(stack, "Key", alias="orders")
export = PublicKeyExport(stack, "Export", keys={"orders": key})
receiver = HpkeReceiver(stack, "Receiver", encapsulation_key=key, purpose="orders")
receiver.grant_decrypt(iam.Role(stack, "Intake", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com")))
cdk.CfnOutput(stack, "PublicKeyUrl", value=export.url("orders"))

app.synth()
