"""RSA envelope: no KMS call to encrypt, one to decrypt, the same bytes as AWS's material providers."""

import pytest
from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsRsaKeyringInput
from aws_encryption_sdk.identifiers import Algorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    KmsKeyring,
    KmsRsaKeyring,
    decrypt_bytes,
    encrypt_bytes,
)
from kms_runtime.aws_errors import IncorrectKeyException, InvalidArnException, InvalidCiphertextException
from kms_runtime.errors import InvalidRequest
from kms_runtime.message import EncryptedDataKey

CONTEXT = {"tenant": "a", "größe": "ü"}
SUBJECT = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(params=["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"])
def keyring_of(request, kms, rsa_pair, rsa_keyring):
    def make(**options):
        pem = rsa_pair.public_key().public_bytes(*SUBJECT)
        options = {"public_key": pem, "kms_client": kms, "encryption_algorithm": request.param} | options
        return KmsRsaKeyring(rsa_keyring.key_arn, **options)

    return make


@pytest.fixture
def official(request, mpl, in_memory, rsa_pair, rsa_keyring, keyring_of):
    return mpl.create_aws_kms_rsa_keyring(
        CreateAwsKmsRsaKeyringInput(
            public_key=rsa_pair.public_key().public_bytes(*SUBJECT),
            kms_key_id=rsa_keyring.key_arn,
            encryption_algorithm=keyring_of()._algorithm,
            kms_client=in_memory(),
        )
    )


def test_encryption_makes_no_kms_call_and_decryption_one(keyring_of, kms, rsa_keyring):
    keyring = keyring_of(kms_client=None)
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    assert kms.calls == []
    assert decrypt_bytes(message, keyring=keyring_of(public_key=None), encryption_context=CONTEXT) == b"hello"
    ((operation, request),) = kms.calls
    assert (operation, request["KeyId"]) == ("Decrypt", rsa_keyring.key_arn)
    assert request["EncryptionAlgorithm"] == keyring._algorithm
    assert "EncryptionContext" not in request


@pytest.mark.parametrize("context", [{}, CONTEXT])
def test_messages_cross_to_and_from_the_material_providers(context, keyring_of, official, client):
    unsigned = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    message = encrypt_bytes(b"hello", keyring=keyring_of(), encryption_context=context)
    assert client.decrypt(source=message, keyring=official)[0] == b"hello"
    message, _ = client.encrypt(source=b"hello", encryption_context=context, keyring=official, algorithm=unsigned)
    assert decrypt_bytes(message, keyring=keyring_of(), encryption_context=context) == b"hello"


def test_data_key_of_another_context_is_refused(keyring_of):
    data_key = keyring_of().generate_data_key(CONTEXT)
    assert keyring_of().decrypt_data_key(data_key.encrypted, CONTEXT) == data_key
    with pytest.raises(InvalidCiphertextException, match="another encryption context"):
        keyring_of().decrypt_data_key(data_key.encrypted, {})


def test_data_key_is_found_among_others(keyring_of, rsa_keyring, kms):
    (good,) = keyring_of().generate_data_key(CONTEXT).encrypted
    bad = EncryptedDataKey("aws-kms-rsa", rsa_keyring.key_arn.encode(), bytes(256))
    foreign = EncryptedDataKey("aws-kms", rsa_keyring.key_arn.encode(), bytes(256))
    assert keyring_of().decrypt_data_key([foreign, bad, good], CONTEXT).encrypted == (good,)
    assert kms.operations == ["Decrypt", "Decrypt"]
    with pytest.raises(IncorrectKeyException):
        keyring_of().decrypt_data_key([foreign], CONTEXT)


def test_signed_suite_is_refused_both_ways(keyring_of, keyring):
    signed = AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
    with pytest.raises(InvalidRequest, match="0x0578 is signed"):
        encrypt_bytes(b"", keyring=keyring_of(), encryption_context={}, algorithm_suite=signed)
    message = encrypt_bytes(b"", keyring=keyring, encryption_context={}, algorithm_suite=signed)
    with pytest.raises(InvalidRequest, match="0x0578 is signed"):
        decrypt_bytes(message, keyring=keyring_of(), encryption_context={})


def test_half_a_keyring_says_what_it_lacks(keyring_of):
    with pytest.raises(InvalidRequest, match="no public_key"):
        encrypt_bytes(b"", keyring=keyring_of(public_key=None), encryption_context={})
    message = encrypt_bytes(b"", keyring=keyring_of(), encryption_context={})
    with pytest.raises(InvalidRequest, match="no kms_client"):
        decrypt_bytes(message, keyring=keyring_of(kms_client=None), encryption_context={})


def test_answer_of_another_length_or_key_is_refused(keyring_of, kms, key_arn, monkeypatch):
    message = encrypt_bytes(b"", keyring=keyring_of(), encryption_context={})
    kms.answer_as = key_arn
    with pytest.raises(IncorrectKeyException, match="is for"):
        decrypt_bytes(message, keyring=keyring_of(), encryption_context={})


@pytest.mark.parametrize("encoded", [b"", b"x", b"-----BEGIN PUBLIC KEY-----", "elliptic", "short"])
def test_what_is_not_a_strong_rsa_public_key_is_refused(encoded, keyring_of):
    if encoded == "elliptic":
        encoded = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*SUBJECT)
    if encoded == "short":
        encoded = rsa.generate_private_key(65537, 1024).public_key().public_bytes(*SUBJECT)
    with pytest.raises(InvalidRequest, match="public key"):
        keyring_of(public_key=encoded)


def test_unknown_algorithm_is_refused(keyring_of):
    with pytest.raises(InvalidRequest, match="'RSAES_PKCS1_V1_5' is not one of RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1"):
        keyring_of(encryption_algorithm="RSAES_PKCS1_V1_5")


def test_public_key_of_a_kind_that_cryptography_does_not_know_is_refused(keyring_of):
    # SubjectPublicKeyInfo with an algorithm that has no name.
    unknown = bytes.fromhex("300c300606042a03040503020001")
    with pytest.raises(InvalidRequest, match="public key"):
        keyring_of(public_key=unknown)


def test_alias_is_refused():
    with pytest.raises(InvalidArnException):
        KmsRsaKeyring("alias/x")


def test_symmetric_keyring_does_not_open_it(keyring_of, rsa_keyring, kms):
    message = encrypt_bytes(b"", keyring=keyring_of(), encryption_context={})
    with pytest.raises(IncorrectKeyException):
        decrypt_bytes(message, keyring=KmsKeyring(rsa_keyring.key_arn, kms_client=kms), encryption_context={})
    assert kms.calls == []
