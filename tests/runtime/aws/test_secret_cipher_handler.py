"""Secrets by AWS KMS under a symmetric key, and the handlers for them."""

import base64
import json
import logging

import fastjsonschema
import pytest

from kms_runtime import KmsRuntimeError, decrypt_secret, encrypt_secret
from kms_runtime.aws_errors import IncorrectKeyException, InvalidArnException, InvalidCiphertextException
from kms_runtime.errors import EncryptionContextInvalid, InvalidRequest, PlaintextEmpty, PlaintextTooLarge
from kms_runtime.handlers import secret_cipher
from kms_runtime.handlers.validation import schema

SECRET = base64.b64encode(b"hush-hush").decode()


@pytest.fixture(autouse=True)
def function(monkeypatch, kms, key_arn):
    monkeypatch.setattr(secret_cipher, "kms_client", lambda: kms)
    monkeypatch.setenv("KEY_ARN", key_arn)
    monkeypatch.setenv("ENCRYPTION_CONTEXT", json.dumps({"app": "orders"}))
    monkeypatch.setenv("REQUIRED_CONTEXT_KEYS", json.dumps(["tenant"]))


def request(**fields):
    return {"encryptionContext": {"tenant": "a"}, **fields}


def test_secret_comes_back_and_answers_follow_their_schemas(kms, key_arn):
    made = secret_cipher.encrypt(request(plaintext=SECRET), None)
    found = secret_cipher.decrypt(request(ciphertext=made["ciphertext"]), None)
    assert found == {"plaintext": SECRET, "keyArn": key_arn, "encryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    fastjsonschema.compile(schema("secret_cipher/encrypt_response"))(made)
    fastjsonschema.compile(schema("secret_cipher/decrypt_response"))(found)
    assert [call["EncryptionContext"] for _, call in kms.calls] == [{"tenant": "a", "app": "orders"}] * 2


def test_fixed_pair_may_be_repeated_by_the_request():
    given = {"tenant": "a", "app": "orders"}
    assert secret_cipher.encrypt({"plaintext": SECRET, "encryptionContext": given}, None)["ciphertext"]


BIG = base64.b64encode(bytes(4097)).decode()
REFUSALS = [
    ({"plaintext": ""}, "PlaintextEmpty", "1 to 4096"),
    ({"plaintext": BIG}, "PlaintextTooLarge", "has 4097 bytes"),
    ({"plaintext": "not base64!"}, "InvalidRequest", "event.plaintext must be encoded by base64"),
    ({"plaintext": "aG k=\n"}, "InvalidRequest", "event.plaintext is not Base64"),
    ({"plaintext": 7}, "InvalidRequest", "event.plaintext must be string"),
    ({}, "InvalidRequest", "event must contain ['plaintext'] properties"),
    ({"plaintext": SECRET, "extra": 1}, "InvalidRequest", "event must not contain {'extra'} properties"),
    ({"plaintext": SECRET, "encryptionContext": {}}, "EncryptionContextRequired", "requires tenant"),
    ({"plaintext": SECRET, "encryptionContext": {"tenant": 1}}, "InvalidRequest", "encryptionContext.tenant"),
    ({"plaintext": SECRET, "encryptionContext": {"tenant": ""}}, "InvalidRequest", "encryptionContext.tenant"),
    (
        {"plaintext": SECRET, "encryptionContext": {"tenant": "a", "app": "x"}},
        "EncryptionContextMismatch",
        "fixes the value of app",
    ),
    (
        {"plaintext": SECRET, "encryptionContext": {"tenant": "a", "aws-crypto-x": "y"}},
        "EncryptionContextInvalid",
        "reserves",
    ),
]


@pytest.mark.parametrize(("fields", "code", "reason"), REFUSALS, ids=[code for _, code, _ in REFUSALS])
def test_refusal_is_a_typed_error_before_any_call(fields, code, reason, kms):
    with pytest.raises(KmsRuntimeError) as caught:
        secret_cipher.encrypt(request(**fields), None)
    assert (type(caught.value).__name__, caught.value.code) == (code, code)
    assert reason in str(caught.value)
    assert kms.calls == []


def test_missing_context_is_required_too():
    with pytest.raises(KmsRuntimeError) as caught:
        secret_cipher.encrypt({"plaintext": SECRET}, None)
    assert caught.value.code == "EncryptionContextRequired"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), "InvalidCiphertextException"),
        (lambda blob: blob.replace(b"1234abcd", b"ffffffff"), "IncorrectKeyException"),
        (lambda _: b"", "InvalidRequest"),
        (lambda _: bytes(6145), "InvalidRequest"),
    ],
)
def test_unusable_ciphertext_is_refused(change, code):
    blob = base64.b64decode(secret_cipher.encrypt(request(plaintext=SECRET), None)["ciphertext"])
    with pytest.raises(KmsRuntimeError) as caught:
        secret_cipher.decrypt(request(ciphertext=base64.b64encode(change(blob)).decode()), None)
    assert caught.value.code == code


