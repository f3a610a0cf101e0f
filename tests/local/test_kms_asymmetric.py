"""Asymmetric keys: encryption, signatures, key agreement, and our own patterns that use them."""

import hashlib
import hmac
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from kms_patterns.local import LocalAws
from kms_patterns.local.server.kms.operations import ed25519ph
from kms_runtime import KmsRuntimeError
from kms_runtime.backoff import Backoff
from kms_runtime.key_agreement.agreement import KmsParty, LocalParty, decrypt, encrypt
from kms_runtime.key_pairs.data_key_pair_use import decrypt_with_pair, sign_with_pair
from kms_runtime.key_pairs.data_key_pairs import make_data_key_pair, usage_context
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.random_bytes import random_bytes
from kms_runtime.secrets.rsa_secrets import encrypt_with_public_key
from kms_runtime.secrets.symmetric import Side, re_encrypt
from kms_runtime.signatures.signing import verify
from kms_runtime.tokens import ALGORITHMS, Jwks, MacKeys, issue_token, jwks_document, verify_token

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
    for other in {"RAW": (0, 4097), "DIGEST": (63, 65), "EXTERNAL_MU": (63, 65)}[kind]:
        assert code_of(root_kms.sign, Message=b"m" * other, MessageType=kind, **request) == "ValidationException"


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
    assert code_of(root_kms.verify_mac, Mac=mac[:-1] + bytes([mac[-1] ^ 1]), **request) == "KMSInvalidMacException"
    wrong = request | {"MacAlgorithm": "HMAC_SHA_256" if bits != 256 else "HMAC_SHA_512"}
    assert code_of(root_kms.generate_mac, **wrong) == "InvalidKeyUsageException"
    assert code_of(root_kms.get_public_key, KeyId=made["Arn"]) == "UnsupportedOperationException"
    assert hmac.digest(b"k", MESSAGE, "sha256") != mac


TENANT = {"tenant": "a"}
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=1)
CURVES = {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1()}


@pytest.fixture
def faulty(aws: LocalAws) -> Iterator[LocalAws]:
    yield aws
    aws.inject_faults()


def code_of_ours(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(KmsRuntimeError) as caught:
        call(*arguments, **options)
    return caught.value.code


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("ECC_NIST_P256", "ECDSA_SHA_256"),
        ("ECC_NIST_P384", "ECDSA_SHA_384"),
        ("ECC_NIST_P521", "ECDSA_SHA_512"),
        ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"),
        ("RSA_2048", "RSASSA_PSS_SHA_256"),
    ],
)
def test_pair_of_each_kind_signs(root_kms: Any, key: str, spec: str, algorithm: str) -> None:
    use = {"key_arn": key, "encryption_context": TENANT, "kms_client": root_kms}
    pair = make_data_key_pair(spec, "SIGN_VERIFY", **use)
    verify(
        pair.public_key,
        b"invoice",
        sign_with_pair(b"invoice", pair.encrypted_private_key, algorithm=algorithm, **use),
        algorithm=algorithm,
    )


def test_pair_decrypts_also_after_its_private_key_moved_to_another_key(root_kms: Any, make_key: Any) -> None:
    old, new = make_key(), make_key()
    use = {"encryption_context": TENANT, "kms_client": root_kms}
    pair = make_data_key_pair("RSA_2048", "ENCRYPT_DECRYPT", key_arn=old, **use)
    sealed = encrypt_with_public_key(b"secret", public_key=pair.public_key)
    context = usage_context(TENANT, "ENCRYPT_DECRYPT")
    moved = re_encrypt(
        pair.encrypted_private_key, source=Side(old, context), destination=Side(new, context), kms_client=root_kms
    )
    assert decrypt_with_pair(sealed, moved.ciphertext, key_arn=new, **use) == b"secret"
    assert code_of_ours(decrypt_with_pair, sealed, moved.ciphertext, key_arn=old, **use) == "IncorrectKeyException"


def test_exceeded_quota_is_outlived_by_waiting(faulty: LocalAws, key: str) -> None:
    kms = faulty.client("kms", config=ONCE)
    faulty.inject_faults({"kind": "quota", "service": "kms", "rate": 1})
    use = {"key_arn": key, "encryption_context": TENANT, "kms_client": kms}
    pairs = [make_data_key_pair("ECC_NIST_P256", "SIGN_VERIFY", backoff=Backoff(budget=10), **use) for _ in range(3)]
    assert len({pair.public_key.der for pair in pairs}) == 3
    assert faulty.injected_faults()["quota"] >= 1


