"""Small payloads in the event itself: the same messages as everywhere, no object, and nothing of it in the log."""

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
