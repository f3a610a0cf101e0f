"""Payloads from outsiders that stay secret from a later quantum computer."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import HpkeReceiver, KeyEncapsulationKey, KeyLifecycle, PublicKeyExport
from stacks.support import ReferenceStack, instance_role, outputs


class HpkeStack(ReferenceStack):
    """HPKE: an ML-KEM public key is published, anyone encrypts for it, one function decrypts."""

    NAME = "KmsPatterns-Hpke"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = KeyEncapsulationKey(self, "Key", alias="hpke", lifecycle=lifecycle)
        export = PublicKeyExport(self, "Export", keys={"orders": key}, lifecycle=lifecycle)
        receiver = HpkeReceiver(self, "Receiver", encapsulation_key=key, purpose="orders")
        reader = instance_role(self, "Reader")
        receiver.grant_decrypt(reader)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "PublicKeyUrl": export.url("orders"),
                "PublishRoleArn": export.publish_role.role_arn,
                "ServeRoleArn": export.serve_role.role_arn,
                "DecryptFunctionName": receiver.function.function_name,
                "DecryptRoleArn": receiver.role.role_arn,
                "ReaderRoleArn": reader.role_arn,
            },
        )
