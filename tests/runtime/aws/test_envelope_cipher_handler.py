"""The envelope functions: objects from S3 to S3, ranges, batches, and messages inline."""

import base64
import json
import logging
import os

import fastjsonschema
import pytest

from kms_runtime import decrypt_bytes, encrypt_bytes
from kms_runtime.handlers import envelope_cipher
from kms_runtime.handlers.envelope_requests import decrypted_key
from kms_runtime.handlers.validation import schema

CONTEXT = {"tenant": "a", "app": "orders"}

pytestmark = pytest.mark.usefixtures("envelope_function")


@pytest.fixture
def decrypting(envelope_function, monkeypatch):
    monkeypatch.setenv("SOURCE_BUCKET", "vault")
    monkeypatch.setenv("DESTINATION_BUCKET", "restored")


def test_object_is_encrypted_and_the_answer_follows_its_schema(s3, keyring):
    s3.put("inbox", "dir/a b.txt", b"hello")
    answer = envelope_cipher.encrypt({"sourceKey": "dir/a b.txt"}, None)
    message = s3.latest("vault", "dir/a b.txt.encrypted")
    assert answer == {
        "source": {"bucket": "inbox", "key": "dir/a b.txt", "versionId": "v1"},
        "destination": {"bucket": "vault", "key": "dir/a b.txt.encrypted", "versionId": "v1"},
        "plaintextBytes": 5,
        "ciphertextBytes": len(message),
        "algorithmSuite": "0x0478",
        "encryptionContext": CONTEXT,
    }
    fastjsonschema.compile(schema("envelope_cipher/response"))(answer)
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == b"hello"


@pytest.mark.usefixtures("decrypting")
def test_object_is_decrypted_to_its_key_without_the_suffix(s3, keyring):
    s3.put("vault", "a.txt.encrypted", encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT))
    answer = envelope_cipher.decrypt({"sourceKey": "a.txt.encrypted"}, None)
    assert answer["destination"] == {"bucket": "restored", "key": "a.txt", "versionId": "v1"}
    assert s3.latest("restored", "a.txt") == b"hello"


@pytest.mark.usefixtures("decrypting")
def test_decrypt_keeps_a_key_that_has_no_suffix(s3, keyring):
    for key in ("plain.bin", ".encrypted"):
        s3.put("vault", key, encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT))
        assert envelope_cipher.decrypt({"sourceKey": key}, None)["destination"]["key"] == key


def test_named_version_and_destination_are_used(s3, keyring):
    s3.put("inbox", "a", b"first")
    s3.put("inbox", "a", b"second")
    envelope_cipher.encrypt({"sourceKey": "a", "sourceVersionId": "v1", "destinationKey": "x"}, None)
    assert decrypt_bytes(s3.latest("vault", "x"), keyring=keyring, encryption_context={}) == b"first"


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        ({}, "InvalidRequest", "must contain ['sourceKey']"),
        ([], "InvalidRequest", "event must be object"),
        ({"sourceKey": ""}, "InvalidRequest", "event.sourceKey must be longer"),
        ({"sourceKey": "k" * 1025}, "InvalidRequest", "event.sourceKey must be shorter"),
        ({"sourceKey": "a", "destinationBucket": "mine"}, "InvalidRequest", "must not contain"),
        ({"sourceKey": "a", "encryptionContext": {"tenant": "b"}}, "EncryptionContextMismatch", "fixes"),
        ({"sourceKey": "missing"}, "SourceNotReadable", "NoSuchKey"),
    ],
)
def test_refused_request_makes_no_kms_call(event, code, reason, refused, kms):
    error = refused(envelope_cipher.encrypt, event)
    assert error.code == code
    assert reason in str(error)
    assert kms.calls == []


def test_missing_required_pair_is_refused_before_any_call(monkeypatch, s3, kms, refused):
    monkeypatch.setenv("REQUIRED_CONTEXT_KEYS", '["purpose", "tenant"]')
    error = refused(envelope_cipher.encrypt, {"sourceKey": "a"})
    assert (error.code, "requires purpose in" in str(error)) == ("EncryptionContextRequired", True)
    assert (s3.calls, kms.calls) == ([], [])


@pytest.mark.parametrize("variable", ["KEY_ARN", "SOURCE_BUCKET", "DESTINATION_BUCKET"])
def test_misconfigured_function_says_which_variable(variable, monkeypatch, refused):
    monkeypatch.delenv(variable)
    error = refused(envelope_cipher.encrypt, {"sourceKey": "a"})
    assert (error.code, variable in str(error)) == ("FunctionMisconfigured", True)


