"""Symmetric keys: what KMS documents for Encrypt, Decrypt, ReEncrypt and data keys."""

from typing import Any

import pytest

CONTEXT = {"tenant": "a", "purpose": "test"}


@pytest.mark.parametrize("length", [1, 32, 4095, 4096])
def test_decrypt_returns_what_encrypt_was_given(root_kms: Any, key: str, length: int) -> None:
    plaintext = bytes(index % 256 for index in range(length))
    sealed = root_kms.encrypt(KeyId=key, Plaintext=plaintext, EncryptionContext=CONTEXT)
    opened = root_kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert (opened["Plaintext"], opened["KeyId"], sealed["KeyId"]) == (plaintext, key, key)
    assert opened["EncryptionAlgorithm"] == sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"


@pytest.mark.parametrize("plaintext", [b"", b"x" * 4097])
def test_encrypt_refuses_empty_and_more_than_4096_bytes(
    root_kms: Any, key: str, code_of: Any, plaintext: bytes
) -> None:
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=plaintext) == "ValidationException"


def test_two_encryptions_of_the_same_differ_and_do_not_contain_it(root_kms: Any, key: str) -> None:
    plaintext = b"a secret that must not be seen"
    first, second = (root_kms.encrypt(KeyId=key, Plaintext=plaintext)["CiphertextBlob"] for _ in range(2))
    assert first != second
    assert plaintext not in first


def test_every_flipped_byte_of_a_ciphertext_is_refused(root_kms: Any, key: str, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"four", EncryptionContext=CONTEXT)["CiphertextBlob"]
    for position in range(len(blob)):
        flipped = blob[:position] + bytes([blob[position] ^ 1]) + blob[position + 1 :]
        code = code_of(root_kms.decrypt, CiphertextBlob=flipped, KeyId=key, EncryptionContext=CONTEXT)
        assert code == "InvalidCiphertextException", position


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_truncated_ciphertext_is_refused(root_kms: Any, key: str, code_of: Any, cut: int) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"four")["CiphertextBlob"]
    assert code_of(root_kms.decrypt, CiphertextBlob=blob[:-cut], KeyId=key) == "InvalidCiphertextException"


@pytest.mark.parametrize("context", [{}, {"tenant": "a"}, CONTEXT | {"more": "x"}, {"tenant": "A", "purpose": "test"}])
def test_another_encryption_context_is_refused(root_kms: Any, key: str, code_of: Any, context: dict[str, str]) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    code = code_of(root_kms.decrypt, CiphertextBlob=blob, EncryptionContext=context)
    assert code == "InvalidCiphertextException"


def test_the_order_of_the_encryption_context_does_not_matter(root_kms: Any, key: str) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    reordered = dict(reversed(CONTEXT.items()))
    assert root_kms.decrypt(CiphertextBlob=blob, EncryptionContext=reordered)["Plaintext"] == b"x"


def test_decrypt_under_another_key_is_incorrect_key(root_kms: Any, key: str, make_key: Any, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert code_of(root_kms.decrypt, CiphertextBlob=blob, KeyId=make_key()) == "IncorrectKeyException"


@pytest.mark.parametrize("garbage", [b"x", b"x" * 200, b"\x01\x02\x03\x78", b"\x01\x02\x03\x78\xff" + b"x" * 60])
def test_garbage_is_an_invalid_ciphertext(root_kms: Any, code_of: Any, garbage: bytes) -> None:
    assert code_of(root_kms.decrypt, CiphertextBlob=garbage) == "InvalidCiphertextException"


def test_re_encrypt_moves_a_ciphertext_to_another_key_and_context(root_kms: Any, key: str, make_key: Any) -> None:
    other = make_key()
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"moved", EncryptionContext=CONTEXT)["CiphertextBlob"]
    moved = root_kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext=CONTEXT,
        DestinationKeyId=other, DestinationEncryptionContext={"to": "b"},
    )  # fmt: skip
    opened = root_kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"to": "b"})
    assert (moved["SourceKeyId"], moved["KeyId"], opened["Plaintext"], opened["KeyId"]) == (key, other, b"moved", other)


def test_re_encrypt_refuses_another_source_context_and_source_key(
    root_kms: Any, key: str, make_key: Any, code_of: Any
) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    other = make_key()
    refused = code_of(root_kms.re_encrypt, CiphertextBlob=blob, DestinationKeyId=other)
    assert refused == "InvalidCiphertextException"
    request = {"CiphertextBlob": blob, "SourceEncryptionContext": CONTEXT, "DestinationKeyId": other}
    assert code_of(root_kms.re_encrypt, SourceKeyId=other, **request) == "IncorrectKeyException"


def test_a_symmetric_key_refuses_an_rsa_algorithm(root_kms: Any, key: str, code_of: Any) -> None:
    request = {"KeyId": key, "Plaintext": b"x", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    assert code_of(root_kms.encrypt, **request) == "InvalidKeyUsageException"


def test_a_disabled_key_refuses_until_it_is_enabled_again(root_kms: Any, key: str, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    root_kms.disable_key(KeyId=key)
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x") == "DisabledException"
    assert code_of(root_kms.decrypt, CiphertextBlob=blob) == "DisabledException"
    assert code_of(root_kms.generate_data_key, KeyId=key, KeySpec="AES_256") == "DisabledException"
    root_kms.enable_key(KeyId=key)
    assert root_kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_a_key_pending_deletion_is_in_an_invalid_state(root_kms: Any, key: str, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    root_kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert code_of(root_kms.decrypt, CiphertextBlob=blob) == "KMSInvalidStateException"
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x") == "KMSInvalidStateException"


@pytest.mark.parametrize("reference", ["00000000-0000-0000-0000-000000000000", "alias/never-made"])
def test_a_key_that_does_not_exist_is_not_found(root_kms: Any, code_of: Any, reference: str) -> None:
    assert code_of(root_kms.encrypt, KeyId=reference, Plaintext=b"x") == "NotFoundException"


def test_a_key_is_found_by_id_arn_alias_and_alias_arn(root_kms: Any, key: str) -> None:
    root_kms.create_alias(AliasName="alias/data-plane", TargetKeyId=key)
    alias_arn = key.rsplit(":", 1)[0] + ":alias/data-plane"
    for reference in (key, key.rsplit("/", 1)[1], "alias/data-plane", alias_arn):
        assert root_kms.encrypt(KeyId=reference, Plaintext=b"x")["KeyId"] == key


def test_a_dry_run_reports_success_and_returns_nothing(root_kms: Any, key: str, code_of: Any) -> None:
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x", DryRun=True) == "DryRunOperationException"
