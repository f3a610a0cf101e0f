import pytest

from kms_runtime import decrypt_secret, encrypt_secret
from kms_runtime.aws_errors import IncorrectKeyException, InvalidArnException, InvalidCiphertextException
from kms_runtime.errors import EncryptionContextInvalid, InvalidRequest, PlaintextEmpty, PlaintextTooLarge

CONTEXT = {"tenant": "a"}


@pytest.fixture
def common(kms, key_arn):
    return {"key_arn": key_arn, "encryption_context": CONTEXT, "kms_client": kms}


@pytest.mark.parametrize("size", [1, 4095, 4096])
def test_secret_round_trips_up_to_the_limit_of_kms(size, common, kms, key_arn):
    made = encrypt_secret(b"x" * size, **common)
    found = decrypt_secret(made.ciphertext, **common)
    assert (found.plaintext, found.key_arn, found.encryption_algorithm) == (b"x" * size, key_arn, "SYMMETRIC_DEFAULT")
    assert [(name, call["KeyId"], call["EncryptionContext"]) for name, call in kms.calls] == [
        ("Encrypt", key_arn, CONTEXT),
        ("Decrypt", key_arn, CONTEXT),
    ]


def test_empty_secret_is_refused_before_any_call(common, kms):
    with pytest.raises(PlaintextEmpty, match="1 to 4096 bytes"):
        encrypt_secret(b"", **common)
    assert kms.calls == []


def test_too_large_secret_is_refused_before_any_call_and_shown_the_way_out(common, kms):
    with pytest.raises(PlaintextTooLarge, match=r"has 4097 bytes .* at most 4096; .*envelope encryption"):
        encrypt_secret(b"x" * 4097, **common)
    assert kms.calls == []


@pytest.mark.parametrize("size", [0, 6145])
def test_ciphertext_that_kms_cannot_have_made_is_refused_before_any_call(size, common, kms):
    with pytest.raises(InvalidRequest, match=f"{size} bytes"):
        decrypt_secret(bytes(size), **common)
    assert kms.calls == []


def test_reserved_context_is_refused_before_any_call(common, kms):
    with pytest.raises(EncryptionContextInvalid):
        encrypt_secret(b"x", **common | {"encryption_context": {"aws-crypto-x": "y"}})
    assert kms.calls == []


def test_alias_is_refused_before_any_call(common, kms):
    with pytest.raises(InvalidArnException):
        encrypt_secret(b"x", **common | {"key_arn": "alias/orders"})
    assert kms.calls == []


@pytest.mark.parametrize("context", [{}, {"tenant": "b"}, {"tenant": "a", "more": "x"}])
def test_another_context_is_refused(context, common):
    made = encrypt_secret(b"secret", **common)
    with pytest.raises(InvalidCiphertextException):
        decrypt_secret(made.ciphertext, **common | {"encryption_context": context})


def test_tampered_ciphertext_is_refused(common):
    made = encrypt_secret(b"secret", **common)
    with pytest.raises(InvalidCiphertextException):
        decrypt_secret(made.ciphertext[:-1] + bytes([made.ciphertext[-1] ^ 1]), **common)


def test_ciphertext_of_another_key_is_refused(common, other_key_arn):
    made = encrypt_secret(b"secret", **common | {"key_arn": other_key_arn})
    with pytest.raises(IncorrectKeyException):
        decrypt_secret(made.ciphertext, **common)


@pytest.mark.parametrize("operation", [encrypt_secret, decrypt_secret])
def test_answer_about_another_key_is_refused(operation, common, kms, other_key_arn):
    data = encrypt_secret(b"secret", **common).ciphertext if operation is decrypt_secret else b"secret"
    kms.answer_as = other_key_arn
    with pytest.raises(IncorrectKeyException, match="is for"):
        operation(data, **common)


def test_decrypted_secret_does_not_show_in_repr(common):
    found = decrypt_secret(encrypt_secret(b"hush-hush", **common).ciphertext, **common)
    assert "hush" not in repr(found)
