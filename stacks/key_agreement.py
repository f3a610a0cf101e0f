"""Payloads encrypted between a KMS key and an outsider."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import KeyAgreement, KeyAgreementKey, KeyLifecycle
from stacks import ReferenceStack, instance_role, outputs


class KeyAgreementStack(ReferenceStack):
    """Key agreement: outsiders encrypt orders and decrypt answers with a key pair of their own."""

    NAME = "KmsPatterns-KeyAgreement"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = KeyAgreementKey(self, "Key", alias="agreement", lifecycle=lifecycle)
        agreement = KeyAgreement(self, "Agreement", agreement_key=key, purpose="orders")
        receiver, sender, publisher = (instance_role(self, name) for name in ("Receiver", "Sender", "Publisher"))
        agreement.grant_decrypt(receiver)
        agreement.grant_encrypt(sender)
        key.grant_public_key(publisher)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "EncryptFunctionName": agreement.encrypt_function.function_name,
                "DecryptFunctionName": agreement.decrypt_function.function_name,
                "EncryptRoleArn": agreement.encrypt_role.role_arn,
                "DecryptRoleArn": agreement.decrypt_role.role_arn,
                "ReceiverRoleArn": receiver.role_arn,
                "SenderRoleArn": sender.role_arn,
                "PublisherRoleArn": publisher.role_arn,
            },
        )
