"""Encrypting and decrypting small values, by functions that two roles may call."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, bound_to_tenant, function, tenant

STACK = "KmsPatterns-Secrets"
FEWEST_REMOVALS = 50
USES_DEPLOYED = 4
TENANT = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"}}
OF_ITS_TAG = {
    "StringEquals": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"},
    "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"},
}
ACCESS: Access = {
    "Key": {
        "Cipher/Encrypt/Role": {"kms:Encrypt": TENANT},
        "Cipher/Decrypt/Role": {"kms:Decrypt": TENANT},
        **{f"{name}Role": dict.fromkeys(("kms:Decrypt", "kms:Encrypt"), OF_ITS_TAG) for name in ("Blue", "Red")},
    },
}


def scenarios() -> Iterator[Scenario]:
    key = f"{STACK}/Key"
    yield from administration(key)
    for side, action, caller in (("Encrypt", "kms:Encrypt", "Writer"), ("Decrypt", "kms:Decrypt", "Reader")):
        role = f"{STACK}/Cipher/{side}/Role"
        yield from bound_to_tenant(role, action, key)
        yield from function(f"{STACK}/Cipher/{side}")
        yield Scenario(
            f"{STACK}/{caller}Role", "lambda:InvokeFunction", f"{STACK}/Cipher/{side}/Function", allowed=True
        )
        yield from assumed(f"{STACK}/{caller}Role", "ec2.amazonaws.com")
        other = f"{STACK}/Cipher/{'Decrypt' if side == 'Encrypt' else 'Encrypt'}/Function"
        yield Scenario(f"{STACK}/{caller}Role", "lambda:InvokeFunction", other, allowed=False)
    for name in ("Blue", "Red"):
        role, tag = f"{STACK}/{name}Role", "aws:PrincipalTag/tenant"
        yield from assumed(role, "ec2.amazonaws.com")
        for action in ("kms:Decrypt", "kms:Encrypt"):
            yield from bound_to_tenant(role, action, key, {tag: "blue"})
            for other in ({}, {tag: "red"}):
                yield Scenario(role, action, key, allowed=False, context={**tenant(), **other})
    parameter = "arn:aws:ssm:any-region-1:888877776666:parameter/kms-patterns/secrets/a"
    yield Scenario(f"{STACK}/WriterRole", "dynamodb:PutItem", f"{STACK}/Table", allowed=True)
    yield Scenario(f"{STACK}/ReaderRole", "dynamodb:GetItem", f"{STACK}/Table", allowed=True)
    yield Scenario(f"{STACK}/WriterRole", "ssm:PutParameter", parameter, allowed=True)
    yield Scenario(f"{STACK}/ReaderRole", "ssm:GetParameter", parameter, allowed=True)
