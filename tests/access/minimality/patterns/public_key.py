"""A published RSA key, under which one function encrypts and another decrypts."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, function, pinned, publication

STACK = "KmsPatterns-PublicKey"
FEWEST_REMOVALS = 80
USES_DEPLOYED = 2
SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}
ACCESS: Access = {
    "Key": {
        "Export/Publish/Role": {"kms:GetPublicKey": None},
        "Export/Serve/Role": {},
        "Cipher/Encrypt/Role": {"kms:Encrypt": SHA_256},
        "Cipher/Decrypt/Role": {"kms:Decrypt": SHA_256},
        "WriterRole": {},
        "ReaderRole": {},
    },
}


def scenarios() -> Iterator[Scenario]:
    key = f"{STACK}/Key"
    yield from administration(key)
    yield from publication(f"{STACK}/Export", "partners", key)
    for side, other, caller in (("Encrypt", "Decrypt", "Writer"), ("Decrypt", "Encrypt", "Reader")):
        role = f"{STACK}/Cipher/{side}/Role"
        yield from pinned(role, f"kms:{side}", key)
        yield from function(f"{STACK}/Cipher/{side}")
        yield from assumed(f"{STACK}/{caller}Role", "ec2.amazonaws.com")
        for called, allowed in ((side, True), (other, False)):
            place = f"{STACK}/Cipher/{called}/Function"
            yield Scenario(f"{STACK}/{caller}Role", "lambda:InvokeFunction", place, allowed=allowed)
