"""RsaEnvelopeCipher's function: opens what outsiders wrote, with one call to KMS; refuses everything else."""

import json
from collections.abc import Callable
from typing import Any

import fastjsonschema
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime import KmsRsaKeyring, KmsRuntimeError, encrypt_bytes
from kms_runtime.handlers import envelope_work, rsa_envelope_cipher
from kms_runtime.handlers.validation import schema

SENDER = {"sender": "acme", "app": "mail"}
REQUEST = {"sourceKey": "letter.encrypted", "encryptionContext": {"sender": "acme"}}


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, kms: Any, s3: Any, rsa_keyring: KmsRsaKeyring) -> None:
    monkeypatch.setattr(rsa_envelope_cipher, "kms_client", lambda: kms)
    monkeypatch.setattr(envelope_work, "s3_client", lambda: s3)
    settings = {
        "KEY_ARN": rsa_keyring.key_arn,
        "ENCRYPTION_ALGORITHM": "RSAES_OAEP_SHA_256",
        "ENCRYPTION_CONTEXT": json.dumps({"app": "mail"}),
        "REQUIRED_CONTEXT_KEYS": json.dumps(["sender"]),
        "SOURCE_BUCKET": "inbox",
        "DESTINATION_BUCKET": "opened",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def outsider(rsa_keyring: KmsRsaKeyring, rsa_pair: Any) -> KmsRsaKeyring:
    """Has the public key and no client of AWS."""
    der = rsa_pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KmsRsaKeyring(rsa_keyring.key_arn, public_key=der)


def test_message_of_an_outsider_is_opened_with_one_call(s3: Any, kms: Any, outsider: KmsRsaKeyring) -> None:
    s3.put("inbox", "letter.encrypted", encrypt_bytes(b"hello", keyring=outsider, encryption_context=SENDER))
    assert kms.calls == []
    answer = rsa_envelope_cipher.decrypt(REQUEST, None)
    fastjsonschema.compile(schema("envelope_cipher/response"))(answer)
    assert answer["destination"] == {"bucket": "opened", "key": "letter", "versionId": "v1"}
    assert (s3.latest("opened", "letter"), answer["encryptionContext"]) == (b"hello", SENDER)
    ((operation, request),) = kms.calls
    assert (operation, request["EncryptionAlgorithm"]) == ("Decrypt", "RSAES_OAEP_SHA_256")


def test_arrival_of_an_object_opens_it(s3: Any, outsider: KmsRsaKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRED_CONTEXT_KEYS", "[]")
    s3.put("inbox", "letter.encrypted", encrypt_bytes(b"hello", keyring=outsider, encryption_context=SENDER))
    rsa_envelope_cipher.decrypt({"sourceKey": "letter.encrypted"}, None)
    assert s3.latest("opened", "letter") == b"hello"


def test_range_is_returned_and_not_written(s3: Any, outsider: KmsRsaKeyring) -> None:
    s3.put("inbox", "letter.encrypted", encrypt_bytes(b"hello", keyring=outsider, encryption_context=SENDER))
    answer = rsa_envelope_cipher.decrypt({**REQUEST, "range": {"start": 1, "length": 3}}, None)
    assert answer["plaintext"] == "ZWxs"
    assert ("opened", "letter") not in s3.objects


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({"sender": "somebody", "app": "mail"}, "EncryptionContextMismatch"),
        ({"sender": "acme", "app": "x"}, "EncryptionContextMismatch"),
    ],
)
def test_message_under_another_context_is_refused_before_any_call(
    *, context: dict[str, str], code: str, s3: Any, kms: Any, outsider: KmsRsaKeyring, refused: Callable[..., Any]
) -> None:
    s3.put("inbox", "letter.encrypted", encrypt_bytes(b"hello", keyring=outsider, encryption_context=context))
    assert refused(rsa_envelope_cipher.decrypt, REQUEST).code == code
    assert (kms.calls, [bucket for bucket, _ in s3.objects]) == ([], ["inbox"])


def test_sender_must_be_named(refused: Callable[..., KmsRuntimeError], s3: Any) -> None:
    assert refused(rsa_envelope_cipher.decrypt, {"sourceKey": "letter.encrypted"}).code == "EncryptionContextRequired"
    assert s3.calls == []


def test_altered_message_leaves_no_object(
    s3: Any, outsider: KmsRsaKeyring, refused: Callable[..., KmsRuntimeError]
) -> None:
    message = bytearray(encrypt_bytes(b"hello", keyring=outsider, encryption_context=SENDER))
    message[-20] ^= 1
    s3.put("inbox", "letter.encrypted", bytes(message))
    assert refused(rsa_envelope_cipher.decrypt, REQUEST).code == "MessageAuthenticationFailed"
    assert [bucket for bucket, _ in s3.objects] == ["inbox"]


def test_message_wrapped_with_another_algorithm_is_refused_by_kms(
    s3: Any, rsa_keyring: KmsRsaKeyring, rsa_pair: Any, refused: Callable[..., KmsRuntimeError]
) -> None:
    der = rsa_pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    other = KmsRsaKeyring(rsa_keyring.key_arn, public_key=der, encryption_algorithm="RSAES_OAEP_SHA_1")
    s3.put("inbox", "letter.encrypted", encrypt_bytes(b"hello", keyring=other, encryption_context=SENDER))
    assert refused(rsa_envelope_cipher.decrypt, REQUEST).code == "InvalidCiphertextException"


def test_algorithm_is_that_of_the_settings(
    s3: Any, kms: Any, rsa_keyring: KmsRsaKeyring, rsa_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCRYPTION_ALGORITHM", "RSAES_OAEP_SHA_1")
    der = rsa_pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    other = KmsRsaKeyring(rsa_keyring.key_arn, public_key=der, encryption_algorithm="RSAES_OAEP_SHA_1")
    s3.put("inbox", "letter.encrypted", encrypt_bytes(b"hello", keyring=other, encryption_context=SENDER))
    rsa_envelope_cipher.decrypt(REQUEST, None)
    assert s3.latest("opened", "letter") == b"hello"
    assert [request["EncryptionAlgorithm"] for _, request in kms.calls] == ["RSAES_OAEP_SHA_1"]