def test_another_context_is_refused():
    made = secret_cipher.encrypt(request(plaintext=SECRET), None)
    with pytest.raises(KmsRuntimeError) as caught:
        secret_cipher.decrypt({"ciphertext": made["ciphertext"], "encryptionContext": {"tenant": "b"}}, None)
    assert caught.value.code == "InvalidCiphertextException"


def test_refusal_of_kms_keeps_its_name(kms, kms_error):
    kms.failure = kms_error("AccessDeniedException", "Encrypt")
    with pytest.raises(KmsRuntimeError) as caught:
        secret_cipher.encrypt(request(plaintext=SECRET), None)
    assert type(caught.value).__name__ == "AccessDeniedException"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("KEY_ARN", "", "KEY_ARN is not set"),
        ("ENCRYPTION_CONTEXT", "{", "ENCRYPTION_CONTEXT is not JSON"),
        ("ENCRYPTION_CONTEXT", '{"a": 1}', "ENCRYPTION_CONTEXT is not a JSON object of strings"),
        ("REQUIRED_CONTEXT_KEYS", '"tenant"', "REQUIRED_CONTEXT_KEYS is not a JSON list of strings"),
    ],
)
def test_misconfigured_function_says_which_variable(name, value, reason, monkeypatch, kms):
    monkeypatch.setenv(name, value)
    with pytest.raises(KmsRuntimeError, match=reason) as caught:
        secret_cipher.encrypt(request(plaintext=SECRET), None)
    assert caught.value.code == "FunctionMisconfigured"
    assert kms.calls == []


def test_context_variables_may_be_left_out(monkeypatch):
    monkeypatch.delenv("ENCRYPTION_CONTEXT")
    monkeypatch.delenv("REQUIRED_CONTEXT_KEYS")
    assert secret_cipher.encrypt({"plaintext": SECRET}, None)["ciphertext"]


def test_log_says_the_outcome_and_never_the_secret(caplog, key_arn):
    caplog.set_level(logging.DEBUG)
    made = secret_cipher.encrypt(request(plaintext=SECRET), None)
    secret_cipher.decrypt(request(ciphertext=made["ciphertext"]), None)
    with pytest.raises(KmsRuntimeError):
        secret_cipher.encrypt(request(plaintext=BIG), None)
    outcomes = [(r.message, r.operation, getattr(r, "errorCode", None)) for r in caplog.records]
    assert outcomes == [
        ("done", "SecretEncrypt", None),
        ("done", "SecretDecrypt", None),
        ("refused", "SecretEncrypt", "PlaintextTooLarge"),
    ]
    everything = json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert key_arn in everything
    for hidden in (SECRET, "hush", made["ciphertext"], BIG):
        assert hidden not in everything


@pytest.mark.parametrize("name", ["boto3", "botocore.endpoint", "botocore.parsers", "urllib3.connectionpool"])
def test_sdk_does_not_log_request_bodies_whatever_the_log_level(name, caplog):
    caplog.set_level(logging.DEBUG)
    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


