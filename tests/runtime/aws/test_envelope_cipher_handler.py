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
