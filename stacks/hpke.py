"""Payloads from outsiders that stay secret from a later quantum computer."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns import HpkeReceiver, KeyAgreementKey, KeyEncapsulationKey, KeyLifecycle, MlKemSpec, PublicKeyExport
from stacks import ReferenceStack, instance_role, outputs


class HpkeStack(ReferenceStack):
    """HPKE: an ML-KEM public key, and a pair of ML-KEM and ECDH, are published; one function for each decrypts."""

    NAME = "KmsPatterns-Hpke"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = KeyEncapsulationKey(self, "Key", alias="hpke", lifecycle=lifecycle)
        lattice = KeyEncapsulationKey(self, "LatticeKey", key_spec=MlKemSpec.ML_KEM_1024, lifecycle=lifecycle)
        curve = KeyAgreementKey(self, "CurveKey", key_spec=kms.KeySpec.ECC_NIST_P384, lifecycle=lifecycle)
        export = PublicKeyExport(
            self,
            "Export",
            keys={"orders": key, "orders-ml-kem": lattice, "orders-ecdh": curve},
            lifecycle=lifecycle,
        )
        receiver = HpkeReceiver(self, "Receiver", encapsulation_key=key, purpose="orders")
        both = HpkeReceiver(self, "HybridReceiver", encapsulation_key=lattice, agreement_key=curve, purpose="orders")
        reader = instance_role(self, "Reader")
        receiver.grant_decrypt(reader)
        both.grant_decrypt(reader)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "PublicKeyUrl": export.url("orders"),
                "LatticeKeyUrl": export.url("orders-ml-kem"),
                "CurveKeyUrl": export.url("orders-ecdh"),
                "PublishRoleArn": export.publish_role.role_arn,
                "ServeRoleArn": export.serve_role.role_arn,
                "DecryptFunctionName": receiver.function.function_name,
                "DecryptRoleArn": receiver.role.role_arn,
                "HybridFunctionName": both.function.function_name,
                "HybridRoleArn": both.role.role_arn,
                "CurveKeyArn": curve.key_arn,
                "ReaderRoleArn": reader.role_arn,
            },
        )
