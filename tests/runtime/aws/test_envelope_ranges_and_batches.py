"""The handlers' events for one byte range, and for a batch of an SQS queue."""

import base64
import json
import logging
import os

import fastjsonschema
import pytest

from kms_runtime import encrypt_bytes
from kms_runtime.handlers import envelope_cipher
from kms_runtime.handlers.validation import schema

CONTEXT = {"tenant": "a", "app": "orders"}
PLAINTEXT = os.urandom(5000)

pytestmark = pytest.mark.usefixtures("envelope_function")


@pytest.fixture
def stored(envelope_function, monkeypatch, s3, keyring):
    monkeypatch.setenv("SOURCE_BUCKET", "vault")
    monkeypatch.setenv("DESTINATION_BUCKET", "restored")
    s3.put("vault", "f", encrypt_bytes(PLAINTEXT, keyring=keyring, encryption_context=CONTEXT, frame_length=100))


@pytest.mark.parametrize(("start", "length"), [(0, 1), (250, 300), (4990, 1000)])
@pytest.mark.usefixtures("stored")
def test_range_is_returned_and_nothing_is_written(start, length, s3, kms):
    kms.calls.clear()
    answer = envelope_cipher.decrypt({"sourceKey": "f", "range": {"start": start, "length": length}}, None)
    expected = PLAINTEXT[start : start + length]
    assert answer == {
        "source": {"bucket": "vault", "key": "f", "versionId": "v1"},
        "range": {"start": start, "length": len(expected)},
        "plaintext": base64.b64encode(expected).decode(),
        "algorithmSuite": "0x0478",
        "encryptionContext": CONTEXT,
    }
    fastjsonschema.compile(schema("envelope_cipher/range_response"))(answer)
    assert s3.operations == ["GetObject", "GetObject"]
    assert kms.operations == ["Decrypt"]


@pytest.mark.usefixtures("stored")
def test_plaintext_of_a_range_is_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    answer = envelope_cipher.decrypt({"sourceKey": "f", "range": {"start": 0, "length": 50}}, None)
    assert answer["plaintext"] not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize(
    ("handler", "event", "code"),
    [
        ("encrypt", {"range": {"start": 0, "length": 1}}, "InvalidRequest"),
        ("decrypt", {"range": {"start": -1, "length": 1}}, "InvalidRequest"),
        ("decrypt", {"range": {"start": 0, "length": 4194305}}, "InvalidRequest"),
        ("decrypt", {"range": {"start": 0}}, "InvalidRequest"),
        ("decrypt", {"range": {"start": 0, "length": 1}, "destinationKey": "x"}, "InvalidRequest"),
        ("decrypt", {"range": {"start": 5000, "length": 1}}, "RangeNotSatisfiable"),
        (
            "decrypt",
            {"range": {"start": 0, "length": 1}, "encryptionContext": {"tenant": "x"}},
            "EncryptionContextMismatch",
        ),
    ],
)
@pytest.mark.usefixtures("stored")
def test_unusable_range_is_refused_without_a_kms_call(handler, event, code, refused, kms):
    kms.calls.clear()
    assert refused(getattr(envelope_cipher, handler), {"sourceKey": "f"} | event).code == code
    assert kms.calls == []


def batch(*bodies):
    return {
        "Records": [
            {"messageId": f"m{number}", "body": body, "eventSource": "aws:sqs", "attributes": {}}
            for number, body in enumerate(bodies)
        ]
    }


def test_batch_names_exactly_the_messages_that_failed(s3, caplog):
    s3.put("inbox", "a", b"1")
    s3.put("inbox", "b", b"2")
    notification = {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "inbox"}, "object": {"key": "b"}}}]}
    event = batch(
        json.dumps({"sourceKey": "a"}), json.dumps({"sourceKey": "missing"}), "no JSON", json.dumps(notification)
    )
    answer = envelope_cipher.encrypt(event, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]}
    fastjsonschema.compile(schema("envelope_cipher/batch_response"))(answer)
    assert {key for bucket, key in s3.objects if bucket == "vault"} == {"a.encrypted", "b.encrypted"}
    failed = [(record.messageId, record.errorCode) for record in caplog.records if record.message == "message failed"]
    assert failed == [("m1", "SourceNotReadable"), ("m2", "JSONDecodeError")]
    (defect,) = [record for record in caplog.records if getattr(record, "errorCode", "") == "JSONDecodeError"]
    assert defect.raisedAt[0].startswith("envelope_work.py:")
    assert "no JSON" not in repr(vars(defect))


def test_range_in_a_queue_fails_as_nobody_would_receive_the_plaintext(s3, keyring, kms):
    s3.put("inbox", "f", encrypt_bytes(b"hello", keyring=keyring, encryption_context={"tenant": "a", "app": "orders"}))
    kms.calls.clear()
    event = batch(json.dumps({"sourceKey": "f", "range": {"start": 0, "length": 1}}))
    assert envelope_cipher.decrypt(event, None) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert kms.calls == []


def test_batch_delivered_again_ends_in_the_same_state(s3, keyring):
    s3.put("inbox", "a", b"1")
    event = batch(json.dumps({"sourceKey": "a"}))
    for _ in range(2):
        assert envelope_cipher.encrypt(event, None) == {"batchItemFailures": []}
    assert [key for _, key in s3.objects] == ["a", "a.encrypted"]


def test_batch_of_another_form_is_refused(refused):
    event = {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}
    assert refused(envelope_cipher.encrypt, event).code == "InvalidRequest"