def test_source_may_not_be_its_own_destination(monkeypatch, s3, kms, refused):
    monkeypatch.setenv("DESTINATION_BUCKET", "inbox")
    s3.put("inbox", "a", b"hello")
    error = refused(envelope_cipher.encrypt, {"sourceKey": "a", "destinationKey": "a"})
    assert error.code == "InvalidRequest"
    assert (s3.calls, kms.calls) == ([], [])


@pytest.mark.usefixtures("decrypting")
@pytest.mark.parametrize(
    ("damage", "context", "code"),
    [
        (lambda message: message[:-1] + bytes([message[-1] ^ 1]), CONTEXT, "MessageAuthenticationFailed"),
        (lambda message: message[:-9], CONTEXT, "MessageTruncated"),
        (lambda message: message + b"x", CONTEXT, "MessageFormatError"),
        (lambda message: message, {"tenant": "b", "app": "orders"}, "EncryptionContextMismatch"),
    ],
)
def test_unusable_message_leaves_no_destination(damage, context, code, request):
    s3, keyring, refused = (request.getfixturevalue(name) for name in ("s3", "keyring", "refused"))
    message = encrypt_bytes(os.urandom(1000), keyring=keyring, encryption_context=context, frame_length=64)
    s3.put("vault", "a.encrypted", damage(message))
    assert refused(envelope_cipher.decrypt, {"sourceKey": "a.encrypted"}).code == code
    assert list(s3.objects) == [("vault", "a.encrypted")]
    assert s3.uploads == {}


def test_message_under_another_key_is_refused(monkeypatch, s3, keyring, other_key_arn, refused):
    s3.put("inbox", "a.encrypted", encrypt_bytes(b"x", keyring=keyring, encryption_context=CONTEXT))
    monkeypatch.setenv("KEY_ARN", other_key_arn)
    assert refused(envelope_cipher.decrypt, {"sourceKey": "a.encrypted"}).code == "IncorrectKeyException"


def test_log_has_facts_of_each_object_and_its_failure(s3, caplog, refused):
    caplog.set_level(logging.DEBUG)
    s3.put("inbox", "a", b"hello")
    envelope_cipher.encrypt({"sourceKey": "a"}, None)
    refused(envelope_cipher.encrypt, {"sourceKey": "missing"})
    done, failed = [entry for entry in caplog.records if entry.name == "kms_runtime"]
    assert (done.message, done.operation, done.plaintextBytes) == ("done", "EnvelopeEncrypt", 5)
    assert done.destination == {"bucket": "vault", "key": "a.encrypted", "versionId": "v1"}
    assert (failed.message, failed.errorCode) == ("refused", "SourceNotReadable")


@pytest.mark.parametrize(
    ("key", "destination"),
    [("a/b.encrypted", "a/b"), (".encrypted", ".encrypted"), ("a/.encrypted", "a/.encrypted"), ("a", "a")],
)
def test_default_destination_has_a_name(key, destination):
    assert decrypted_key(key) == destination


@pytest.mark.parametrize(
    ("setting", "tags"), [("carry", [{"Key": "team", "Value": "a"}]), ("drop", None), ("refuse", None), (None, None)]
)
def test_tags_of_the_source_are_treated_as_the_function_is_told(setting, tags, s3, monkeypatch, refused):
    s3.put("inbox", "f", b"hello")
    s3.tags["inbox", "f"] = [{"Key": "team", "Value": "a"}]
    if setting:
        monkeypatch.setenv("OBJECT_TAGS", setting)
    if setting in {"carry", "drop"}:
        envelope_cipher.encrypt({"sourceKey": "f"}, None)
    else:
        assert refused(envelope_cipher.encrypt, {"sourceKey": "f"}).code == "InvalidRequest"
    assert s3.tags.get(("vault", "f.encrypted")) == tags


def test_unknown_setting_for_tags_is_a_misconfiguration(s3, monkeypatch, refused):
    s3.put("inbox", "f", b"hello")
    monkeypatch.setenv("OBJECT_TAGS", "Carry")
    assert refused(envelope_cipher.encrypt, {"sourceKey": "f"}).code == "FunctionMisconfigured"


PLAINTEXT = os.urandom(5000)


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


LIMIT = 128 * 1024


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
    assert failed.raisedAt[-1].startswith("test_envelope_cipher_handler.py:")
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
