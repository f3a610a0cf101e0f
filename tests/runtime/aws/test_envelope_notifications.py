"""What Amazon S3 sends when objects are created: several records, repeated or late, and its test event."""

import fastjsonschema
import pytest

from kms_runtime import decrypt_bytes
from kms_runtime.handlers import envelope_cipher
from kms_runtime.handlers.validation import schema

pytestmark = pytest.mark.usefixtures("envelope_function")


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
    assert failed.raisedAt[-1].startswith("test_envelope_notifications.py:")
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
