"""Assertions that an app's own tests make about access."""

from collections.abc import Callable

import pytest

from kms_patterns.access import AccessMatrix

VIA_S3 = {"kms:ViaService": "s3.<region>.amazonaws.com"}
BUCKET = "arn:aws:s3:::<KmsPatterns-S3/Bucket>"
CONTEXT = {"kms:EncryptionContext:aws:s3:arn": [BUCKET, f"{BUCKET}/*"]}
DOCUMENTS = {"StringEquals": VIA_S3, "StringLike": CONTEXT}


@pytest.fixture
def reference(matrix: Callable[[str], AccessMatrix]) -> AccessMatrix:
    return matrix("app")


@pytest.fixture
def convenient(matrix: Callable[[str], AccessMatrix]) -> AccessMatrix:
    return matrix("convenient_grants")


def test_exact_access_passes(reference: AccessMatrix) -> None:
    reference.assert_only("DownloaderRole", "KmsPatterns-S3/Key", {"kms:Decrypt": DOCUMENTS})


def test_equivalent_condition_passes(reference: AccessMatrix) -> None:
    by_pattern = {"StringLike": {**VIA_S3, **CONTEXT}}
    reference.assert_only("DownloaderRole", "KmsPatterns-S3/Key", {"kms:Decrypt": by_pattern})


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"kms:Decrypt": None}, "kms:Decrypt: expected always, reachable when .* [(]narrowed[)]"),
        ({"kms:Decrypt": {"StringEquals": VIA_S3}}, "kms:Decrypt: expected when .* [(]narrowed[)]"),
        ({"kms:Decrypt": DOCUMENTS, "kms:Encrypt": None}, "missing: kms:Encrypt always"),
        ({}, "unexpected: kms:Decrypt when"),
    ],
)
def test_any_difference_fails(reference: AccessMatrix, expected: dict[str, None], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        reference.assert_only("DownloaderRole", "KmsPatterns-S3/Key", expected)


def test_nobody_else_uses_the_key(reference: AccessMatrix) -> None:
    ciphers = ["KmsPatterns-Secrets/Cipher/Encrypt/Role", "KmsPatterns-Secrets/Cipher/Decrypt/Role"]
    reference.assert_nobody_else("KmsPatterns-Secrets/Key", ciphers)
    with pytest.raises(AssertionError, match="role KmsPatterns-Secrets/Cipher/Decrypt/Role: kms:Decrypt when"):
        reference.assert_nobody_else("KmsPatterns-Secrets/Key", ciphers[:1])


def test_nobody_else_touches_the_objects(reference: AccessMatrix) -> None:
    reference.assert_nobody_else("KmsPatterns-S3/Bucket", ["UploaderRole", "DownloaderRole", "ReadWriteRole"])
    with pytest.raises(AssertionError, match="s3:GetObject"):
        reference.assert_nobody_else("KmsPatterns-S3/Bucket", ["UploaderRole", "ReadWriteRole"])


def test_only_the_reader_decrypts_by_the_function(reference: AccessMatrix) -> None:
    administrators = ["account administrator", "any other role"]
    function = "KmsPatterns-Secrets/Cipher/Decrypt/Function"
    reference.assert_nobody_else(
        function, ["KmsPatterns-Secrets/ReaderRole", *administrators], actions=["lambda:InvokeFunction"]
    )
    with pytest.raises(AssertionError, match="ReaderRole: lambda:InvokeFunction always"):
        reference.assert_nobody_else(function, administrators, actions=["lambda:InvokeFunction"])


@pytest.mark.parametrize("stack", ["S3", "Secrets", "Envelope"])
def test_administrator_cannot_use_our_keys(reference: AccessMatrix, stack: str) -> None:
    reference.assert_administrator_cannot_use(f"KmsPatterns-{stack}/Key")


def test_administrator_uses_a_key_under_the_cdks_default_policy(convenient: AccessMatrix) -> None:
    with pytest.raises(AssertionError, match=r"account administrator.*: kms:Decrypt always"):
        convenient.assert_administrator_cannot_use("Data/Key")


def test_unknown_name_lists_what_there_is(reference: AccessMatrix) -> None:
    with pytest.raises(KeyError, match="KmsPatterns-S3/Key"):
        reference.assert_administrator_cannot_use("Kye")
    with pytest.raises(KeyError, match="not one of"):
        reference.assert_administrator_cannot_use("Key")
    with pytest.raises(KeyError, match="no stack 'Nowhere'"):
        reference.of_stack("Nowhere")
