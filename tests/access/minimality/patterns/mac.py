"""Authentication codes and session tokens: made by functions that one role may call, verified by those of another."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, function

STACK = "KmsPatterns-Mac"
FEWEST_REMOVALS = 80
USES_DEPLOYED = 4
HS256 = {"StringEquals": {"kms:MacAlgorithm": "HMAC_SHA_256"}}
ACCESS: Access = {
    "Key": {
        "Authenticator/Generate/Role": {"kms:GenerateMac": HS256},
        "Authenticator/Verify/Role": {"kms:VerifyMac": HS256},
    },
    "SessionKey": {"Sessions/Issue/Role": {"kms:GenerateMac": HS256}, "Sessions/Verify/Role": {"kms:VerifyMac": HS256}},
}

# Key, the function that makes codes with it, the one that verifies them.
PAIRS = (("Key", "Authenticator/Generate", "Authenticator/Verify"), ("SessionKey", "Sessions/Issue", "Sessions/Verify"))


def scenarios() -> Iterator[Scenario]:
    for name, makes, verifies in PAIRS:
        yield from administration(f"{STACK}/{name}")
        for place, action, caller in ((makes, "GenerateMac", "Sender"), (verifies, "VerifyMac", "Receiver")):
            yield from _held_to_its_algorithm(f"{STACK}/{place}/Role", f"kms:{action}", f"{STACK}/{name}")
            yield from function(f"{STACK}/{place}")
            called = f"{STACK}/{place}/Function"
            yield Scenario(f"{STACK}/{caller}Role", "lambda:InvokeFunction", called, allowed=True)
        yield Scenario(f"{STACK}/{makes}/Role", "kms:VerifyMac", f"{STACK}/{name}", allowed=False, context=_with("256"))
        yield Scenario(
            f"{STACK}/{verifies}/Role", "kms:GenerateMac", f"{STACK}/{name}", allowed=False, context=_with("256")
        )
        yield Scenario(f"{STACK}/SenderRole", "lambda:InvokeFunction", f"{STACK}/{verifies}/Function", allowed=False)
        yield Scenario(f"{STACK}/ReceiverRole", "lambda:InvokeFunction", f"{STACK}/{makes}/Function", allowed=False)
    for caller in ("Sender", "Receiver"):
        yield from assumed(f"{STACK}/{caller}Role", "ec2.amazonaws.com")


def _with(bits: str) -> dict[str, str]:
    return {"kms:MacAlgorithm": f"HMAC_SHA_{bits}"}


def _held_to_its_algorithm(role: str, action: str, key: str) -> Iterator[Scenario]:
    yield Scenario(role, action, key, allowed=True, context=_with("256"))
    yield Scenario(role, action, key, allowed=False, context=_with("512"))
    yield Scenario("any other role", action, key, allowed=False, context=_with("256"))
