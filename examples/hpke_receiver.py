"""Outsiders encrypt by HPKE for a published ML-KEM key, and one function decrypts; a hybrid receiver beside it."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns import HpkeReceiver, KeyAgreementKey, KeyEncapsulationKey, MlKemSpec, PublicKeyExport

app = cdk.App()
stack = cdk.Stack(app, "Hpke")

key = KeyEncapsulationKey(stack, "Key", alias="orders")
export = PublicKeyExport(stack, "Export", keys={"orders": key})
receiver = HpkeReceiver(stack, "Receiver", encapsulation_key=key, purpose="orders")
receiver.grant_decrypt(iam.Role(stack, "Intake", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com")))
cdk.CfnOutput(stack, "PublicKeyUrl", value=export.url("orders"))

lattice = KeyEncapsulationKey(stack, "LatticeKey", key_spec=MlKemSpec.ML_KEM_1024)
curve = KeyAgreementKey(stack, "CurveKey", key_spec=kms.KeySpec.ECC_NIST_P384)
HpkeReceiver(stack, "HybridReceiver", encapsulation_key=lattice, agreement_key=curve, purpose="orders")

app.synth()
