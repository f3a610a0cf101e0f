"""Data key pairs, key agreement, ReEncrypt and random bytes of the runtime, on the embedded AWS's real cryptography."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kms_patterns.local import LocalAws
from kms_runtime import KmsRuntimeError
from kms_runtime.backoff import Backoff
from kms_runtime.key_agreement.agreement import KmsParty, LocalParty, decrypt, encrypt
from kms_runtime.key_pairs.data_key_pair_use import decrypt_with_pair, sign_with_pair
from kms_runtime.key_pairs.data_key_pairs import make_data_key_pair
from kms_runtime.key_pairs.pair_specs import usage_context
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.random_bytes import random_bytes
from kms_runtime.secrets.re_encryption import Side, re_encrypt
from kms_runtime.secrets.rsa_secrets import encrypt_with_public_key
from kms_runtime.signatures.signing import verify

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
