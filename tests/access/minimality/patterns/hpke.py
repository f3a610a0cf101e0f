"""Receiving HPKE messages in one function, and publishing the public key."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, function, publication

STACK = "KmsPatterns-Hpke"
FEWEST_REMOVALS = 60
USES_DEPLOYED = 3
ML_KEM = {"StringEquals": {"kms:EncapsulationAlgorithm": "ML_KEM"}}
ECDH = {"StringEquals": {"kms:KeyAgreementAlgorithm": "ECDH"}}
ACCESS: Access = {
    "Key": {
        "Export/Publish/Role": {"kms:GetPublicKey": None},
        "Export/Serve/Role": {},
        "Receiver/Decrypt/Role": {"kms:Decapsulate": ML_KEM},
        "HybridReceiver/Decrypt/Role": {},
        "ReaderRole": {},
    },
    "LatticeKey": {
        "Export/Publish/Role": {"kms:GetPublicKey": None},
        "HybridReceiver/Decrypt/Role": {"kms:Decapsulate": ML_KEM},
    },
    "CurveKey": {
        "Export/Publish/Role": {"kms:GetPublicKey": None},
        "HybridReceiver/Decrypt/Role": {"kms:DeriveSharedSecret": ECDH, "kms:GetPublicKey": None},
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
    lattice, curve, hybrid = f"{STACK}/LatticeKey", f"{STACK}/CurveKey", f"{STACK}/HybridReceiver/Decrypt/Role"
    agreed = {"kms:KeyAgreementAlgorithm": "ECDH"}
    for other_key, name in ((lattice, "orders-ml-kem"), (curve, "orders-ecdh")):
        yield from administration(other_key)
        yield from publication(f"{STACK}/Export", name, other_key)
    for action, other_key, pin in (("kms:Decapsulate", lattice, _PINNED), ("kms:DeriveSharedSecret", curve, agreed)):
        yield Scenario(hybrid, action, other_key, allowed=True, context=pin)
        yield Scenario(hybrid, action, other_key, allowed=False, context=dict.fromkeys(pin, "OTHER"))
        for other in ("any other role", "account administrator"):
            yield Scenario(other, action, other_key, allowed=False, context=pin)
    yield Scenario(hybrid, "kms:GetPublicKey", curve, allowed=True)
    yield Scenario(role, "kms:DeriveSharedSecret", curve, allowed=False, context=agreed)
    yield from function(f"{STACK}/HybridReceiver/Decrypt")
    yield Scenario(reader, "lambda:InvokeFunction", f"{STACK}/HybridReceiver/Decrypt/Function", allowed=True)
    yield Scenario(reader, "lambda:InvokeFunction", f"{STACK}/Receiver/Decrypt/Function", allowed=True)
    yield from assumed(reader, "ec2.amazonaws.com")
    for other in ("any other role", "account administrator"):
        yield Scenario(other, "kms:Decapsulate", key, allowed=False, context=_PINNED)
