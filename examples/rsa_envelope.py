"""Files of any size from outsiders: encrypted with the public key, opened by themselves when they arrive."""

import aws_cdk as cdk

from kms_patterns import EncryptedBucket, EncryptionKey, PublicKeyExport, RsaEncryptionKey, RsaEnvelopeCipher

app = cdk.App()
stack = cdk.Stack(app, "Mail")

storage = EncryptionKey(stack, "StorageKey", alias="mail/storage")
inbox, opened = (EncryptedBucket(stack, name, encryption_key=storage) for name in ("Inbox", "Opened"))
key = RsaEncryptionKey(stack, "Key", alias="mail")
export = PublicKeyExport(stack, "Export", keys={"mail": key})
RsaEnvelopeCipher(
    stack,
    "Cipher",
    encryption_key=key,
    source=inbox,
    destination=opened,
    encryption_context={"sender": "acme"},
    decrypt_on_create=True,
)
cdk.CfnOutput(stack, "PublicKey", value=export.url("mail"))

app.synth()