@pytest.mark.parametrize("budget", [0.0, 0.5, 2.0])
def test_quota_exceeded_for_good_is_an_error_within_the_budget(faulty: LocalAws, key: str, budget: float) -> None:
    kms = faulty.client("kms", config=ONCE)
    kms.list_aliases()
    faulty.inject_faults({"kind": "throttle", "service": "kms", "operation": "GenerateDataKeyPairWithoutPlaintext"})
    start = time.monotonic()
    with pytest.raises(KmsRuntimeError, match="AWS KMS makes 4 pairs of RSA_3072 a second") as caught:
        make_data_key_pair(
            "RSA_3072",
            "SIGN_VERIFY",
            key_arn=key,
            encryption_context=TENANT,
            kms_client=kms,
            backoff=Backoff(budget=budget),
        )
    assert caught.value.code == "ThrottlingException"
    assert str(caught.value).count("given up") == 1
    assert time.monotonic() - start < budget + 1


def test_key_that_does_not_answer_is_an_error_and_no_hang(faulty: LocalAws, key: str) -> None:
    kms = faulty.client("kms", config=ONCE)
    faulty.inject_faults({"kind": "delay", "service": "kms", "seconds": 3})
    start = time.monotonic()
    use = {"key_arn": key, "encryption_context": TENANT, "kms_client": kms, "backoff": Backoff(budget=0.5)}
    assert code_of_ours(make_data_key_pair, "ECC_NIST_P256", "SIGN_VERIFY", **use) == "ServiceUnreachable"
    assert time.monotonic() - start < 3


def test_lost_connection_is_made_anew(faulty: LocalAws, key: str) -> None:
    faulty.inject_faults({"kind": "reset", "service": "kms", "times": 2})
    use = {"key_arn": key, "encryption_context": TENANT, "kms_client": faulty.client("kms", config=ONCE)}
    assert make_data_key_pair("ECC_NIST_P256", "SIGN_VERIFY", **use).encrypted_private_key
    assert faulty.injected_faults() == {"reset": 2}


@pytest.mark.parametrize("spec", CURVES)
def test_kms_and_openssl_derive_the_same_secret(root_kms: Any, make_key: Any, tmp_path: Path, spec: str) -> None:
    """The outsider's half with OpenSSL alone, from the two files that it has: its private key and ours published."""
    arn = make_key(KeySpec=spec, KeyUsage="KEY_AGREEMENT")
    outsider = LocalParty(ec.generate_private_key(CURVES[spec]))
    (tmp_path / "outsider.pem").write_bytes(
        outsider.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "kms.pem").write_text(PublicKey.fetch(arn, kms_client=root_kms).pem)
    command = ["openssl", "pkeyutl", "-derive", "-inkey", "outsider.pem", "-peerkey", "kms.pem"]
    derived = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert derived == bytes(KmsParty(arn, root_kms).shared_secret(outsider.public_key))


@pytest.mark.parametrize("spec", CURVES)
def test_payloads_go_both_ways(root_kms: Any, make_key: Any, spec: str) -> None:
    arn = make_key(KeySpec=spec, KeyUsage="KEY_AGREEMENT")
    published = PublicKey.fetch(arn, kms_client=root_kms).der
    inside, outside = KmsParty(arn, root_kms), LocalParty(ec.generate_private_key(CURVES[spec]))
    order = encrypt(b"order", party=outside, sender=outside.public_key, recipient=published, purpose="p")
    assert decrypt(order, party=inside, purpose="p", sender=outside.public_key).payload == b"order"
    answer = encrypt(b"answer", party=inside, sender=published, recipient=outside.public_key, purpose="p")
    assert decrypt(answer, party=outside, purpose="p", sender=published).payload == b"answer"


