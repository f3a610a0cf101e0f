"""Files of any size: every object that arrives in the inbox is encrypted into the vault by itself."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptedBucket, EncryptionKey, EnvelopeCipher

app = cdk.App()
stack = cdk.Stack(app, "Files")

storage = EncryptionKey(stack, "StorageKey", alias="files/storage")
inbox, vault, restored = (
    EncryptedBucket(stack, name, encryption_key=storage) for name in ("Inbox", "Vault", "Restored")
)
cipher = EnvelopeCipher(
    stack,
    "Cipher",
    encryption_key=EncryptionKey(stack, "Key", alias="files/content"),
    source=inbox,
    destination=vault,
    restored=restored,
    encryption_context={"department": "archive"},
    encrypt_on_create=True,
)
cipher.grant_decrypt(iam.Role(stack, "Archivist", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com")))

app.synth()