def test_defect_is_logged_by_class_and_raised(monkeypatch, caplog, kms):
    kms.failure = RuntimeError("could hold anything")
    with pytest.raises(RuntimeError):
        secret_cipher.encrypt(request(plaintext=SECRET), None)
    record = caplog.records[-1]
    assert (record.message, record.errorCode, "could hold" in str(record.__dict__)) == ("failed", "RuntimeError", False)


CONTEXT = {"tenant": "a"}


@pytest.fixture
def common(kms, key_arn):
    return {"key_arn": key_arn, "encryption_context": CONTEXT, "kms_client": kms}


@pytest.mark.parametrize("size", [1, 4095, 4096])
def test_secret_round_trips_up_to_the_limit_of_kms(size, common, kms, key_arn):
    made = encrypt_secret(b"x" * size, **common)
    found = decrypt_secret(made.ciphertext, **common)
    assert (found.plaintext, found.key_arn, found.encryption_algorithm) == (b"x" * size, key_arn, "SYMMETRIC_DEFAULT")
    assert [(name, call["KeyId"], call["EncryptionContext"]) for name, call in kms.calls] == [
        ("Encrypt", key_arn, CONTEXT),
        ("Decrypt", key_arn, CONTEXT),
    ]


def test_empty_secret_is_refused_before_any_call(common, kms):
    with pytest.raises(PlaintextEmpty, match="1 to 4096 bytes"):
        encrypt_secret(b"", **common)
    assert kms.calls == []


def test_too_large_secret_is_refused_before_any_call_and_shown_the_way_out(common, kms):
    with pytest.raises(PlaintextTooLarge, match=r"has 4097 bytes .* at most 4096; .*envelope encryption"):
        encrypt_secret(b"x" * 4097, **common)
    assert kms.calls == []


@pytest.mark.parametrize("size", [0, 6145])
def test_ciphertext_that_kms_cannot_have_made_is_refused_before_any_call(size, common, kms):
    with pytest.raises(InvalidRequest, match=f"{size} bytes"):
        decrypt_secret(bytes(size), **common)
    assert kms.calls == []


def test_reserved_context_is_refused_before_any_call(common, kms):
    with pytest.raises(EncryptionContextInvalid):
        encrypt_secret(b"x", **common | {"encryption_context": {"aws-crypto-x": "y"}})
    assert kms.calls == []


def test_alias_is_refused_before_any_call(common, kms):
    with pytest.raises(InvalidArnException):
        encrypt_secret(b"x", **common | {"key_arn": "alias/orders"})
    assert kms.calls == []


@pytest.mark.parametrize("context", [{}, {"tenant": "b"}, {"tenant": "a", "more": "x"}])
def test_secret_of_another_context_is_refused(context, common):
    made = encrypt_secret(b"secret", **common)
    with pytest.raises(InvalidCiphertextException):
        decrypt_secret(made.ciphertext, **common | {"encryption_context": context})


def test_tampered_ciphertext_is_refused(common):
    made = encrypt_secret(b"secret", **common)
    with pytest.raises(InvalidCiphertextException):
        decrypt_secret(made.ciphertext[:-1] + bytes([made.ciphertext[-1] ^ 1]), **common)


def test_ciphertext_of_another_key_is_refused(common, other_key_arn):
    made = encrypt_secret(b"secret", **common | {"key_arn": other_key_arn})
    with pytest.raises(IncorrectKeyException):
        decrypt_secret(made.ciphertext, **common)


@pytest.mark.parametrize("operation", [encrypt_secret, decrypt_secret])
def test_answer_about_another_key_is_refused(operation, common, kms, other_key_arn):
    data = encrypt_secret(b"secret", **common).ciphertext if operation is decrypt_secret else b"secret"
    kms.answer_as = other_key_arn
    with pytest.raises(IncorrectKeyException, match="is for"):
        operation(data, **common)


def test_decrypted_secret_does_not_show_in_repr(common):
    found = decrypt_secret(encrypt_secret(b"hush-hush", **common).ciphertext, **common)
    assert "hush" not in repr(found)
