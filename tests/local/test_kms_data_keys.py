"""Data keys, data key pairs, the ciphertext blob, and the key material that ImportKeyMaterial refuses.

https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
https://docs.aws.amazon.com/kms/latest/APIReference/API_ImportKeyMaterial.html
"""

import os
import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from kms_patterns.local.server.kms import ciphertext
from kms_patterns.local.server.kms.kms_errors import KmsError

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


MATERIAL, MATERIAL_ID, BOUND = os.urandom(32), os.urandom(16), {"tenant": "a"}


def _sealed() -> bytes:
    return ciphertext.encrypt("key-1", MATERIAL, MATERIAL_ID, b"plaintext", BOUND)


def test_a_blob_opens_under_its_material_and_context() -> None:
    blob = ciphertext.parse(_sealed())
    assert blob is not None
    assert (blob.key_id, blob.material_id) == ("key-1", MATERIAL_ID)
    assert ciphertext.decrypt(blob, MATERIAL, BOUND) == b"plaintext"


@pytest.mark.parametrize("change", [{"key_id": "key-2"}, {"material_id": bytes(16)}, {"nonce": bytes(12)}])
def test_a_blob_that_names_another_key_does_not_open_even_under_the_right_material(change: dict[str, str]) -> None:
    blob = ciphertext.parse(_sealed())
    assert blob is not None
    with pytest.raises(KmsError, check=lambda refused: refused.code == "InvalidCiphertextException"):
        ciphertext.decrypt(replace(blob, **change), MATERIAL, BOUND)  # type: ignore[arg-type]


def test_what_is_too_short_or_begins_otherwise_is_no_blob() -> None:
    sealed = _sealed()
    shortest = len(sealed) - len(b"plaintext")
    assert ciphertext.parse(sealed[:shortest]) is not None
    for raw in (b"", sealed[:4], sealed[: shortest - 1], b"x" + sealed[1:]):
        assert ciphertext.parse(raw) is None


DAY = 86400


@pytest.fixture
def external(root_kms: Any) -> str:
    return str(root_kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"])


@pytest.mark.parametrize(
    ("model", "days"),
    [
        ("KEY_MATERIAL_EXPIRES", -1),
        ("KEY_MATERIAL_EXPIRES", 366),
        ("KEY_MATERIAL_EXPIRES", None),
        ("KEY_MATERIAL_DOES_NOT_EXPIRE", 30),
    ],
)
def test_an_expiry_that_is_past_too_far_missing_or_in_excess_is_refused(
    root_kms: Any, external: str, code_of: Any, model: str, days: int | None
) -> None:
    given: Any = {"ValidTo": time.time() + days * DAY} if days else {}
    request = {"KeyId": external, "ImportToken": b"t", "EncryptedKeyMaterial": b"m", "ExpirationModel": model}
    assert code_of(root_kms.import_key_material, **request, **given) == "ValidationException"


def test_a_key_without_further_material_does_not_rotate_on_demand(root_kms: Any, external: str, code_of: Any) -> None:
    assert code_of(root_kms.rotate_key_on_demand, KeyId=external) == "KMSInvalidStateException"


def test_an_import_type_is_for_symmetric_keys(root_kms: Any, code_of: Any) -> None:
    key = root_kms.create_key(Origin="EXTERNAL", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    request = {"KeyId": key["Arn"], "ImportToken": b"t", "EncryptedKeyMaterial": b"m", "ImportType": "NEW_KEY_MATERIAL"}
    model = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    assert code_of(root_kms.import_key_material, **request, **model) == "ValidationException"
