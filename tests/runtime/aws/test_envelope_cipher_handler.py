import json
import logging
import os

import fastjsonschema
import pytest

from kms_runtime import KmsRuntimeError, decrypt_bytes, encrypt_bytes
from kms_runtime.handlers import envelope_cipher, envelope_work
from kms_runtime.handlers.validation import schema

CONTEXT = {"tenant": "a", "app": "orders"}


@pytest.fixture(autouse=True)
def function(monkeypatch, kms, s3, key_arn):
    monkeypatch.setattr(envelope_work, "kms_client", lambda: kms)
    monkeypatch.setattr(envelope_work, "s3_client", lambda: s3)
    monkeypatch.setenv("KEY_ARN", key_arn)
    monkeypatch.setenv("ENCRYPTION_CONTEXT", json.dumps(CONTEXT))
    monkeypatch.setenv("SOURCE_BUCKET", "inbox")
    monkeypatch.setenv("DESTINATION_BUCKET", "vault")


@pytest.fixture
def decrypting(monkeypatch):
    monkeypatch.setenv("SOURCE_BUCKET", "vault")
    monkeypatch.setenv("DESTINATION_BUCKET", "restored")


def record(key, *, bucket="inbox", **more):
    return {"eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}, **more}


def refused(handler, event):
    with pytest.raises(KmsRuntimeError) as caught:
        handler(event, None)
    assert type(caught.value).__name__ == caught.value.code
    return caught.value


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
    fastjsonschema.compile(schema("envelope_answer"))(answer)
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
        ({"Records": []}, "InvalidRequest", "event.Records"),
        ({"Records": [record("a", bucket="foreign")]}, "InvalidRequest", "about foreign; this function reads inbox"),
        ({"Records": [record("a", eventName="ObjectRemoved:Delete")]}, "InvalidRequest", "eventName"),
        ({"Records": [{"eventSource": "aws:sqs"}]}, "InvalidRequest", "event.Records[0]"),
    ],
)
def test_refused_request_makes_no_kms_call_and_writes_nothing(event, code, reason, s3, kms):
    error = refused(envelope_cipher.encrypt, event)
    assert error.code == code
    assert reason in str(error)
    assert kms.calls == []
    assert s3.objects == {}


def test_missing_required_pair_is_refused_before_any_call(monkeypatch, s3, kms):
    monkeypatch.setenv("REQUIRED_CONTEXT_KEYS", '["purpose", "tenant"]')
    error = refused(envelope_cipher.encrypt, {"sourceKey": "a"})
    assert (error.code, "requires purpose in" in str(error)) == ("EncryptionContextRequired", True)
    assert (s3.calls, kms.calls) == ([], [])


@pytest.mark.parametrize("variable", ["KEY_ARN", "SOURCE_BUCKET", "DESTINATION_BUCKET"])
def test_misconfigured_function_says_which_variable(variable, monkeypatch):
    monkeypatch.delenv(variable)
    error = refused(envelope_cipher.encrypt, {"sourceKey": "a"})
    assert (error.code, variable in str(error)) == ("FunctionMisconfigured", True)


def test_source_may_not_be_its_own_destination(monkeypatch, s3, kms):
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
def test_unusable_message_leaves_no_destination(damage, context, code, s3, keyring):
    message = encrypt_bytes(os.urandom(1000), keyring=keyring, encryption_context=context, frame_length=64)
    s3.put("vault", "a.encrypted", damage(message))
    assert refused(envelope_cipher.decrypt, {"sourceKey": "a.encrypted"}).code == code
    assert list(s3.objects) == [("vault", "a.encrypted")]
    assert s3.uploads == {}


def test_message_under_another_key_is_refused(monkeypatch, s3, keyring, other_key_arn):
    s3.put("inbox", "a.encrypted", encrypt_bytes(b"x", keyring=keyring, encryption_context=CONTEXT))
    monkeypatch.setenv("KEY_ARN", other_key_arn)
    assert refused(envelope_cipher.decrypt, {"sourceKey": "a.encrypted"}).code == "IncorrectKeyException"


def test_notification_processes_every_record_and_decodes_keys(s3):
    for key in ("a b+c/ü.txt", "second"):
        s3.put("inbox", key, b"hello")
    event = {"Records": [record("a+b%2Bc/%C3%BC.txt", eventName="ObjectCreated:Put"), record("second")]}
    answer = envelope_cipher.encrypt(event, None)
    assert [entry["destination"]["key"] for entry in answer["objects"]] == ["a b+c/ü.txt.encrypted", "second.encrypted"]
    fastjsonschema.compile(schema("notification_answer"))(answer)


def test_notification_tries_all_records_and_names_those_that_failed(s3):
    s3.put("inbox", "good", b"hello")
    event = {"Records": [record("missing"), record("good"), record("gone")]}
    error = refused(envelope_cipher.encrypt, event)
    assert error.code == "RecordsFailed"
    assert str(error).startswith("2 of 3 objects failed: missing (SourceNotReadable: ")
    assert "; gone (SourceNotReadable: " in str(error)
    assert ("vault", "good.encrypted") in s3.objects


def test_defect_in_one_record_does_not_keep_the_others_from_running(s3, monkeypatch):
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


def test_test_event_of_s3_is_answered_without_any_call(s3, kms):
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"}
    assert envelope_cipher.encrypt(event, None) == {"objects": []}
    assert (s3.calls, kms.calls) == ([], [])


def test_log_has_facts_of_each_object_and_its_failure(s3, caplog):
    caplog.set_level(logging.DEBUG)
    s3.put("inbox", "a", b"hello")
    envelope_cipher.encrypt({"sourceKey": "a"}, None)
    refused(envelope_cipher.encrypt, {"sourceKey": "missing"})
    done, failed = [entry for entry in caplog.records if entry.name == "kms_runtime"]
    assert (done.message, done.operation, done.plaintextBytes) == ("done", "EnvelopeEncrypt", 5)
    assert done.destination == {"bucket": "vault", "key": "a.encrypted", "versionId": "v1"}
    assert (failed.message, failed.errorCode) == ("refused", "SourceNotReadable")
