"""Agreeing on keys, in two functions, and handing out the public key."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, function

STACK = "KmsPatterns-KeyAgreement"
FEWEST_REMOVALS = 50
USES_DEPLOYED = 0
ECDH = {"StringEquals": {"kms:KeyAgreementAlgorithm": "ECDH"}}
ACCESS: Access = {
    "Key": {
        "Agreement/Encrypt/Role": {"kms:DeriveSharedSecret": ECDH},
        "Agreement/Decrypt/Role": {"kms:DeriveSharedSecret": ECDH},
        "PublisherRole": {"kms:GetPublicKey": None},
    },
}

_CALLERS = {"Encrypt": "Sender", "Decrypt": "Receiver"}
_DERIVE = "kms:DeriveSharedSecret"
_ECDH = {"kms:KeyAgreementAlgorithm": "ECDH"}


def scenarios() -> Iterator[Scenario]:
    key = f"{STACK}/Key"
    yield from administration(key)
    for side, caller in _CALLERS.items():
        role = f"{STACK}/Agreement/{side}/Role"
        yield Scenario(role, _DERIVE, key, allowed=True, context=_ECDH)
        yield Scenario(role, _DERIVE, key, allowed=False, context={"kms:KeyAgreementAlgorithm": "SM2DH"})
        yield Scenario(role, "kms:GetPublicKey", key, allowed=False)
        yield from function(f"{STACK}/Agreement/{side}")
        for other in _CALLERS:
            target = f"{STACK}/Agreement/{other}/Function"
            yield Scenario(f"{STACK}/{caller}Role", "lambda:InvokeFunction", target, allowed=other == side)
        yield from assumed(f"{STACK}/{caller}Role", "ec2.amazonaws.com")
    publisher = f"{STACK}/PublisherRole"
    yield Scenario(publisher, "kms:GetPublicKey", key, allowed=True)
    yield Scenario(publisher, _DERIVE, key, allowed=False, context=_ECDH)
    yield from assumed(publisher, "ec2.amazonaws.com")
    for action in (_DERIVE, "kms:GetPublicKey"):
        yield Scenario("any other role", action, key, allowed=False, context=_ECDH)
        yield Scenario("account administrator", action, key, allowed=False, context=_ECDH)
