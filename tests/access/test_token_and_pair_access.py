"""Over all KMS actions: roles of tokens, codes, key pairs, key agreement and ReEncrypt have what they are named for."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kms_patterns.access import AccessMatrix

Expected = Mapping[str, Mapping[str, Any] | None]
TOKENS, MAC, PAIRS = "KmsPatterns-Tokens", "KmsPatterns-Mac", "KmsPatterns-DataKeyPairs"
AGREEMENT, MOVES = "KmsPatterns-KeyAgreement", "KmsPatterns-ReEncrypt"

SIGNED = {"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "RAW"}}
HS256 = {"StringEquals": {"kms:MacAlgorithm": "HMAC_SHA_256"}}
ECDH = {"StringEquals": {"kms:KeyAgreementAlgorithm": "ECDH"}}
TENANT = {"Null": {"kms:EncryptionContext:tenant": "false"}}
USAGE, STATE = "kms:EncryptionContext:key-usage", "kms:EncryptionContext:state"
MADE = {
    "StringEquals": {USAGE: ["SIGN_VERIFY", "ENCRYPT_DECRYPT"], "kms:DataKeyPairSpec": ["ECC_NIST_P256", "RSA_2048"]},
    **TENANT,
}
SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}


def opened(usage: str) -> dict[str, Any]:
    return {"kms:Decrypt": {"StringEquals": {USAGE: usage}, **TENANT}}


def entered(state: str) -> dict[str, Any]:
    return {"kms:ReEncryptTo": {"StringEquals": {STATE: state}, **TENANT}}


# Stack -> key -> role -> all that it may do with the key. Whoever is not named may do nothing that counts as use.
ACCESS: dict[str, dict[str, dict[str, Expected]]] = {
    TOKENS: {
        "Key": {"Issuer/Issue/Role": {"kms:Sign": SIGNED}, "Issuer/Jwks/Role": {"kms:GetPublicKey": None}},
        "PreviousKey": {"Issuer/Jwks/Role": {"kms:GetPublicKey": None}},
    },
    MAC: {
        "Key": {
            "Authenticator/Generate/Role": {"kms:GenerateMac": HS256},
            "Authenticator/Verify/Role": {"kms:VerifyMac": HS256},
        },
        "SessionKey": {
            "Sessions/Issue/Role": {"kms:GenerateMac": HS256},
            "Sessions/Verify/Role": {"kms:VerifyMac": HS256},
        },
    },
    PAIRS: {
        "Key": {
            "Pairs/Generate/Role": {"kms:GenerateDataKeyPairWithoutPlaintext": MADE},
            "Pairs/Sign/Role": opened("SIGN_VERIFY"),
            "Pairs/Decrypt/Role": opened("ENCRYPT_DECRYPT"),
        },
    },
    AGREEMENT: {
        "Key": {
            "Agreement/Seal/Role": {"kms:DeriveSharedSecret": ECDH},
            "Agreement/Open/Role": {"kms:DeriveSharedSecret": ECDH},
            "PublisherRole": {"kms:GetPublicKey": None},
        },
    },
    MOVES: {
        "OldKey": {
            "Archive/ReEncrypt/Role": {"kms:ReEncryptFrom": TENANT},
            "WriterRole": {"kms:Encrypt": TENANT},
        },
        "NewKey": {
            "Archive/ReEncrypt/Role": entered("archived"),
            "Receive/ReEncrypt/Role": entered("received"),
            "ReaderRole": {"kms:Decrypt": TENANT},
        },
        "IntakeKey": {
            "Receive/ReEncrypt/Role": {"kms:ReEncryptFrom": SHA_256},
            "PublisherRole": {"kms:GetPublicKey": None},
        },
    },
}
KEYS = [(stack, key) for stack, keys in ACCESS.items() for key in keys]


@pytest.fixture
def reference(matrix: Callable[[str], AccessMatrix]) -> AccessMatrix:
    return matrix("app")


@pytest.mark.parametrize(("stack", "key"), KEYS)
def test_roles_have_exactly_this_and_nobody_else_uses_the_key(stack: str, key: str, reference: AccessMatrix) -> None:
    roles = ACCESS[stack][key]
    for role, expected in roles.items():
        reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", expected)
    # Whoever reads a public key uses no key; the first check sees that it is all they do.
    users = [f"{stack}/{role}" for role, expected in roles.items() if expected.keys() - {"kms:GetPublicKey"}]
    reference.assert_nobody_else(f"{stack}/{key}", users)
    reference.assert_administrator_cannot_use(f"{stack}/{key}")
    for missing in users:
        with pytest.raises(AssertionError, match=f"{missing}: kms:"):
            reference.assert_nobody_else(f"{stack}/{key}", [user for user in users if user != missing])


@pytest.mark.parametrize(("stack", "key"), KEYS)
def test_role_of_another_key_has_nothing_here(stack: str, key: str, reference: AccessMatrix) -> None:
    roles = {role for others in ACCESS[stack].values() for role in others} - ACCESS[stack][key].keys()
    for role in roles:
        reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", {})


def test_weaker_condition_would_be_found(reference: AccessMatrix) -> None:
    for stack, role, action in (
        (TOKENS, "Issuer/Issue/Role", "kms:Sign"),
        (MAC, "Sessions/Issue/Role", "kms:GenerateMac"),
        (PAIRS, "Pairs/Sign/Role", "kms:Decrypt"),
        (AGREEMENT, "Agreement/Open/Role", "kms:DeriveSharedSecret"),
    ):
        key = "SessionKey" if stack == MAC else "Key"
        with pytest.raises(AssertionError, match=f"{action}: expected always, reachable when"):
            reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", {action: None})