def test_key_on_another_curve_opens_nothing(root_kms: Any, make_key: Any) -> None:
    arn = make_key(KeySpec="ECC_NIST_P384", KeyUsage="KEY_AGREEMENT")
    one, other = (LocalParty(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    message = encrypt(b"x", party=one, sender=one.public_key, recipient=other.public_key, purpose="p")
    assert code_of_ours(decrypt, message, party=KmsParty(arn, root_kms), purpose="p") == "ValidationException"


def test_ciphertext_moves_to_another_key_and_context_and_from_rsa(root_kms: Any, make_key: Any) -> None:
    old, new, intake = make_key(), make_key(), make_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    blob = root_kms.encrypt(KeyId=old, Plaintext=b"x", EncryptionContext=TENANT)["CiphertextBlob"]
    outside = encrypt_with_public_key(b"y", public_key=PublicKey.fetch(intake, kms_client=root_kms))
    context = {"tenant": "a", "state": "moved"}
    for ciphertext, source, plaintext in (
        (blob, Side(old, TENANT), b"x"),
        (outside, Side(intake, algorithm="RSAES_OAEP_SHA_256"), b"y"),
    ):
        moved = re_encrypt(ciphertext, source=source, destination=Side(new, context), kms_client=root_kms)
        opened = root_kms.decrypt(CiphertextBlob=moved.ciphertext, KeyId=new, EncryptionContext=context)
        assert opened["Plaintext"] == plaintext


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ({"encryption_context": {"tenant": "b"}}, "InvalidCiphertextException"),
        ({"encryption_context": {}}, "InvalidCiphertextException"),
        ({"key_arn": None}, "IncorrectKeyException"),
    ],
    ids=["other context", "no context", "other key"],
)
def test_ciphertext_of_another_key_or_context_does_not_move(
    root_kms: Any, make_key: Any, source: dict[str, Any], code: str
) -> None:
    old, new = make_key(), make_key()
    blob = root_kms.encrypt(KeyId=old, Plaintext=b"x", EncryptionContext=TENANT)["CiphertextBlob"]
    chosen = {"key_arn": old, "encryption_context": TENANT, **source}
    chosen["key_arn"] = chosen["key_arn"] or new
    destination = Side(new, TENANT)
    assert code_of_ours(re_encrypt, blob, source=Side(**chosen), destination=destination, kms_client=root_kms) == code


def test_random_bytes_are_as_many_as_asked_for_and_never_the_same(root_kms: Any) -> None:
    assert [len(random_bytes(count, root_kms)) for count in (1, 1024)] == [1, 1024]
    assert random_bytes(32, root_kms) != random_bytes(32, root_kms)


def test_random_bytes_need_a_permission_on_every_resource(session_of: Any, allow: Any, key: str) -> None:
    """Why no construct grants it: a statement that names a key allows nothing."""
    named = session_of(allow("kms:GenerateRandom", key)).client("kms")
    assert code_of_ours(random_bytes, 32, named) == "AccessDeniedException"
    assert len(random_bytes(32, session_of(allow("kms:GenerateRandom", "*")).client("kms"))) == 32


@pytest.mark.parametrize(("spec", "length"), [("ML_KEM_768", 1088), ("ML_KEM_1024", 1568)])
def test_ml_kem_encapsulates_for_itself_and_for_holders_of_the_public_key(
    root_kms: Any, code_of: Any, spec: str, length: int
) -> None:
    made = root_kms.create_key(KeySpec=spec, KeyUsage="ENCAPSULATE_DECAPSULATE")["KeyMetadata"]
    assert made["EncapsulationAlgorithms"] == ["ML_KEM"]
    assert "SigningAlgorithms" not in made
    use = {"KeyId": made["Arn"], "EncapsulationAlgorithm": "ML_KEM"}
    found = root_kms.get_public_key(KeyId=made["Arn"])
    assert (found["KeyUsage"], found["EncapsulationAlgorithms"]) == ("ENCAPSULATE_DECAPSULATE", ["ML_KEM"])

    ours = root_kms.encapsulate(**use)
    secret, theirs = load_der_public_key(found["PublicKey"]).encapsulate()
    assert len(ours["SharedSecretCiphertextBlob"]) == len(theirs) == length
    for wanted, blob in ((ours["SharedSecret"], ours["SharedSecretCiphertextBlob"]), (secret, theirs)):
        response = root_kms.decapsulate(**use, SharedSecretCiphertextBlob=blob)
        assert (response["SharedSecret"], response["KeyId"]) == (wanted, made["Arn"])

    altered = bytes([theirs[0] ^ 1]) + theirs[1:]
    rejected = root_kms.decapsulate(**use, SharedSecretCiphertextBlob=altered)["SharedSecret"]
    assert len(rejected) == 32
    assert rejected != secret
    assert rejected == root_kms.decapsulate(**use, SharedSecretCiphertextBlob=altered)["SharedSecret"]
    for wrong in (theirs[:-1], theirs + b"x"):
        assert code_of(root_kms.decapsulate, **use, SharedSecretCiphertextBlob=wrong) == "InvalidCiphertextException"
    dry = {**use, "DryRun": True}
    assert code_of(root_kms.encapsulate, **dry) == "DryRunOperationException"
    assert code_of(root_kms.decapsulate, **dry, SharedSecretCiphertextBlob=theirs) == "DryRunOperationException"
    root_kms.disable_key(KeyId=made["Arn"])
    assert code_of(root_kms.decapsulate, **use, SharedSecretCiphertextBlob=theirs) == "DisabledException"
    assert code_of(root_kms.encapsulate, **use) == "DisabledException"


