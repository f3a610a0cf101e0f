import base64
import json

import fastjsonschema
import pytest

from kms_runtime import KmsRuntimeError
from kms_runtime.handlers import re_encryptor
from kms_runtime.handlers.validation import schema
from kms_runtime.secrets.symmetric import Side, encrypt_secret, re_encrypt
from tests.runtime.conftest import AsymmetricKms

TENANT = {"tenant": "a"}


@pytest.fixture
def client(kms) -> AsymmetricKms:
    return AsymmetricKms(kms)


@pytest.fixture(autouse=True)
def function(monkeypatch, client, key_arn, other_key_arn):
    monkeypatch.setattr(re_encryptor, "kms_client", lambda: client)
    variables = {
        "SOURCE_KEY_ARN": key_arn,
        "SOURCE_REQUIRED_CONTEXT_KEYS": json.dumps(["tenant"]),
        "DESTINATION_KEY_ARN": other_key_arn,
        "DESTINATION_ENCRYPTION_CONTEXT": json.dumps({"state": "archived"}),
        "DESTINATION_REQUIRED_CONTEXT_KEYS": json.dumps(["tenant"]),
        "KEPT_CONTEXT_KEYS": json.dumps(["tenant"]),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def event(kms, key_arn) -> dict:
    made = encrypt_secret(b"old", key_arn=key_arn, encryption_context=TENANT, kms_client=kms)
    kms.calls.clear()
    ciphertext = base64.b64encode(made.ciphertext).decode()
    return {"ciphertext": ciphertext, "sourceEncryptionContext": TENANT, "destinationEncryptionContext": TENANT}


def refusal(event) -> KmsRuntimeError:
    with pytest.raises(KmsRuntimeError) as caught:
        re_encryptor.re_encrypt(event, None)
    return caught.value


def test_ciphertext_moves_and_no_plaintext_is_answered(event, kms, key_arn, other_key_arn):
    answer = re_encryptor.re_encrypt(event, None)
    assert (answer["sourceKeyArn"], answer["keyArn"]) == (key_arn, other_key_arn)
    assert set(answer) == {"ciphertext", "sourceKeyArn", "keyArn"}
    fastjsonschema.compile(schema("re_encryptor/response"))(answer)
    name, request = kms.calls[0]
    assert (name, request["SourceEncryptionContext"], request["DestinationEncryptionContext"]) == (
        "ReEncrypt",
        TENANT,
        {**TENANT, "state": "archived"},
    )
    moved = base64.b64decode(answer["ciphertext"])
    context = {**TENANT, "state": "archived"}
    assert kms.decrypt(KeyId=other_key_arn, CiphertextBlob=moved, EncryptionContext=context)["Plaintext"] == b"old"


REFUSALS = [
    ({"destinationEncryptionContext": {"tenant": "b"}}, "EncryptionContextMismatch", "this function keeps it"),
    ({"destinationEncryptionContext": {}}, "EncryptionContextRequired", "requires tenant"),
    ({"sourceEncryptionContext": {}}, "EncryptionContextRequired", "requires tenant"),
    (
        {"destinationEncryptionContext": {**TENANT, "state": "open"}},
        "EncryptionContextMismatch",
        "fixes the value of state",
    ),
    ({"destinationEncryptionContext": {**TENANT, "aws-crypto-x": "y"}}, "EncryptionContextInvalid", "reserves"),
    ({"destinationEncryptionContext": {**TENANT, "State": "open"}}, "EncryptionContextInvalid", "State, state"),
    ({"sourceEncryptionContext": {**TENANT, "Tenant": "b"}}, "EncryptionContextInvalid", "differ in case only"),
    ({"ciphertext": ""}, "InvalidRequest", "takes 1 to 6144"),
    ({"ciphertext": base64.b64encode(bytes(6145)).decode()}, "InvalidRequest", "has 6145 bytes"),
    ({"ciphertext": "not base64!"}, "InvalidRequest", "base64"),
    ({"extra": 1}, "InvalidRequest", "must not contain {'extra'}"),
]


@pytest.mark.parametrize(("fields", "code", "reason"), REFUSALS, ids=[str(fields)[:60] for fields, _, _ in REFUSALS])
def test_refusal_is_a_typed_error_before_any_call(event, fields, code, reason, kms):
    error = refusal({**event, **fields})
    assert (error.code, reason in str(error), kms.calls) == (code, True, [])


def test_wrong_source_context_is_refused_by_kms(event):
    other = {"tenant": "b"}
    error = refusal({**event, "sourceEncryptionContext": other, "destinationEncryptionContext": other})
    assert error.code == "InvalidCiphertextException"


def test_value_that_is_not_kept_may_change(event, monkeypatch):
    monkeypatch.setenv("KEPT_CONTEXT_KEYS", "[]")
    assert re_encryptor.re_encrypt({**event, "destinationEncryptionContext": {"tenant": "b"}}, None)["ciphertext"]


def test_kept_name_that_neither_side_has_is_refused(event, monkeypatch, kms):
    monkeypatch.setenv("KEPT_CONTEXT_KEYS", json.dumps(["customer"]))
    assert (refusal(event).code, kms.calls) == ("EncryptionContextMismatch", [])


def test_rsa_source_has_an_algorithm_and_no_context(event, monkeypatch, kms, client):
    monkeypatch.setenv("SOURCE_ALGORITHM", "RSAES_OAEP_SHA_256")
    monkeypatch.setenv("SOURCE_REQUIRED_CONTEXT_KEYS", "[]")
    monkeypatch.setenv("KEPT_CONTEXT_KEYS", "[]")
    error = refusal({**event, "sourceEncryptionContext": TENANT})
    assert (error.code, "only symmetric keys have one" in str(error), kms.calls) == ("InvalidRequest", True, [])
    del event["sourceEncryptionContext"]
    refusal(event)
    request = kms.calls[0][1]
    assert request["SourceEncryptionAlgorithm"] == "RSAES_OAEP_SHA_256"
    assert "SourceEncryptionContext" not in request


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SOURCE_KEY_ARN", "", "KEY_ARN is not set"),
        ("DESTINATION_KEY_ARN", "", "KEY_ARN is not set"),
        ("KEPT_CONTEXT_KEYS", '"tenant"', "KEPT_CONTEXT_KEYS is not a JSON list of strings"),
    ],
)
def test_misconfigured_function_says_which_variable(event, name, value, reason, monkeypatch, kms):
    monkeypatch.setenv(name, value)
    error = refusal(event)
    assert (error.code, reason in str(error), kms.calls) == ("FunctionMisconfigured", True, [])


def test_answer_about_another_key_is_refused(event, kms, key_arn, other_key_arn, client):
    kms.answer_as = key_arn
    with pytest.raises(KmsRuntimeError, match="the response of ReEncrypt has KeyId") as caught:
        re_encrypt(
            base64.b64decode(event["ciphertext"]),
            source=Side(key_arn, TENANT),
            destination=Side(other_key_arn, TENANT),
            kms_client=client,
        )
    assert caught.value.code == "IncorrectKeyException"
