"""Opening what outsiders wrote into the inbox with a published RSA key."""

from collections.abc import Iterator

from tests.access.minimality.world import (
    Access,
    Scenario,
    administration,
    assumed,
    download,
    function,
    pinned,
    publication,
    upload,
)

STACK = "KmsPatterns-RsaEnvelope"
FEWEST_REMOVALS = 130
USES_DEPLOYED = 1
SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}
ACCESS: Access = {
    "Key": {
        "Export/Publish/Role": {"kms:GetPublicKey": None},
        "Export/Serve/Role": {},
        "Cipher/Decrypt/Role": {"kms:Decrypt": SHA_256},
        "OperatorRole": {},
    },
}


def scenarios() -> Iterator[Scenario]:
    key, storage = f"{STACK}/Key", f"{STACK}/StorageKey"
    inbox, opened = f"{STACK}/Inbox", f"{STACK}/Opened"
    decrypt, operator = f"{STACK}/Cipher/Decrypt/Role", f"{STACK}/OperatorRole"
    yield from administration(key)
    yield from administration(storage)
    yield from publication(f"{STACK}/Export", "mail", key)
    yield from pinned(decrypt, "kms:Decrypt", key)
    yield from function(f"{STACK}/Cipher/Decrypt")
    yield from download(decrypt, inbox, storage)
    yield from download(operator, opened, storage)
    yield from upload(decrypt, opened, storage)
    yield from upload(operator, inbox, storage)
    yield Scenario(operator, "lambda:InvokeFunction", f"{STACK}/Cipher/Decrypt/Function", allowed=True)
    yield from assumed(operator, "ec2.amazonaws.com")
