"""Encrypting files from one bucket to another, and back."""

from collections.abc import Iterator

from tests.access.minimality.world import (
    Access,
    Scenario,
    administration,
    assumed,
    bound_to_tenant,
    download,
    function,
    upload,
)

STACK = "KmsPatterns-Envelope"
FEWEST_REMOVALS = 160
USES_DEPLOYED = 2
TENANT = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"}}
ACCESS: Access = {
    "Key": {
        "Cipher/Encrypt/Role": {"kms:GenerateDataKey": TENANT},
        "Cipher/Decrypt/Role": {"kms:Decrypt": TENANT},
        "OperatorRole": {},
    },
}


def scenarios() -> Iterator[Scenario]:
    key, storage = f"{STACK}/Key", f"{STACK}/StorageKey"
    inbox, vault, restored = (f"{STACK}/{name}" for name in ("Inbox", "Vault", "Restored"))
    encrypt, decrypt, operator = (
        f"{STACK}/{name}" for name in ("Cipher/Encrypt/Role", "Cipher/Decrypt/Role", "OperatorRole")
    )
    yield from administration(key)
    yield from administration(storage)
    yield from bound_to_tenant(encrypt, "kms:GenerateDataKey", key)
    yield from bound_to_tenant(decrypt, "kms:Decrypt", key)
    for role, bucket in ((encrypt, inbox), (decrypt, vault), (operator, vault), (operator, restored)):
        yield from download(role, bucket, storage)
    for role, bucket in ((encrypt, vault), (decrypt, restored), (operator, inbox)):
        yield from upload(role, bucket, storage)
    for side in ("Encrypt", "Decrypt"):
        yield from function(f"{STACK}/Cipher/{side}")
        yield Scenario(operator, "lambda:InvokeFunction", f"{STACK}/Cipher/{side}/Function", allowed=True)
    yield from assumed(operator, "ec2.amazonaws.com")
