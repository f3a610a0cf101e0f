"""Over all KMS actions: each role of stacks that publish a key has the one it is named for, and nobody has another."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kms_patterns.access import AccessMatrix

SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}
ECDSA = {"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256"}}
DIGESTS = {"StringEquals": {"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256"}}
PUBLIC, ENVELOPE = "KmsPatterns-PublicKey", "KmsPatterns-RsaEnvelope"
SIGNING, RELEASES = "KmsPatterns-Signing", "KmsPatterns-CodeSigning"
ACCESS = [
    (PUBLIC, "Export/Publish/Role", {"kms:GetPublicKey": None}),
    (PUBLIC, "Export/Serve/Role", {}),
    (PUBLIC, "Cipher/Encrypt/Role", {"kms:Encrypt": SHA_256}),
    (PUBLIC, "Cipher/Decrypt/Role", {"kms:Decrypt": SHA_256}),
    (PUBLIC, "WriterRole", {}),
    (PUBLIC, "ReaderRole", {}),
    (ENVELOPE, "Export/Publish/Role", {"kms:GetPublicKey": None}),
    (ENVELOPE, "Export/Serve/Role", {}),
    (ENVELOPE, "Cipher/Decrypt/Role", {"kms:Decrypt": SHA_256}),
    (ENVELOPE, "OperatorRole", {}),
    (SIGNING, "Export/Publish/Role", {"kms:GetPublicKey": None}),
    (SIGNING, "Export/Serve/Role", {}),
    (SIGNING, "Signer/Sign/Role", {"kms:Sign": ECDSA}),
    (SIGNING, "Signer/Verify/Role", {"kms:Verify": ECDSA}),
    (SIGNING, "AuthorRole", {}),
    (SIGNING, "ReaderRole", {}),
    (RELEASES, "Export/Publish/Role", {"kms:GetPublicKey": None}),
    (RELEASES, "Export/Serve/Role", {}),
    (RELEASES, "Signer/Sign/Role", {"kms:Sign": DIGESTS}),
    (RELEASES, "BuilderRole", {}),
    (RELEASES, "PublisherRole", {}),
]


@pytest.fixture
def reference(matrix: Callable[[str], AccessMatrix]) -> AccessMatrix:
    return matrix("app")


@pytest.mark.parametrize(
    ("stack", "role", "expected"), ACCESS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_role_has_exactly_this(
    stack: str, role: str, expected: Mapping[str, Mapping[str, Any] | None], reference: AccessMatrix
) -> None:
    reference.assert_only(f"{stack}/{role}", f"{stack}/Key", expected)


@pytest.mark.parametrize("stack", [PUBLIC, ENVELOPE, SIGNING, RELEASES])
def test_nobody_else_uses_the_key(stack: str, reference: AccessMatrix) -> None:
    named = [f"{stack}/{role}" for where, role, expected in ACCESS if where == stack and expected]
    reference.assert_nobody_else(f"{stack}/Key", named)
    reference.assert_administrator_cannot_use(f"{stack}/Key")
    with pytest.raises(AssertionError, match=rf"{named[-1]}: kms:\w+ when"):
        reference.assert_nobody_else(f"{stack}/Key", named[:-1])


def test_weaker_pin_would_be_found(reference: AccessMatrix) -> None:
    with pytest.raises(AssertionError, match="kms:Decrypt: expected always, reachable when"):
        reference.assert_only(f"{PUBLIC}/Cipher/Decrypt/Role", f"{PUBLIC}/Key", {"kms:Decrypt": None})


@pytest.mark.parametrize("stack", [PUBLIC, ENVELOPE, SIGNING, RELEASES])
def test_only_the_publishing_role_writes_what_is_published(stack: str, reference: AccessMatrix) -> None:
    writes = ["s3:PutObject", "s3:ReplicateObject"]
    publisher = [f"{stack}/Export/Publish/Role"]
    reference.assert_nobody_else(f"{stack}/Export/Bucket", publisher, actions=writes)
    with pytest.raises(AssertionError, match="s3:PutObject"):
        reference.assert_nobody_else(f"{stack}/Export/Bucket", [], actions=writes)
