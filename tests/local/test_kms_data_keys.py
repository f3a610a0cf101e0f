"""Data keys, data key pairs, and the keys that cannot make them.

https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
"""

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

CONTEXT = {"tenant": "a", "purpose": "test"}


@pytest.mark.parametrize(("request_", "length"), [
    ({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1}, 1),
    ({"NumberOfBytes": 1024}, 1024),
])  # fmt: skip
def test_a_data_key_has_the_requested_length_and_decrypts(
    root_kms: Any, key: str, request_: dict[str, Any], length: int
) -> None:
    made = root_kms.generate_data_key(KeyId=key, EncryptionContext=CONTEXT, **request_)
    opened = root_kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert (len(made["Plaintext"]), opened["Plaintext"], made["KeyId"]) == (length, made["Plaintext"], key)


@pytest.mark.parametrize("request_", [
    {}, {"KeySpec": "AES_256", "NumberOfBytes": 32}, {"NumberOfBytes": 1025}, {"KeySpec": "AES_512"},
])  # fmt: skip
def test_a_data_key_needs_exactly_one_valid_length(root_kms: Any, key: str, code_of: Any, request_: Any) -> None:
    assert code_of(root_kms.generate_data_key, KeyId=key, **request_) == "ValidationException"


def test_a_data_key_without_plaintext_reveals_none(root_kms: Any, key: str) -> None:
    made = root_kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256")
    assert "Plaintext" not in made
    assert len(root_kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"]) == 32


def test_the_private_key_of_a_data_key_pair_decrypts(root_kms: Any, key: str) -> None:
    pair = root_kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256", EncryptionContext=CONTEXT)
    opened = root_kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == pair["PrivateKeyPlaintext"]
    assert load_der_private_key(opened["Plaintext"], password=None) is not None
    hidden = root_kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P256")
    assert "PrivateKeyPlaintext" not in hidden


@pytest.mark.parametrize(("spec", "usage"), [
    ("RSA_2048", "SIGN_VERIFY"), ("ECC_NIST_P256", "SIGN_VERIFY"), ("HMAC_256", "GENERATE_VERIFY_MAC"),
])  # fmt: skip
def test_keys_for_another_use_refuse_encryption(
    root_kms: Any, make_key: Any, code_of: Any, spec: str, usage: str
) -> None:
    key = make_key(KeySpec=spec, KeyUsage=usage)
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x") == "InvalidKeyUsageException"
    assert code_of(root_kms.generate_data_key, KeyId=key, KeySpec="AES_256") == "InvalidKeyUsageException"


def test_an_rsa_encryption_key_encrypts_but_makes_no_data_keys(root_kms: Any, make_key: Any, code_of: Any) -> None:
    key = make_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    request = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    blob = root_kms.encrypt(Plaintext=b"x", **request)["CiphertextBlob"]
    assert root_kms.decrypt(CiphertextBlob=blob, **request)["Plaintext"] == b"x"
    assert code_of(root_kms.generate_data_key, KeyId=key, KeySpec="AES_256") == "InvalidKeyUsageException"
    made = code_of(root_kms.generate_data_key_pair, KeyId=key, KeyPairSpec="ECC_NIST_P256")
    assert made == "InvalidKeyUsageException"
