"""The functions of MessageAuthenticator: events, answers, refusals."""

import base64
import json
import logging

import fastjsonschema
import pytest

from kms_runtime.errors import KmsRuntimeError
from kms_runtime.handlers import message_authenticator
from kms_runtime.handlers.validation import schema

ARN = "arn:aws:kms:eu-west-1:111122223333:key/messages"
LENGTHS = {"HMAC_SHA_224": 28, "HMAC_SHA_256": 32, "HMAC_SHA_384": 48, "HMAC_SHA_512": 64}


@pytest.fixture(autouse=True)
def function(monkeypatch, kms):
    monkeypatch.setattr(message_authenticator, "kms_client", lambda: kms)
    monkeypatch.setenv("KEY_ARN", ARN)
    monkeypatch.setenv("MAC_ALGORITHM", "HMAC_SHA_256")


def text(data):
    return base64.b64encode(data).decode()


def code_of(handler, event):
    with pytest.raises(KmsRuntimeError) as caught:
        handler(event, None)
    assert type(caught.value).__name__ == caught.value.code
    return caught.value.code


@pytest.mark.parametrize("algorithm", LENGTHS)
@pytest.mark.parametrize("size", [1, 4096])
def test_code_is_made_and_verified_by_one_call_each(algorithm, size, kms, monkeypatch):
    monkeypatch.setenv("MAC_ALGORITHM", algorithm)
    message = text(bytes(size))
    made = message_authenticator.generate({"message": message}, None)
    fastjsonschema.compile(schema("message_authenticator/generate_response"))(made)
    assert (len(base64.b64decode(made["mac"])), made["keyArn"], made["macAlgorithm"]) == (
        LENGTHS[algorithm], ARN, algorithm,
    )  # fmt: skip
    answer = message_authenticator.verify({"message": message, "mac": made["mac"]}, None)
    fastjsonschema.compile(schema("message_authenticator/verify_response"))(answer)
    assert answer == {"macValid": True, "keyArn": ARN, "macAlgorithm": algorithm}
    assert [(name, call["MacAlgorithm"], len(call["Message"])) for name, call in kms.calls] == [
        ("GenerateMac", algorithm, size), ("VerifyMac", algorithm, size),
    ]  # fmt: skip


def test_code_of_another_message_key_or_algorithm_is_refused(kms, monkeypatch):
    mac = message_authenticator.generate({"message": text(b"one")}, None)["mac"]
    altered = base64.b64decode(mac)
    altered = bytes([altered[0] ^ 1]) + altered[1:]
    for event in ({"message": text(b"two"), "mac": mac}, {"message": text(b"one"), "mac": text(altered)}):
        assert code_of(message_authenticator.verify, event) == "KMSInvalidMacException"
    monkeypatch.setenv("KEY_ARN", ARN + "-2")
    assert code_of(message_authenticator.verify, {"message": text(b"one"), "mac": mac}) == "KMSInvalidMacException"
    kms.calls.clear()
    monkeypatch.setenv("MAC_ALGORITHM", "HMAC_SHA_512")
    assert code_of(message_authenticator.verify, {"message": text(b"one"), "mac": mac}) == "KMSInvalidMacException"
    assert kms.calls == []


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"message": ""}, "InvalidRequest"),
        ({"message": text(bytes(4097))}, "MessageTooLarge"),
        ({"message": "not base64!"}, "InvalidRequest"),
        ({"message": 7}, "InvalidRequest"),
        ({}, "InvalidRequest"),
        ({"message": text(b"m"), "algorithm": "HMAC_SHA_224"}, "InvalidRequest"),
    ],
)
def test_request_is_refused_before_any_call(event, code, kms):
    assert code_of(message_authenticator.generate, event) == code
    assert code_of(message_authenticator.verify, event | {"mac": text(bytes(32))}) == code
    assert kms.calls == []


@pytest.mark.parametrize("mac", ["", text(bytes(31)), text(bytes(33)), text(bytes(7000))])
def test_code_of_another_length_is_refused_before_any_call(mac, kms):
    assert code_of(message_authenticator.verify, {"message": text(b"m"), "mac": mac}) == "KMSInvalidMacException"
    assert kms.calls == []


@pytest.mark.parametrize(("name", "value"), [("KEY_ARN", ""), ("MAC_ALGORITHM", ""), ("MAC_ALGORITHM", "SHA_256")])
def test_misconfigured_function_says_which_variable(name, value, monkeypatch, kms):
    monkeypatch.setenv(name, value)
    with pytest.raises(KmsRuntimeError, match=name) as caught:
        message_authenticator.generate({"message": text(b"m")}, None)
    assert caught.value.code == "FunctionMisconfigured"
    assert kms.calls == []


@pytest.mark.parametrize("operation", ["GenerateMac", "VerifyMac"])
@pytest.mark.parametrize("code", ["AccessDeniedException", "DisabledException", "InvalidKeyUsageException"])
def test_refusal_of_kms_keeps_its_name(operation, code, kms):
    kms.failures[operation] = code
    handler = message_authenticator.generate if operation == "GenerateMac" else message_authenticator.verify
    event = {"message": text(b"m")} | ({} if operation == "GenerateMac" else {"mac": text(bytes(32))})
    assert code_of(handler, event) == code


def test_answer_of_another_key_is_refused(kms, monkeypatch):
    genuine = kms.generate_mac
    monkeypatch.setattr(kms, "generate_mac", lambda **request: genuine(**request) | {"KeyId": ARN + "-2"})
    assert code_of(message_authenticator.generate, {"message": text(b"m")}) == "IncorrectKeyException"


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"KeyId": ARN + "-2"}, "IncorrectKeyException"), ({"MacValid": False}, "KMSInvalidMacException")],
)
def test_answer_that_does_not_say_valid_for_this_key_is_refused(changes, code, kms, monkeypatch):
    mac = message_authenticator.generate({"message": text(b"m")}, None)["mac"]
    genuine = kms.verify_mac
    monkeypatch.setattr(kms, "verify_mac", lambda **request: genuine(**request) | changes)
    assert code_of(message_authenticator.verify, {"message": text(b"m"), "mac": mac}) == code


def test_log_holds_neither_message_nor_code(caplog):
    caplog.set_level(logging.DEBUG)
    mac = message_authenticator.generate({"message": text(b"hush-hush")}, None)["mac"]
    message_authenticator.verify({"message": text(b"hush-hush"), "mac": mac}, None)
    everything = json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert [(record.message, record.operation) for record in caplog.records] == [
        ("done", "MacGenerate"), ("done", "MacVerify"),
    ]  # fmt: skip
    assert "hush" not in everything
    assert text(b"hush-hush") not in everything
    assert mac not in everything