def test_grants_on_ml_kem_keys_hold_their_operations_only(root_kms: Any, code_of: Any, make_role: Any) -> None:
    key = root_kms.create_key(KeySpec="ML_KEM_768", KeyUsage="ENCAPSULATE_DECAPSULATE")["KeyMetadata"]["Arn"]
    grantee = {"KeyId": key, "GranteePrincipal": make_role()}
    assert root_kms.create_grant(**grantee, Operations=["Encapsulate", "Decapsulate", "GetPublicKey"])["GrantId"]
    assert code_of(root_kms.create_grant, **grantee, Operations=["Decrypt"]) == "ValidationException"


def test_ml_kem_512_and_imported_ml_kem_material_are_refused(root_kms: Any, code_of: Any) -> None:
    usage = {"KeyUsage": "ENCAPSULATE_DECAPSULATE"}
    for request in ({"KeySpec": "ML_KEM_512"}, {"KeySpec": "ML_KEM_768", "Origin": "EXTERNAL"}):
        assert code_of(root_kms.create_key, **request, **usage) == "UnsupportedOperationException"


SPECS = [(name, spec) for name, known in ALGORITHMS.items() for spec in known.key_specs]
EXPECTED: dict[str, Any] = {"issuer": "https://issuer.example", "audience": "orders"}


@pytest.fixture(scope="session")
def key_of(root_kms: Any) -> Callable[[str], str]:
    """One key per spec."""

    @cache
    def make(spec: str) -> str:
        usage = "GENERATE_VERIFY_MAC" if spec.startswith("HMAC") else "SIGN_VERIFY"
        return str(root_kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"])

    return make


def issued(kms: Any, arn: str, algorithm: str) -> str:
    given: dict[str, Any] = {**EXPECTED, "subject": "customer-1", "lifetime": 60}
    return issue_token({"tenant": "a"}, key_arn=arn, algorithm=algorithm, kms_client=kms, **given).token


@pytest.mark.parametrize(("algorithm", "spec"), SPECS)
def test_token_of_every_algorithm_and_key_spec_is_verified(
    algorithm: str, spec: str, root_kms: Any, key_of: Callable[[str], str]
) -> None:
    arn = key_of(spec)
    token = issued(root_kms, arn, algorithm)
    keys: Any = (
        MacKeys({arn: algorithm}, kms_client=root_kms)
        if ALGORITHMS[algorithm].is_mac
        else Jwks.parse(jwks_document([(PublicKey.fetch(arn, kms_client=root_kms), algorithm)]))
    )
    found = verify_token(token, keys=keys, **EXPECTED)
    assert (found.key_id, found.algorithm, found.claims["tenant"]) == (arn.rsplit("/")[-1], algorithm, "a")
    message, _, signature = token.rpartition(".")
    forged = f"{message}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    with pytest.raises(KmsRuntimeError) as caught:
        verify_token(forged, keys=keys, **EXPECTED)
    assert caught.value.code == "TokenSignatureInvalid"


@pytest.mark.parametrize(
    ("algorithm", "spec"), [("ES384", "ECC_NIST_P256"), ("RS256", "ECC_NIST_P256"), ("EdDSA", "RSA_2048")]
)
def test_algorithm_that_the_key_does_not_have_is_refused_by_kms(
    algorithm: str, spec: str, root_kms: Any, key_of: Callable[[str], str]
) -> None:
    with pytest.raises(KmsRuntimeError) as caught:
        issued(root_kms, key_of(spec), algorithm)
    assert caught.value.code == "InvalidKeyUsageException"


def test_disabled_hmac_key_ends_its_tokens_at_once(root_kms: Any) -> None:
    arn = str(root_kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"])
    token, keys = issued(root_kms, arn, "HS256"), MacKeys({arn: "HS256"}, kms_client=root_kms)
    assert verify_token(token, keys=keys, **EXPECTED)
    root_kms.disable_key(KeyId=arn)
    with pytest.raises(KmsRuntimeError) as caught:
        verify_token(token, keys=keys, **EXPECTED)
    assert caught.value.code == "DisabledException"
