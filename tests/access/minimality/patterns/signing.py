"""Signing and verifying with one algorithm, by functions that two roles may call."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, function, publication

STACK = "KmsPatterns-Signing"
FEWEST_REMOVALS = 85
USES_DEPLOYED = 2
ECDSA = {"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256"}}
ACCESS: Access = {
    "Key": {
        "Export/Publish/Role": {"kms:GetPublicKey": None},
        "Export/Serve/Role": {},
        "Signer/Sign/Role": {"kms:Sign": ECDSA},
        "Signer/Verify/Role": {"kms:Verify": ECDSA},
        "AuthorRole": {},
        "ReaderRole": {},
    },
}
ALGORITHM = {"kms:SigningAlgorithm": "ECDSA_SHA_256"}


def scenarios() -> Iterator[Scenario]:
    key = f"{STACK}/Key"
    yield from administration(key)
    yield from publication(f"{STACK}/Export", "messages", key)
    for name in ("Sign", "Verify"):
        yield Scenario("account administrator", f"kms:{name}", key, allowed=False, context=ALGORITHM)
    for side, caller in (("Sign", "Author"), ("Verify", "Reader")):
        role, other = f"{STACK}/Signer/{side}/Role", "Verify" if side == "Sign" else "Sign"
        yield from signing(role, f"kms:{side}", key)
        yield Scenario(role, f"kms:{other}", key, allowed=False, context=ALGORITHM)
        yield from function(f"{STACK}/Signer/{side}")
        for called, allowed in ((side, True), (other, False)):
            place = f"{STACK}/Signer/{called}/Function"
            yield Scenario(f"{STACK}/{caller}Role", "lambda:InvokeFunction", place, allowed=allowed)
        yield from assumed(f"{STACK}/{caller}Role", "ec2.amazonaws.com")


def signing(role: str, action: str, key: str) -> Iterator[Scenario]:
    """With the pinned algorithm, by this role; not with another one, and not by another role."""
    yield Scenario(role, action, key, allowed=True, context=ALGORITHM)
    yield Scenario(role, action, key, allowed=False, context={"kms:SigningAlgorithm": "ECDSA_SHA_384"})
    yield Scenario("any other role", action, key, allowed=False, context=ALGORITHM)
