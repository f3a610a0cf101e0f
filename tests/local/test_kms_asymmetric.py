"""RSA encryption, key agreement, data key pairs, and which spec serves which usage.

https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
"""

from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

OAEP = {"RSAES_OAEP_SHA_1": hashes.SHA1, "RSAES_OAEP_SHA_256": hashes.SHA256}
PAIR_SPECS = ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"]


@pytest.fixture(scope="session")
def rsa_key(root_kms: Any) -> Any:
    @cache
    def make(spec: str) -> str:
        return str(root_kms.create_key(KeySpec=spec, KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"])

    return make


@pytest.mark.parametrize(("spec", "algorithm", "most"), [
    ("RSA_2048", "RSAES_OAEP_SHA_256", 190), ("RSA_2048", "RSAES_OAEP_SHA_1", 214),
    ("RSA_3072", "RSAES_OAEP_SHA_256", 318), ("RSA_3072", "RSAES_OAEP_SHA_1", 342),
    ("RSA_4096", "RSAES_OAEP_SHA_256", 446), ("RSA_4096", "RSAES_OAEP_SHA_1", 470),
])  # fmt: skip
def test_rsa_encrypts_up_to_its_limit(
    root_kms: Any, rsa_key: Any, code_of: Any, spec: str, algorithm: str, most: int
) -> None:
    request = {"KeyId": rsa_key(spec), "EncryptionAlgorithm": algorithm}
    blob = root_kms.encrypt(Plaintext=b"x" * most, **request)["CiphertextBlob"]
    opened = root_kms.decrypt(CiphertextBlob=blob, **request)
    assert (opened["Plaintext"], opened["EncryptionAlgorithm"]) == (b"x" * most, algorithm)
    assert code_of(root_kms.encrypt, Plaintext=b"x" * (most + 1), **request) == "ValidationException"


@pytest.mark.parametrize("algorithm", OAEP)
def test_what_was_encrypted_outside_with_the_public_key_decrypts(root_kms: Any, rsa_key: Any, algorithm: str) -> None:
    key, digest = rsa_key("RSA_2048"), OAEP[algorithm]()
    public: Any = load_der_public_key(root_kms.get_public_key(KeyId=key)["PublicKey"])
    blob = public.encrypt(b"outside", padding.OAEP(padding.MGF1(digest), digest, None))
    opened = root_kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm=algorithm)
    assert opened["Plaintext"] == b"outside"


@pytest.mark.parametrize(("operation", "request_", "code"), [
    ("encrypt", {"Plaintext": b"x"}, "InvalidKeyUsageException"),
    ("encrypt", {"Plaintext": b"x", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256", "EncryptionContext": {"a": "b"}},
     "ValidationException"),
    ("decrypt", {"CiphertextBlob": b"x" * 256, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
     "InvalidCiphertextException"),
    ("decrypt", {"CiphertextBlob": b"x" * 256}, "InvalidCiphertextException"),
    ("generate_data_key", {"KeySpec": "AES_256"}, "InvalidKeyUsageException"),
    ("generate_data_key_pair", {"KeyPairSpec": "ECC_NIST_P256"}, "InvalidKeyUsageException"),
    ("enable_key_rotation", {}, "UnsupportedOperationException"),
    ("rotate_key_on_demand", {}, "UnsupportedOperationException"),
    ("encrypt", {"Plaintext": b"x", "EncryptionAlgorithm": "RSAES_OAEP_SHA_1", "DryRun": True},
     "DryRunOperationException"),
])  # fmt: skip
def test_rsa_refuses(root_kms: Any, rsa_key: Any, code_of: Any, operation: str, request_: Any, code: str) -> None:
    assert code_of(getattr(root_kms, operation), KeyId=rsa_key("RSA_2048"), **request_) == code


def test_re_encrypt_goes_from_rsa_to_symmetric_and_back(root_kms: Any, rsa_key: Any, key: str) -> None:
    rsa, algorithm = rsa_key("RSA_2048"), "RSAES_OAEP_SHA_256"
    blob = root_kms.encrypt(KeyId=rsa, Plaintext=b"moved", EncryptionAlgorithm=algorithm)["CiphertextBlob"]
    inside = root_kms.re_encrypt(
        CiphertextBlob=blob, SourceKeyId=rsa, SourceEncryptionAlgorithm=algorithm, DestinationKeyId=key
    )
    assert root_kms.decrypt(CiphertextBlob=inside["CiphertextBlob"])["Plaintext"] == b"moved"
    back = root_kms.re_encrypt(
        CiphertextBlob=inside["CiphertextBlob"], DestinationKeyId=rsa, DestinationEncryptionAlgorithm=algorithm
    )
    opened = root_kms.decrypt(KeyId=rsa, CiphertextBlob=back["CiphertextBlob"], EncryptionAlgorithm=algorithm)
    assert opened["Plaintext"] == b"moved"


@pytest.mark.parametrize(("spec", "curve"), [
    ("ECC_NIST_P256", ec.SECP256R1()), ("ECC_NIST_P384", ec.SECP384R1()), ("ECC_NIST_P521", ec.SECP521R1()),
])  # fmt: skip
def test_a_shared_secret_is_what_the_other_side_derives(root_kms: Any, code_of: Any, spec: str, curve: Any) -> None:
    made = root_kms.create_key(KeySpec=spec, KeyUsage="KEY_AGREEMENT")["KeyMetadata"]
    mine, other = ec.generate_private_key(curve), ec.generate_private_key(ec.SECP256K1())
    ours: Any = load_der_public_key(root_kms.get_public_key(KeyId=made["Arn"])["PublicKey"])
    request = {"KeyId": made["Arn"], "KeyAgreementAlgorithm": "ECDH"}
    answer = root_kms.derive_shared_secret(PublicKey=_der(mine), **request)
    assert answer["SharedSecret"] == mine.exchange(ec.ECDH(), ours)
    assert (made["KeyAgreementAlgorithms"], "SigningAlgorithms" in made) == (["ECDH"], False)
    for refused in (_der(other), b"no key"):
        assert code_of(root_kms.derive_shared_secret, PublicKey=refused, **request) == "ValidationException"


def test_a_signing_key_derives_no_secret(root_kms: Any, code_of: Any) -> None:
    made = root_kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    public_key = _der(ec.generate_private_key(ec.SECP256R1()))
    request = {"KeyId": made, "KeyAgreementAlgorithm": "ECDH", "PublicKey": public_key}
    assert code_of(root_kms.derive_shared_secret, **request) == "InvalidKeyUsageException"


@pytest.mark.parametrize("spec", PAIR_SPECS)
def test_a_data_key_pair_belongs_together(root_kms: Any, key: str, spec: str) -> None:
    pair = root_kms.generate_data_key_pair(KeyId=key, KeyPairSpec=spec, EncryptionContext={"a": "b"})
    private: Any = load_der_private_key(pair["PrivateKeyPlaintext"], None)
    assert _der(private) == pair["PublicKey"]
    sealed = root_kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec=spec)
    opened = root_kms.decrypt(CiphertextBlob=sealed["PrivateKeyCiphertextBlob"])["Plaintext"]
    assert "PrivateKeyPlaintext" not in sealed
    assert _der(load_der_private_key(opened, None)) == sealed["PublicKey"]


@pytest.mark.parametrize(("spec", "usage"), [
    ("SYMMETRIC_DEFAULT", "SIGN_VERIFY"), ("RSA_2048", "KEY_AGREEMENT"), ("RSA_2048", None),
    ("ECC_NIST_P256", "ENCRYPT_DECRYPT"), ("ECC_SECG_P256K1", "KEY_AGREEMENT"), ("HMAC_256", "SIGN_VERIFY"),
    ("ECC_NIST_EDWARDS25519", "ENCRYPT_DECRYPT"), ("ML_DSA_44", "ENCRYPT_DECRYPT"), ("RSA_1024", "SIGN_VERIFY"),
])  # fmt: skip
def test_a_usage_that_a_spec_cannot_serve_is_refused(root_kms: Any, code_of: Any, spec: str, usage: str) -> None:
    request = {"KeySpec": spec} | ({"KeyUsage": usage} if usage else {})
    assert code_of(root_kms.create_key, **request) == "ValidationException"


def _der(key: Any) -> bytes:
    der: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der
