"""Small payloads in the event itself, and the notifications that Amazon S3 sends when objects are created."""

import base64
import json
import logging
import os

import fastjsonschema
import pytest

from kms_runtime import decrypt_bytes, encrypt_bytes
from kms_runtime.handlers import envelope_cipher
from kms_runtime.handlers.validation import schema

CONTEXT = {"tenant": "a", "app": "orders"}
LIMIT = 128 * 1024

pytestmark = pytest.mark.usefixtures("envelope_function")


def text(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_payload_is_encrypted_into_the_answer_and_decrypted_again(size, keyring, s3, kms):
    plaintext = os.urandom(size)
    made = envelope_cipher.encrypt({"plaintext": text(plaintext)}, None)
    fastjsonschema.compile(schema("envelope_cipher/inline_encrypt_response"))(made)
    message = base64.b64decode(made["ciphertext"])
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == plaintext
    found = envelope_cipher.decrypt({"ciphertext": made["ciphertext"], "encryptionContext": {"tenant": "a"}}, None)
    fastjsonschema.compile(schema("envelope_cipher/inline_decrypt_response"))(found)
    facts = {
        "plaintextBytes": size,
        "ciphertextBytes": len(message),
        "algorithmSuite": "0x0478",
        "encryptionContext": CONTEXT,
    }
    assert made == {"ciphertext": made["ciphertext"], **facts}
    assert found == {"plaintext": text(plaintext), **facts}
    assert s3.calls == []
    assert [operation for operation, _ in kms.calls].count("GenerateDataKey") == 1


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        ({"plaintext": "no Base64!"}, "InvalidRequest", "event.plaintext is not Base64"),
        ({"plaintext": 5}, "InvalidRequest", "event.plaintext must be string"),
        ({"plaintext": text(bytes(LIMIT + 1))}, "InvalidRequest", "131073 bytes; at most 131072"),
        ({"plaintext": text(bytes(LIMIT + 3))}, "InvalidRequest", "event.plaintext must be shorter"),
        ({"plaintext": "", "sourceKey": "a"}, "InvalidRequest", "must not contain"),
        ({"plaintext": "", "encryptionContext": {"tenant": "b"}}, "EncryptionContextMismatch", "fixes"),
        ({"ciphertext": "AAAA"}, "InvalidRequest", "sourceKey"),
    ],
)
def test_refused_payload_makes_no_call(event, code, reason, refused, kms, s3):
    error = refused(envelope_cipher.encrypt, event)
    assert error.code == code
    assert reason in str(error)
    assert (kms.calls, s3.calls) == ([], [])


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda message: message[:-1] + bytes([message[-1] ^ 1]), "MessageAuthenticationFailed"),
        (lambda message: message[:-9], "MessageTruncated"),
        (lambda message: message + b"x", "MessageFormatError"),
        (lambda message: message + bytes(2 * LIMIT), "InvalidRequest"),
    ],
)
def test_altered_message_is_refused_whole(damage, code, keyring, refused):
    message = encrypt_bytes(os.urandom(1000), keyring=keyring, encryption_context=CONTEXT, frame_length=64)
    assert refused(envelope_cipher.decrypt, {"ciphertext": text(damage(message))}).code == code


def test_message_of_another_context_is_refused_before_any_call(keyring, refused, kms):
    message = encrypt_bytes(b"x", keyring=keyring, encryption_context={"tenant": "b"})
    kms.calls.clear()
    assert refused(envelope_cipher.decrypt, {"ciphertext": text(message)}).code == "EncryptionContextMismatch"
    assert kms.calls == []


