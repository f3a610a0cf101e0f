"""Sign and Verify for every key spec, checked offline; MACs.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

import hashlib
import hmac
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_patterns.local.server.kms.operations import ed25519ph

MESSAGE = b"to be signed" * 20
HASHES: dict[str, Any] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
RSA = [f"RSASSA_{scheme}_SHA_{bits}" for scheme in ("PSS", "PKCS1_V1_5") for bits in HASHES]
CASES = [
    *(("RSA_2048", algorithm) for algorithm in RSA), ("RSA_3072", RSA[0]), ("RSA_4096", RSA[5]),
    ("ECC_NIST_P256", "ECDSA_SHA_256"), ("ECC_NIST_P384", "ECDSA_SHA_384"), ("ECC_NIST_P521", "ECDSA_SHA_512"),
    ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
]  # fmt: skip


@pytest.fixture(scope="session")
def signing_key(root_kms: Any) -> Any:
    @cache
    def make(spec: str) -> str:
        return str(root_kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"])

    return make


@pytest.mark.parametrize("kind", ["RAW", "DIGEST"])
@pytest.mark.parametrize(("spec", "algorithm"), CASES)
def test_a_signature_verifies_here_and_offline(
    root_kms: Any, signing_key: Any, code_of: Any, spec: str, algorithm: str, kind: str
) -> None:
    key, digest = signing_key(spec), HASHES[algorithm[-3:]]
    message = MESSAGE if kind == "RAW" else hashlib.new(digest.name, MESSAGE).digest()
    request = {"KeyId": key, "SigningAlgorithm": algorithm, "MessageType": kind}
    signed = root_kms.sign(Message=message, **request)
    public = load_der_public_key(root_kms.get_public_key(KeyId=key)["PublicKey"])
    if algorithm.startswith("ECDSA"):
        public.verify(signed["Signature"], MESSAGE, ec.ECDSA(digest))  # type: ignore[union-attr, call-arg, arg-type]
    else:
        salt = padding.PSS(padding.MGF1(digest), digest.digest_size) if "PSS" in algorithm else padding.PKCS1v15()
        public.verify(signed["Signature"], MESSAGE, salt, digest)  # type: ignore[union-attr, call-arg, arg-type]
    assert root_kms.verify(Message=message, Signature=signed["Signature"], **request)["SignatureValid"] is True
    other = bytes([message[0] ^ 1]) + message[1:]
    code = code_of(root_kms.verify, Message=other, Signature=signed["Signature"], **request)
    assert code == "KMSInvalidSignatureException"


@pytest.mark.parametrize(("spec", "algorithm", "kind", "size"), [
    ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "RAW", 100),
    ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "DIGEST", 64),
    ("ML_DSA_44", "ML_DSA_SHAKE_256", "RAW", 100), ("ML_DSA_65", "ML_DSA_SHAKE_256", "EXTERNAL_MU", 64),
    ("ML_DSA_87", "ML_DSA_SHAKE_256", "RAW", 4096),
])  # fmt: skip
def test_ed25519_and_ml_dsa_sign_and_refuse_other_message_types(
    root_kms: Any, signing_key: Any, code_of: Any, spec: str, algorithm: str, kind: str, size: int
) -> None:
    key, message = signing_key(spec), b"m" * size
    request = {"KeyId": key, "SigningAlgorithm": algorithm}
    signature = root_kms.sign(Message=message, MessageType=kind, **request)["Signature"]
    verified = root_kms.verify(Message=message, MessageType=kind, Signature=signature, **request)
    assert (verified["SignatureValid"], verified["SigningAlgorithm"]) == (True, algorithm)
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    code = code_of(root_kms.verify, Message=message, MessageType=kind, Signature=flipped, **request)
    assert code == "KMSInvalidSignatureException"
    for wrong in {"RAW", "DIGEST", "EXTERNAL_MU"} - {kind} - ({"RAW", "EXTERNAL_MU"} if "ML" in spec else set()):
        assert code_of(root_kms.sign, Message=b"m" * 64, MessageType=wrong, **request) == "ValidationException"


def test_ed25519ph_is_that_of_rfc_8032() -> None:
    secret = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
    signature = bytes.fromhex(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
        "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
    )
    key, digest = Ed25519PrivateKey.from_private_bytes(secret), hashlib.sha512(b"abc").digest()
    assert ed25519ph.sign(key, digest) == signature
    ed25519ph.verify(key.public_key(), signature, digest)


def test_ml_dsa_keys_are_described_and_their_public_key_loads(root_kms: Any, signing_key: Any) -> None:
    found = root_kms.describe_key(KeyId=signing_key("ML_DSA_65"))["KeyMetadata"]
    assert (found["KeySpec"], found["KeyUsage"], found["SigningAlgorithms"]) == (
        "ML_DSA_65", "SIGN_VERIFY", ["ML_DSA_SHAKE_256"],
    )  # fmt: skip
    public = load_der_public_key(root_kms.get_public_key(KeyId=signing_key("ML_DSA_65"))["PublicKey"])
    signed = root_kms.sign(KeyId=signing_key("ML_DSA_65"), Message=MESSAGE, SigningAlgorithm="ML_DSA_SHAKE_256")
    public.verify(signed["Signature"], MESSAGE)  # type: ignore[union-attr, call-arg]


@pytest.mark.parametrize(("spec", "request_", "code"), [
    ("RSA_2048", {"Message": b"x" * 4097, "SigningAlgorithm": RSA[0]}, "ValidationException"),
    ("RSA_2048", {"Message": b"", "SigningAlgorithm": RSA[0]}, "ValidationException"),
    ("RSA_2048", {"Message": b"x" * 31, "MessageType": "DIGEST", "SigningAlgorithm": RSA[0]}, "ValidationException"),
    ("RSA_2048", {"Message": b"x", "SigningAlgorithm": "RSA_SHA_1"}, "ValidationException"),
    ("RSA_2048", {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}, "InvalidKeyUsageException"),
    ("ECC_NIST_P256", {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_384"}, "InvalidKeyUsageException"),
    ("RSA_2048", {"Message": b"x", "SigningAlgorithm": RSA[0], "DryRun": True}, "DryRunOperationException"),
])  # fmt: skip
def test_sign_refuses(root_kms: Any, signing_key: Any, code_of: Any, spec: str, request_: Any, code: str) -> None:
    assert code_of(root_kms.sign, KeyId=signing_key(spec), **request_) == code


def test_keys_of_other_usages_do_not_sign(root_kms: Any, key: str, code_of: Any) -> None:
    request = {"KeyId": key, "Message": b"x", "SigningAlgorithm": RSA[0]}
    assert code_of(root_kms.sign, **request) == "InvalidKeyUsageException"
    assert code_of(root_kms.verify, Signature=b"x", **request) == "InvalidKeyUsageException"


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_a_mac_verifies_and_an_altered_one_is_refused(root_kms: Any, code_of: Any, bits: int) -> None:
    made = root_kms.create_key(KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    request = {"KeyId": made["Arn"], "Message": MESSAGE, "MacAlgorithm": f"HMAC_SHA_{bits}"}
    mac = root_kms.generate_mac(**request)["Mac"]
    assert len(mac) == bits // 8
    assert root_kms.verify_mac(Mac=mac, **request)["MacValid"] is True
    assert code_of(root_kms.verify_mac, Mac=mac[:-1] + b"x", **request) == "KMSInvalidMacException"
    wrong = request | {"MacAlgorithm": "HMAC_SHA_256" if bits != 256 else "HMAC_SHA_512"}
    assert code_of(root_kms.generate_mac, **wrong) == "InvalidKeyUsageException"
    assert code_of(root_kms.get_public_key, KeyId=made["Arn"]) == "UnsupportedOperationException"
    assert hmac.digest(b"k", MESSAGE, "sha256") != mac
