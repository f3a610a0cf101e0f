"""Tokens: signed with the current key by one function, their keys read by another."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, function

STACK = "KmsPatterns-Tokens"
FEWEST_REMOVALS = 55
USES_DEPLOYED = 1
SIGNED = {"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "RAW"}}
ACCESS: Access = {
    "Key": {"Issuer/Issue/Role": {"kms:Sign": SIGNED}, "Issuer/Jwks/Role": {"kms:GetPublicKey": None}},
    "PreviousKey": {"Issuer/Jwks/Role": {"kms:GetPublicKey": None}},
}

SIGNED = {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "RAW"}


def scenarios() -> Iterator[Scenario]:
    key, previous = f"{STACK}/Key", f"{STACK}/PreviousKey"
    issue, jwks = f"{STACK}/Issuer/Issue", f"{STACK}/Issuer/Jwks"
    client = f"{STACK}/ClientRole"
    for one in (key, previous):
        yield from administration(one)
        yield Scenario(f"{jwks}/Role", "kms:GetPublicKey", one, allowed=True)
        yield Scenario(f"{issue}/Role", "kms:GetPublicKey", one, allowed=False)
        yield Scenario("any other role", "kms:GetPublicKey", one, allowed=False)
        for who in (f"{jwks}/Role", "any other role", "account administrator"):
            yield Scenario(who, "kms:Sign", one, allowed=False, context=SIGNED)
    yield Scenario(f"{issue}/Role", "kms:Sign", key, allowed=True, context=SIGNED)
    yield Scenario(f"{issue}/Role", "kms:Sign", previous, allowed=False, context=SIGNED)
    for name, value in (("kms:SigningAlgorithm", "ECDSA_SHA_384"), ("kms:MessageType", "DIGEST")):
        yield Scenario(f"{issue}/Role", "kms:Sign", key, allowed=False, context={**SIGNED, name: value})
    for side in (issue, jwks):
        yield from function(side)
    yield Scenario(client, "lambda:InvokeFunction", f"{issue}/Function", allowed=True)
    yield from assumed(client, "ec2.amazonaws.com")