def test_queue_gets_no_inline_payload_done_as_nobody_would_receive_the_result(kms):
    body = json.dumps({"plaintext": text(b"x")})
    record = {"messageId": "1", "body": body, "eventSource": "aws:sqs"}
    answer = envelope_cipher.encrypt({"Records": [record]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert kms.calls == []


def test_neither_payload_nor_result_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    secret = b"very secret payload"
    made = envelope_cipher.encrypt({"plaintext": text(secret)}, None)
    envelope_cipher.decrypt({"ciphertext": made["ciphertext"]}, None)
    records = [entry for entry in caplog.records if entry.name == "kms_runtime"]
    assert [entry.plaintextBytes for entry in records] == [len(secret)] * 2
    logged = repr([vars(entry) for entry in records])
    assert text(secret) not in logged
    assert made["ciphertext"] not in logged


def record(key, *, bucket="inbox", **more):
    return {"eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}, **more}


def test_notification_processes_every_record_and_decodes_keys(s3):
    for key in ("a b+c/ü.txt", "second"):
        s3.put("inbox", key, b"hello")
    event = {"Records": [record("a+b%2Bc/%C3%BC.txt", eventName="ObjectCreated:Put"), record("second")]}
    answer = envelope_cipher.encrypt(event, None)
    assert [entry["destination"]["key"] for entry in answer["objects"]] == ["a b+c/ü.txt.encrypted", "second.encrypted"]
    fastjsonschema.compile(schema("envelope_cipher/notification_response"))(answer)


def test_notification_tries_all_records_and_names_those_that_failed(s3, refused):
    s3.put("inbox", "good", b"hello")
    event = {"Records": [record("missing"), record("good"), record("gone")]}
    error = refused(envelope_cipher.encrypt, event)
    assert error.code == "RecordsFailed"
    assert str(error).startswith("2 of 3 objects failed: missing (SourceNotReadable: ")
    assert "; gone (SourceNotReadable: " in str(error)
    assert ("vault", "good.encrypted") in s3.objects


def test_defect_in_one_record_does_not_keep_the_others_from_running(s3, monkeypatch, refused, caplog):
    for key in ("bad", "good"):
        s3.put("inbox", key, b"hello")
    genuine = s3.get_object

    def get(**request):
        if request["Key"] == "bad":
            raise RuntimeError("could hold anything")
        return genuine(**request)

    monkeypatch.setattr(s3, "get_object", get)
    error = refused(envelope_cipher.encrypt, {"Records": [record("bad"), record("good")]})
    assert str(error) == "1 of 2 objects failed: bad (RuntimeError)"
    (failed,) = [entry for entry in caplog.records if entry.message == "record failed"]
    assert (failed.sourceKey, failed.errorCode) == ("bad", "RuntimeError")
    assert failed.raisedAt[-1].startswith("test_envelope_inline.py:")
    assert "could hold anything" not in repr(vars(failed))
    assert ("vault", "good.encrypted") in s3.objects


def test_late_or_repeated_notification_never_brings_an_older_version_back(s3, keyring):
    s3.put("inbox", "a", b"old")
    late = {"Records": [record("a")]}
    late["Records"][0]["s3"]["object"]["versionId"] = "v1"
    s3.put("inbox", "a", b"new")
    for _ in range(2):
        envelope_cipher.encrypt(late, None)
        assert decrypt_bytes(s3.latest("vault", "a.encrypted"), keyring=keyring, encryption_context={}) == b"new"
    assert [key for bucket, key in s3.objects if bucket == "vault"] == ["a.encrypted"]


def test_older_version_that_ends_last_does_not_stay(s3, keyring, monkeypatch):
    """One function has read the old version; before it writes, the new one is created, and encrypted by another."""
    s3.put("inbox", "a", b"old")
    genuine, overtaken = s3.put_object, []

    def overtake(**request):
        if not overtaken:
            overtaken.append(True)
            s3.put("inbox", "a", b"new")
            envelope_cipher.encrypt({"Records": [record("a")]}, None)
        return genuine(**request)

    monkeypatch.setattr(s3, "put_object", overtake)
    envelope_cipher.encrypt({"Records": [record("a")]}, None)
    assert decrypt_bytes(s3.latest("vault", "a.encrypted"), keyring=keyring, encryption_context={}) == b"new"


def test_object_replaced_again_and_again_is_reported(s3, monkeypatch, refused):
    s3.put("inbox", "a", b"0")
    genuine = s3.put_object

    def replaced(**request):
        s3.put("inbox", "a", s3.latest("inbox", "a") + b"0")
        return genuine(**request)

    monkeypatch.setattr(s3, "put_object", replaced)
    error = refused(envelope_cipher.encrypt, {"Records": [record("a")]})
    assert "a (SourceChanged: s3://inbox/a: the object was replaced during each of 3 transfers)" in str(error)


def test_object_deleted_meanwhile_is_done(s3, monkeypatch):
    s3.put("inbox", "a", b"gone soon")
    genuine = s3.put_object

    def delete(**request):
        del s3.objects["inbox", "a"]
        return genuine(**request)

    monkeypatch.setattr(s3, "put_object", delete)
    answer = envelope_cipher.encrypt({"Records": [record("a")]}, None)
    assert [entry["destination"]["key"] for entry in answer["objects"]] == ["a.encrypted"]


def test_test_event_of_s3_is_answered_without_any_call(s3, kms):
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"}
    assert envelope_cipher.encrypt(event, None) == {"objects": []}
    assert (s3.calls, kms.calls) == ([], [])


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"Records": []}, "event.Records"),
        ({"Records": [record("a", bucket="foreign")]}, "about foreign; this function reads inbox"),
        ({"Records": [record("a", eventName="ObjectRemoved:Delete")]}, "eventName"),
        ({"Records": [{"eventSource": "aws:sqs"}]}, "event.Records[0]"),
    ],
)
def test_notification_of_another_kind_or_bucket_is_refused_before_any_call(event, reason, s3, kms, refused):
    error = refused(envelope_cipher.encrypt, event)
    assert error.code == "InvalidRequest"
    assert reason in str(error)
    assert (s3.calls, kms.calls) == ([], [])
