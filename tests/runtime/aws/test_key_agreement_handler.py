import base64
import hashlib
import json
import logging

import fastjsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime import KmsRuntimeError
from kms_runtime.handlers import key_agreement
from kms_runtime.handlers.validation import schema
from kms_runtime.key_agreement.agreement import LocalParty, decrypt, encrypt
from tests.runtime.conftest import AsymmetricKms


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def client(kms) -> AsymmetricKms:
    return AsymmetricKms(kms)


@pytest.fixture(autouse=True)
def function(monkeypatch, client, key_arn):
    monkeypatch.setattr(key_agreement, "kms_client", lambda: client)
    monkeypatch.setenv("KEY_ARN", key_arn)
    monkeypatch.setenv("PURPOSE", "orders")
    monkeypatch.setenv("ALLOWED_PEERS", "")


@pytest.fixture
def published(client) -> bytes:
    return client.agreement_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def outside() -> LocalParty:
    return LocalParty(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def order(outside, published) -> bytes:
    return encrypt(b"order", party=outside, sender=outside.public_key, recipient=published, purpose="orders")


@pytest.fixture
def answer(outside, published) -> dict:
    keys = {"recipientPublicKey": text(outside.public_key), "senderPublicKey": text(published)}
    return {"payload": text(b"answer"), **keys}


def refusal(call, event) -> KmsRuntimeError:
    with pytest.raises(KmsRuntimeError) as caught:
        call(event, None)
    return caught.value


def test_order_is_decrypted_and_its_sender_told(order, outside, key_arn):
    found = key_agreement.decrypt({"message": text(order)}, None)
    assert found == {"payload": text(b"order"), "senderPublicKey": text(outside.public_key), "keyArn": key_arn}
    fastjsonschema.compile(schema("key_agreement/decrypt_response"))(found)


def test_answer_is_encrypted_for_the_outsider_alone(answer, outside, published):
    made = key_agreement.encrypt(answer, None)
    fastjsonschema.compile(schema("key_agreement/encrypt_response"))(made)
    message = base64.b64decode(made["message"])
    assert decrypt(message, party=outside, purpose="orders", sender=published).payload == b"answer"
    assert set(made) == {"message", "keyArn"}


def test_associated_data_of_both_sides_must_agree(outside, published):
    keys = {"sender": outside.public_key, "recipient": published}
    message = text(encrypt(b"x", party=outside, purpose="orders", associated_data=b"4711", **keys))
    event = {"message": message, "associatedData": text(b"4711")}
    assert key_agreement.decrypt(event, None)["payload"] == text(b"x")
    assert refusal(key_agreement.decrypt, {"message": message}).code == "MessageAuthenticationFailed"


def test_peers_that_are_not_named_are_refused_before_any_call(monkeypatch, order, answer, outside, kms):
    fingerprint = hashlib.sha256(outside.public_key).hexdigest()
    monkeypatch.setenv("ALLOWED_PEERS", "0" * 64)
    for call, event in ((key_agreement.decrypt, {"message": text(order)}), (key_agreement.encrypt, answer)):
        error = refusal(call, event)
        assert (error.code, fingerprint in str(error)) == ("PeerNotAllowed", True)
    assert kms.calls == []
    monkeypatch.setenv("ALLOWED_PEERS", f"{'0' * 64} {fingerprint}")
    assert key_agreement.decrypt({"message": text(order)}, None)["payload"] == text(b"order")


def test_another_purpose_is_refused(monkeypatch, order):
    monkeypatch.setenv("PURPOSE", "payments")
    assert refusal(key_agreement.decrypt, {"message": text(order)}).code == "MessageAuthenticationFailed"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"recipientPublicKey": text(b"none")}, "PublicKeyInvalid"),
        ({"senderPublicKey": text(b"none")}, "PublicKeyInvalid"),
        ({"payload": "not base64!"}, "InvalidRequest"),
        ({"extra": 1}, "InvalidRequest"),
    ],
)
def test_what_cannot_be_encrypted_is_refused_before_any_call(answer, fields, code, kms):
    assert (refusal(key_agreement.encrypt, {**answer, **fields}).code, kms.calls) == (code, [])


@pytest.mark.parametrize(("message", "code"), [(b"", "MessageFormatError"), (b"\x01\x00", "MessageTruncated")])
def test_what_is_no_message_is_refused_before_any_call(message, code, kms):
    assert (refusal(key_agreement.decrypt, {"message": text(message)}).code, kms.calls) == (code, [])


@pytest.mark.parametrize("name", ["KEY_ARN", "PURPOSE"])
def test_misconfigured_function_says_which_variable(name, monkeypatch, order, kms):
    monkeypatch.setenv(name, "")
    error = refusal(key_agreement.decrypt, {"message": text(order)})
    assert (error.code, f"{name} is not set" in str(error), kms.calls) == ("FunctionMisconfigured", True, [])


def test_log_says_the_outcome_and_never_payload_message_or_secret(caplog, order, answer, outside, published):
    caplog.set_level(logging.DEBUG)
    key_agreement.decrypt({"message": text(order)}, None)
    made = key_agreement.encrypt(answer, None)
    assert [(record.message, record.operation) for record in caplog.records] == [
        ("done", "AgreementDecrypt"),
        ("done", "AgreementEncrypt"),
    ]
    everything = json.dumps([record.__dict__ for record in caplog.records], default=str)
    secret = bytes(outside.shared_secret(published))
    for hidden in (text(b"order"), text(b"answer"), made["message"], text(order), text(secret), secret.hex()):
        assert hidden not in everything
