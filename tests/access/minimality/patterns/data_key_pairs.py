"""Making key pairs of two specs for two usages, and opening their private keys for one usage each."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, function, tenant

STACK = "KmsPatterns-DataKeyPairs"
FEWEST_REMOVALS = 70
USES_DEPLOYED = 0
SPECS, USAGES = ["ECC_NIST_P256", "RSA_2048"], ["SIGN_VERIFY", "ENCRYPT_DECRYPT"]
USAGE = "kms:EncryptionContext:key-usage"
NAMES = "kms:EncryptionContextKeys"
SPELT = {"ForAnyValue:StringEquals": {NAMES: "key-usage"}, "ForAnyValue:StringLike": {NAMES: "tenant"}}
ACCESS: Access = {
    "Key": {
        "Pairs/Generate/Role": {
            "kms:GenerateDataKeyPairWithoutPlaintext": {
                "StringEquals": {USAGE: USAGES, "kms:DataKeyPairSpec": SPECS},
                **SPELT,
            }
        },
        "Pairs/Sign/Role": {"kms:Decrypt": {"StringEquals": {USAGE: "SIGN_VERIFY"}, **SPELT}},
        "Pairs/Decrypt/Role": {"kms:Decrypt": {"StringEquals": {USAGE: "ENCRYPT_DECRYPT"}, **SPELT}},
    },
}

_USAGES = {"Sign": "SIGN_VERIFY", "Decrypt": "ENCRYPT_DECRYPT"}
_CALLERS = {"Generate": "Maker", "Sign": "Signer", "Decrypt": "Reader"}
_ILL_SPELT = (["key-usage"], ["key-usage", "Tenant"], ["Key-Usage", "tenant"])
_MAKE = "kms:GenerateDataKeyPairWithoutPlaintext"


def scenarios() -> Iterator[Scenario]:
    key = f"{STACK}/Key"
    yield from administration(key)
    yield from _generation(f"{STACK}/Pairs/Generate/Role", key)
    for side, usage in _USAGES.items():
        yield from _opening(f"{STACK}/Pairs/{side}/Role", key, usage)
    for side, caller in _CALLERS.items():
        yield from function(f"{STACK}/Pairs/{side}")
        for other in _CALLERS:
            target = f"{STACK}/Pairs/{other}/Function"
            yield Scenario(f"{STACK}/{caller}Role", "lambda:InvokeFunction", target, allowed=other == side)
        yield from assumed(f"{STACK}/{caller}Role", "ec2.amazonaws.com")


def _generation(role: str, key: str) -> Iterator[Scenario]:
    for spec in ("ECC_NIST_P256", "RSA_2048"):
        for usage in _USAGES.values():
            yield Scenario(role, _MAKE, key, allowed=True, context=_pair(usage, spec))
    usual = _pair("SIGN_VERIFY", "ECC_NIST_P256")
    yield Scenario(role, _MAKE, key, allowed=False, context=_pair("SIGN_VERIFY", "RSA_4096"))
    yield Scenario(role, _MAKE, key, allowed=False, context=_pair("KEY_AGREEMENT", "ECC_NIST_P256"))
    for names in _ILL_SPELT:
        yield Scenario(role, _MAKE, key, allowed=False, context={**usual, NAMES: names})
    yield Scenario(role, "kms:GenerateDataKeyPair", key, allowed=False, context=usual)
    yield Scenario(role, "kms:Decrypt", key, allowed=False, context=usual)
    yield Scenario("any other role", _MAKE, key, allowed=False, context=usual)


def _opening(role: str, key: str, usage: str) -> Iterator[Scenario]:
    yield Scenario(role, "kms:Decrypt", key, allowed=True, context=_pair(usage))
    for other in {*_USAGES.values()} - {usage}:
        yield Scenario(role, "kms:Decrypt", key, allowed=False, context=_pair(other))
    for names in _ILL_SPELT:
        yield Scenario(role, "kms:Decrypt", key, allowed=False, context={**_pair(usage), NAMES: names})
    yield Scenario("any other role", "kms:Decrypt", key, allowed=False, context=_pair(usage))


def _pair(usage: str, spec: str | None = None) -> dict[str, str | list[str]]:
    pinned = {"kms:DataKeyPairSpec": spec} if spec else {}
    return {**tenant(), USAGE: usage, NAMES: ["key-usage", "tenant"], **pinned}
