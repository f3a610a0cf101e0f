"""Signer's functions: messages and digests, one algorithm, typed refusals."""

import base64
import hashlib
import json
import logging

import fastjsonschema
import pytest

from kms_runtime.handlers import signer
from kms_runtime.handlers.validation import schema
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signatures.signing import verify
from tests.runtime.conftest import ARN, SigningKms

KEY_ARN, MESSAGE = ARN.format("ECC-NIST-P256"), b"to be signed"


def text(data):
    return base64.b64encode(data).decode()


@pytest.fixture
def kms():
    return SigningKms()


@pytest.fixture(autouse=True)
def function(monkeypatch, kms):
    monkeypatch.setattr(signer, "kms_client", lambda: kms)
    monkeypatch.setenv("KEY_ARN", KEY_ARN)
    monkeypatch.setenv("SIGNING_ALGORITHM", "ECDSA_SHA_256")


@pytest.mark.parametrize(
    ("message_type", "message"), [("RAW", MESSAGE), ("DIGEST", hashlib.sha256(MESSAGE).digest()), (None, MESSAGE)]
)
def test_message_or_digest_is_signed_and_verified_and_answers_follow_their_schemas(kms, message_type, message):
    request = {"message": text(message)} | ({"messageType": message_type} if message_type else {})
    made = signer.sign(request, None)
    found = signer.verify({**request, "signature": made["signature"]}, None)
    facts = {"messageType": message_type or "RAW", "keyArn": KEY_ARN, "signingAlgorithm": "ECDSA_SHA_256"}
    assert found == {"signatureValid": True, **facts}
    assert made == {"signature": made["signature"], **facts}
    fastjsonschema.compile(schema("signer/sign_response"))(made)
    fastjsonschema.compile(schema("signer/verify_response"))(found)
    public_key = PublicKey.fetch(KEY_ARN, kms_client=SigningKms())
    verify(public_key, MESSAGE, base64.b64decode(made["signature"]), algorithm="ECDSA_SHA_256")
    assert [call["SigningAlgorithm"] for _, call in kms.calls] == ["ECDSA_SHA_256"] * 2


BIG = text(bytes(4097))
REFUSALS = [
    ({}, "InvalidRequest", "event must contain ['message']"),
    ({"message": "no base64!"}, "InvalidRequest", "event.message is not Base64"),
    ({"message": ""}, "InvalidRequest", "the message is empty"),
    ({"message": BIG}, "MessageTooLarge", "has 4097 bytes and AWS KMS takes at most 4096: send its digest"),
    ({"message": text(bytes(31)), "messageType": "DIGEST"}, "InvalidRequest", "has 31 bytes"),
    ({"message": text(bytes(64)), "messageType": "EXTERNAL_MU"}, "InvalidRequest", "RAW or DIGEST, not EXTERNAL_MU"),
    ({"message": text(MESSAGE), "messageType": "raw"}, "InvalidRequest", "event.messageType must be one of"),
    ({"message": text(MESSAGE), "signingAlgorithm": "x"}, "InvalidRequest", "must not contain {'signingAlgorithm'}"),
]


@pytest.mark.parametrize(("event", "code", "reason"), REFUSALS)
@pytest.mark.parametrize("verb", ["sign", "verify"])
def test_refusal_is_typed_and_comes_before_any_call(verb, event, code, reason, refused, kms):
    if verb == "verify":
        event = {**event, "signature": text(b"s")}
    error = refused(getattr(signer, verb), event)
    assert (error.code, kms.calls) == (code, [])
    assert reason in str(error)


@pytest.mark.parametrize("signature", ["", text(bytes(6145))])
def test_impossible_signature_is_refused_before_any_call(signature, refused, kms):
    event = {"message": text(MESSAGE), "signature": signature}
    assert refused(signer.verify, event).code == "InvalidRequest"
    assert kms.calls == []


def test_signature_of_something_else_is_refused(refused):
    made = signer.sign({"message": text(MESSAGE)}, None)
    error = refused(signer.verify, {"message": text(b"other"), "signature": made["signature"]})
    assert error.code == "KMSInvalidSignatureException"


@pytest.mark.parametrize(
    ("algorithm", "reason"), [("", "SIGNING_ALGORITHM is not set"), ("ECDSA", "'ECDSA' is not a signing algorithm")]
)
def test_misconfigured_function_says_which_variable(algorithm, reason, refused, monkeypatch):
    monkeypatch.setenv("SIGNING_ALGORITHM", algorithm)
    error = refused(signer.sign, {"message": text(MESSAGE)})
    assert error.code == "FunctionMisconfigured"
    assert reason in str(error)


def test_pure_ed25519_says_which_algorithm_takes_digests(refused, monkeypatch):
    monkeypatch.setenv("SIGNING_ALGORITHM", "ED25519_SHA_512")
    monkeypatch.setenv("KEY_ARN", ARN.format("ECC-NIST-EDWARDS25519"))
    assert "ED25519_PH_SHA_512" in str(refused(signer.sign, {"message": BIG}))


def test_log_says_the_outcome_and_neither_message_nor_signature(caplog):
    caplog.set_level(logging.DEBUG)
    made = signer.sign({"message": text(MESSAGE)}, None)
    everything = json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert KEY_ARN in everything
    for hidden in (text(MESSAGE), "to be signed", made["signature"]):
        assert hidden not in everything
