"""Moving ciphertexts from an old key, and from outsiders' RSA encryption, to a new key."""

from collections.abc import Iterator, Mapping

from tests.access.minimality.world import Access, Scenario, administration, assumed, bound_to_tenant, function, tenant

STACK = "KmsPatterns-ReEncrypt"
FEWEST_REMOVALS = 70
USES_DEPLOYED = 0
TENANT = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"}}
SPELT = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "state"}}
BOTH = {**SPELT, "ForAnyValue:StringLike": {"kms:EncryptionContextKeys": "tenant"}}
ARCHIVED = {"StringEquals": {"kms:EncryptionContext:state": "archived"}, **BOTH}
RECEIVED = {"StringEquals": {"kms:EncryptionContext:state": "received"}, **BOTH}
SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}
ACCESS: Access = {
    "OldKey": {"Archive/ReEncrypt/Role": {"kms:ReEncryptFrom": TENANT}, "WriterRole": {"kms:Encrypt": TENANT}},
    "NewKey": {
        "Archive/ReEncrypt/Role": {"kms:ReEncryptTo": ARCHIVED},
        "Receive/ReEncrypt/Role": {"kms:ReEncryptTo": RECEIVED},
        "ReaderRole": {"kms:Decrypt": TENANT},
    },
    "IntakeKey": {
        "Receive/ReEncrypt/Role": {"kms:ReEncryptFrom": SHA_256},
        "PublisherRole": {"kms:GetPublicKey": None},
    },
}

_FROM, _TO = "kms:ReEncryptFrom", "kms:ReEncryptTo"
_NAMES = "kms:EncryptionContextKeys"
Context = Mapping[str, str | list[str]]
_OAEP = "kms:EncryptionAlgorithm"


def scenarios() -> Iterator[Scenario]:
    old, new, intake = (f"{STACK}/{name}Key" for name in ("Old", "New", "Intake"))
    for key in (old, new, intake):
        yield from administration(key)
    archive, receive = (f"{STACK}/{name}/ReEncrypt/Role" for name in ("Archive", "Receive"))
    yield from bound_to_tenant(archive, _FROM, old)
    yield from _arriving(archive, new, "archived")
    yield from _arriving(receive, new, "received")
    yield from _only(receive, _FROM, intake, {_OAEP: "RSAES_OAEP_SHA_256"}, {_OAEP: "RSAES_OAEP_SHA_1"})
    for role, key in ((archive, intake), (archive, new), (receive, old), (receive, new)):
        context = {**tenant(), _OAEP: "RSAES_OAEP_SHA_256"}
        yield Scenario(role, _FROM, key, allowed=False, context=context)
        yield Scenario(role, "kms:Decrypt", key, allowed=False, context=context)
    for name in ("Archive", "Receive"):
        yield from function(f"{STACK}/{name}/ReEncrypt")
        target = f"{STACK}/{name}/ReEncrypt/Function"
        yield Scenario(f"{STACK}/MoverRole", "lambda:InvokeFunction", target, allowed=True)
        yield Scenario(f"{STACK}/ReaderRole", "lambda:InvokeFunction", target, allowed=False)
    yield from bound_to_tenant(f"{STACK}/WriterRole", "kms:Encrypt", old)
    yield from bound_to_tenant(f"{STACK}/ReaderRole", "kms:Decrypt", new)
    yield Scenario(f"{STACK}/ReaderRole", "kms:Decrypt", old, allowed=False, context=tenant())
    yield Scenario(f"{STACK}/PublisherRole", "kms:GetPublicKey", intake, allowed=True)
    yield Scenario("any other role", "kms:GetPublicKey", intake, allowed=False)
    for name in ("Writer", "Mover", "Reader", "Publisher"):
        yield from assumed(f"{STACK}/{name}Role", "ec2.amazonaws.com")


def _arriving(role: str, key: str, state: str) -> Iterator[Scenario]:
    fixed: Context = {**tenant(), "kms:EncryptionContext:state": state, _NAMES: ["state", "tenant"]}
    yield from _only(role, _TO, key, fixed, {**fixed, "kms:EncryptionContext:state": "other"})
    for names in (["STATE", "tenant"], ["state", "Tenant"], ["state"]):
        yield Scenario(role, _TO, key, allowed=False, context={**fixed, _NAMES: names})


def _only(role: str, action: str, key: str, context: Context, other: Context) -> Iterator[Scenario]:
    yield Scenario(role, action, key, allowed=True, context=context)
    yield Scenario(role, action, key, allowed=False, context=other)
    yield Scenario("any other role", action, key, allowed=False, context=context)
