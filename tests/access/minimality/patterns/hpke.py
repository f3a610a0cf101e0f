"""Receiving HPKE messages in one function, and publishing the public key."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, function, publication

STACK = "KmsPatterns-Hpke"
FEWEST_REMOVALS = 60
USES_DEPLOYED = 1
ML_KEM = {"StringEquals": {"kms:EncapsulationAlgorithm": "ML_KEM"}}
ACCESS: Access = {
    "Key": {
        "Export/Publish/Role": {"kms:GetPublicKey": None},
        "Export/Serve/Role": {},
        "Receiver/Decrypt/Role": {"kms:Decapsulate": ML_KEM},
        "ReaderRole": {},
    },
}

_PINNED = {"kms:EncapsulationAlgorithm": "ML_KEM"}
_OTHER = {"kms:EncapsulationAlgorithm": "ML_KEM_2"}


def scenarios() -> Iterator[Scenario]:
    key, role, reader = f"{STACK}/Key", f"{STACK}/Receiver/Decrypt/Role", f"{STACK}/ReaderRole"
    yield from administration(key)
    yield from publication(f"{STACK}/Export", "orders", key)
    yield Scenario(role, "kms:Decapsulate", key, allowed=True, context=_PINNED)
    yield Scenario(role, "kms:Decapsulate", key, allowed=False, context=_OTHER)
    yield Scenario(role, "kms:Encapsulate", key, allowed=False, context=_PINNED)
    yield from function(f"{STACK}/Receiver/Decrypt")
    yield Scenario(reader, "lambda:InvokeFunction", f"{STACK}/Receiver/Decrypt/Function", allowed=True)
    yield from assumed(reader, "ec2.amazonaws.com")
    for other in ("any other role", "account administrator"):
        yield Scenario(other, "kms:Decapsulate", key, allowed=False, context=_PINNED)
