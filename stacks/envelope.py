"""Files of any size, in envelopes."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import EncryptedBucket, EncryptionKey, EnvelopeCipher, KeyLifecycle
from stacks import ReferenceStack, acknowledge_bucket, cipher_outputs, instance_role, outputs


class EnvelopeStack(ReferenceStack):
    """Envelope encryption: files of any size from an inbox into a vault, and back into a third bucket."""

    NAME = "KmsPatterns-Envelope"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        storage = EncryptionKey(self, "StorageKey", alias="storage", lifecycle=lifecycle)
        key = EncryptionKey(self, "Key", alias="files", lifecycle=lifecycle)
        inbox = EncryptedBucket(self, "Inbox", encryption_key=storage)
        vault = EncryptedBucket(self, "Vault", encryption_key=storage)
        restored = EncryptedBucket(self, "Restored", encryption_key=storage)
        cipher = EnvelopeCipher(
            self,
            "Cipher",
            encryption_key=key,
            source=inbox,
            destination=vault,
            restored=restored,
            required_context=["tenant"],
        )
        operator = instance_role(self, "Operator")
        inbox.grant_upload(operator, multipart=True)
        vault.grant_download(operator)
        restored.grant_download(operator)
        cipher.grant_encrypt(operator)
        cipher.grant_decrypt(operator)
        for bucket in (inbox, vault, restored):
            acknowledge_bucket(bucket, operator)
        outputs(self, cipher_outputs(key, cipher))
        outputs(
            self,
            {
                "InboxName": inbox.bucket_name,
                "VaultName": vault.bucket_name,
                "RestoredName": restored.bucket_name,
                "OperatorRoleArn": operator.role_arn,
            },
        )
