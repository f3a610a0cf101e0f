"""Each type of key, deployed by the CDK command line: what is granted works, its neighbour is denied."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.end_to_end.family import Family

PEER = ec.generate_private_key(ec.SECP256R1()).public_key()
PEER_KEY = PEER.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
pytestmark = pytest.mark.end_to_end

OAEP = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
ECDSA = {"SigningAlgorithm": "ECDSA_SHA_256", "Message": b"message"}
HMAC = {"MacAlgorithm": "HMAC_SHA_256", "Message": b"message"}
PAIR = {"KeyPairSpec": "ECC_NIST_P256"}
ML_DSA = {"SigningAlgorithm": "ML_DSA_SHAKE_256", "Message": b"message"}
DATA_KEY = {"KeySpec": "AES_256"}
AGREEMENT = {"KeyAgreementAlgorithm": "ECDH", "PublicKey": PEER_KEY}

Request = Callable[[Family], dict[str, Any]]
OPERATIONS: dict[str, tuple[str, str, Request]] = {
    "SymmetricEncrypt": ("Symmetric", "encrypt", lambda _: {"Plaintext": b"secret"}),
    "SymmetricDecrypt": (
        "Symmetric",
        "decrypt",
        lambda it: {"CiphertextBlob": it.made("encrypt", "Symmetric", Plaintext=b"secret")["CiphertextBlob"]},
    ),
    "SymmetricGenerateDataKey": ("Symmetric", "generate_data_key", lambda _: DATA_KEY),
    "SymmetricGenerateDataKeyWithoutPlaintext": (
        "Symmetric",
        "generate_data_key_without_plaintext",
        lambda _: DATA_KEY,
    ),
    "SymmetricGenerateDataKeyPair": ("Symmetric", "generate_data_key_pair", lambda _: PAIR),
    "SymmetricGenerateDataKeyPairWithoutPlaintext": (
        "Symmetric",
        "generate_data_key_pair_without_plaintext",
        lambda _: PAIR,
    ),
    "RsaEncrypt": ("Rsa", "encrypt", lambda _: {"Plaintext": b"secret", **OAEP}),
    "RsaDecrypt": (
        "Rsa",
        "decrypt",
        lambda it: {
            "CiphertextBlob": it.made("encrypt", "Rsa", Plaintext=b"secret", **OAEP)["CiphertextBlob"],
            **OAEP,
        },
    ),
    "RsaPublicKey": ("Rsa", "get_public_key", lambda _: {}),
    "SigningSign": ("Signing", "sign", lambda _: ECDSA),
    "SigningVerify": (
        "Signing",
        "verify",
        lambda it: {"Signature": it.made("sign", "Signing", **ECDSA)["Signature"], **ECDSA},
    ),
    "SigningPublicKey": ("Signing", "get_public_key", lambda _: {}),
    "MlDsaSign": ("MlDsa", "sign", lambda _: ML_DSA),
    "MlDsaVerify": (
        "MlDsa",
        "verify",
        lambda it: {"Signature": it.made("sign", "MlDsa", **ML_DSA)["Signature"], **ML_DSA},
    ),
    "MlDsaPublicKey": ("MlDsa", "get_public_key", lambda _: {}),
    "MacGenerateMac": ("Mac", "generate_mac", lambda _: HMAC),
    "MacVerifyMac": ("Mac", "verify_mac", lambda it: {"Mac": it.made("generate_mac", "Mac", **HMAC)["Mac"], **HMAC}),
    "AgreementDeriveSharedSecret": ("Agreement", "derive_shared_secret", lambda _: AGREEMENT),
    "AgreementPublicKey": ("Agreement", "get_public_key", lambda _: {}),
}


@pytest.mark.parametrize("role", OPERATIONS)
def test_granted_operation_succeeds(role: str, family: Family) -> None:
    key, operation, request = OPERATIONS[role]

    answer = getattr(family.kms(role), operation)(KeyId=family.key(key), **request(family))

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("role", OPERATIONS)
def test_every_operation_that_was_not_granted_is_denied(role: str, family: Family) -> None:
    key = OPERATIONS[role][0]
    kms = family.kms(role)
    neighbours = [row for name, row in OPERATIONS.items() if row[0] == key and name != role]

    for _, operation, request in neighbours:
        with pytest.raises(ClientError, match="AccessDeniedException"):
            getattr(kms, operation)(KeyId=family.key(key), **request(family))


@pytest.mark.parametrize("spec", ["RSA2048", "ECCSECGP256K1", "ECCNISTEDWARDS25519"])
def test_key_of_another_spec_is_deployed_as_such(spec: str, family: Family) -> None:
    described = family.aws.client("kms").describe_key(KeyId=family.outputs[f"Other{spec}"])["KeyMetadata"]

    assert described["KeySpec"].replace("_", "") == spec


def test_scoped_alias_leads_to_its_key(family: Family) -> None:
    found = family.aws.client("kms").describe_key(KeyId="alias/KeyFamily/inbox")["KeyMetadata"]

    assert found["Arn"] == family.key("Rsa")
