"""Files of any size from outsiders, in envelopes for a public key."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import (
    EncryptedBucket,
    EncryptionKey,
    KeyLifecycle,
    PublicKeyExport,
    RsaEncryptionKey,
    RsaEnvelopeCipher,
)
from stacks import ReferenceStack, acknowledge_bucket, instance_role, outputs


class RsaEnvelopeStack(ReferenceStack):
    """Envelope encryption for outsiders: they write into the inbox without KMS, one function opens what they wrote."""

    NAME = "KmsPatterns-RsaEnvelope"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        storage = EncryptionKey(self, "StorageKey", alias="mail/storage", lifecycle=lifecycle)
        key = RsaEncryptionKey(self, "Key", alias="mail", lifecycle=lifecycle)
        inbox = EncryptedBucket(self, "Inbox", encryption_key=storage)
        opened = EncryptedBucket(self, "Opened", encryption_key=storage)
        export = PublicKeyExport(self, "Export", keys={"mail": key}, lifecycle=lifecycle)
        cipher = RsaEnvelopeCipher(
            self, "Cipher", encryption_key=key, source=inbox, destination=opened, required_context=["sender"]
        )
        operator = instance_role(self, "Operator")
        inbox.grant_upload(operator, multipart=True)
        opened.grant_download(operator)
        cipher.grant_decrypt(operator)
        for bucket in (inbox, opened):
            acknowledge_bucket(bucket, operator)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "PublicKeyUrl": export.url("mail"),
                "DecryptFunctionName": cipher.decrypt_function.function_name,
                "DecryptRoleArn": cipher.decrypt_role.role_arn,
                "InboxName": inbox.bucket_name,
                "OpenedName": opened.bucket_name,
                "OperatorRoleArn": operator.role_arn,
            },
        )
