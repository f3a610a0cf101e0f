import base64
import json
import logging

import fastjsonschema
import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from kms_runtime import KmsRuntimeError
from kms_runtime.handlers import data_key_pairs
from kms_runtime.handlers.validation import schema
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.secrets.rsa_secrets import encrypt_with_public_key
from kms_runtime.signatures.signing import verify
from tests.runtime.asymmetric_kms import AsymmetricKms

MESSAGE = base64.b64encode(b"invoice").decode()
TENANT = {"encryptionContext": {"tenant": "a"}}


@pytest.fixture(autouse=True)
def function(monkeypatch, kms, key_arn):
    client = AsymmetricKms(kms)
    monkeypatch.setattr(data_key_pairs, "kms_client", lambda: client)
    monkeypatch.setattr(data_key_pairs, "kms_client_without_retries", lambda: client)
    monkeypatch.setenv("KEY_ARN", key_arn)
    monkeypatch.setenv("ENCRYPTION_CONTEXT", json.dumps({"app": "orders"}))
    monkeypatch.setenv("REQUIRED_CONTEXT_KEYS", json.dumps(["tenant"]))
    monkeypatch.setenv("KEY_PAIR_SPECS", "ECC_NIST_P256 RSA_2048")
    monkeypatch.setenv("RETRY_SECONDS", "0")


def pair_of(spec="ECC_NIST_P256", usage="SIGN_VERIFY"):
    return data_key_pairs.generate({"keyPairSpec": spec, "keyUsage": usage, **TENANT}, None)


def public_key_of(pair):
    algorithms = tuple(pair["algorithms"])
    der = base64.b64decode(pair["publicKey"])
    return PublicKey(pair["keyArn"], pair["keyPairSpec"], pair["keyUsage"], algorithms, der)


def refusal(call, event) -> KmsRuntimeError:
    with pytest.raises(KmsRuntimeError) as caught:
        call(event, None)
    return caught.value


def test_pair_signs_and_answers_follow_their_schemas(kms):
    pair = pair_of()
    private_key = pair["encryptedPrivateKey"]
    event = {"message": MESSAGE, "encryptedPrivateKey": private_key, "algorithm": "ECDSA_SHA_256", **TENANT}
    signed = data_key_pairs.sign(event, None)
    verify(public_key_of(pair), b"invoice", base64.b64decode(signed["signature"]), algorithm="ECDSA_SHA_256")
    assert "privateKey" not in pair
    fastjsonschema.compile(schema("data_key_pairs/generate_response"))(pair)
    fastjsonschema.compile(schema("data_key_pairs/sign_response"))(signed)
    context = {"tenant": "a", "app": "orders", "key-usage": "SIGN_VERIFY"}
    assert [call["EncryptionContext"] for _, call in kms.calls] == [context] * 2
    assert kms.operations == ["GenerateDataKeyPairWithoutPlaintext", "Decrypt"]


@pytest.mark.parametrize("algorithm", [{}, {"algorithm": "RSAES_OAEP_SHA_256"}])
def test_pair_decrypts(algorithm):
    pair = pair_of("RSA_2048", "ENCRYPT_DECRYPT")
    sealed = base64.b64encode(encrypt_with_public_key(b"secret", public_key=public_key_of(pair))).decode()
    event = {"ciphertext": sealed, "encryptedPrivateKey": pair["encryptedPrivateKey"], **TENANT, **algorithm}
    found = data_key_pairs.decrypt(event, None)
    assert base64.b64decode(found["plaintext"]) == b"secret"
    fastjsonschema.compile(schema("data_key_pairs/decrypt_response"))(found)


def test_private_key_is_answered_where_the_construct_says_so(monkeypatch, kms):
    monkeypatch.setenv("PRIVATE_KEY_RETURNED", "true")
    pair = pair_of()
    key = load_der_private_key(base64.b64decode(pair["privateKey"]), None)
    assert key.public_key() == public_key_of(pair).key
    fastjsonschema.compile(schema("data_key_pairs/generate_response"))(pair)
    assert kms.operations == ["GenerateDataKeyPair"]


@pytest.mark.parametrize("text", ["", "false", "1", "True"])
def test_private_key_is_answered_for_no_other_value(monkeypatch, text):
    monkeypatch.setenv("PRIVATE_KEY_RETURNED", text)
    assert "privateKey" not in pair_of()


WANTED = {"keyPairSpec": "ECC_NIST_P256", "keyUsage": "SIGN_VERIFY", **TENANT}
REFUSALS = [
    ({"keyPairSpec": "RSA_4096"}, "KeyPairSpecNotAllowed", "makes pairs of ECC_NIST_P256, RSA_2048, not of RSA_4096"),
    ({"keyPairSpec": "ECC"}, "KeyPairSpecNotAllowed", "not of ECC"),
    ({"keyPairSpec": ""}, "InvalidRequest", "keyPairSpec"),
    ({"keyUsage": "KEY_AGREEMENT"}, "InvalidRequest", "keyUsage must be one of"),
    ({"keyUsage": "ENCRYPT_DECRYPT"}, "InvalidKeyUsageException", "pairs that encrypt are RSA"),
    ({"encryptionContext": {}}, "EncryptionContextRequired", "requires tenant"),
    ({"encryptionContext": {"tenant": "a", "app": "x"}}, "EncryptionContextMismatch", "fixes the value of app"),
    ({"encryptionContext": {"tenant": "a", "key-usage": "x"}}, "EncryptionContextMismatch", "key-usage"),
    ({"extra": 1}, "InvalidRequest", "must not contain {'extra'}"),
]


@pytest.mark.parametrize(("fields", "code", "reason"), REFUSALS, ids=[str(fields) for fields, _, _ in REFUSALS])
def test_refusal_is_a_typed_error_before_any_call(fields, code, reason, kms):
    error = refusal(data_key_pairs.generate, {**WANTED, **fields})
    assert (type(error).__name__, reason in str(error), kms.calls) == (code, True, [])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"algorithm": "ED25519_PH_SHA_512"}, "InvalidRequest"),
        ({"message": "not base64!"}, "InvalidRequest"),
        ({"encryptedPrivateKey": ""}, "InvalidRequest"),
        ({"encryptionContext": {}}, "EncryptionContextRequired"),
    ],
)
def test_unusable_request_to_sign_is_refused_before_any_call(fields, code, kms):
    event = {"message": MESSAGE, "encryptedPrivateKey": MESSAGE, "algorithm": "ECDSA_SHA_256", **TENANT, **fields}
    assert (refusal(data_key_pairs.sign, event).code, kms.calls) == (code, [])


def test_another_tenant_is_refused():
    event = {
        "message": MESSAGE,
        "encryptedPrivateKey": pair_of()["encryptedPrivateKey"],
        "algorithm": "ECDSA_SHA_256",
        "encryptionContext": {"tenant": "b"},
    }
    assert refusal(data_key_pairs.sign, event).code == "InvalidCiphertextException"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("KEY_PAIR_SPECS", "", "KEY_PAIR_SPECS is not set"),
        ("RETRY_SECONDS", "soon", "RETRY_SECONDS is 'soon', not a number of seconds"),
        ("RETRY_SECONDS", "[1]", "RETRY_SECONDS is '[1]', not a number of seconds"),
        ("RETRY_SECONDS", "true", "RETRY_SECONDS is 'true', not a number of seconds"),
        ("RETRY_SECONDS", "NaN", "RETRY_SECONDS is 'NaN', not a number of seconds"),
        ("RETRY_SECONDS", "Infinity", "RETRY_SECONDS is 'Infinity', not a number of seconds"),
        ("RETRY_SECONDS", "-1", "RETRY_SECONDS is '-1', not a number of seconds"),
        ("KEY_ARN", "", "KEY_ARN is not set"),
    ],
)
def test_misconfigured_function_says_which_variable(name, value, reason, monkeypatch, kms):
    monkeypatch.setenv(name, value)
    error = refusal(data_key_pairs.generate, WANTED)
    assert (error.code, reason in str(error), kms.calls) == ("FunctionMisconfigured", True, [])


def test_log_says_the_outcome_and_never_a_key(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PRIVATE_KEY_RETURNED", "true")
    pair = pair_of()
    event = {"message": MESSAGE, "encryptedPrivateKey": pair["encryptedPrivateKey"], "algorithm": "ECDSA_SHA_256"}
    data_key_pairs.sign({**event, **TENANT}, None)
    assert [(record.message, record.operation) for record in caplog.records] == [
        ("done", "DataKeyPairGenerate"),
        ("done", "DataKeyPairSign"),
    ]
    everything = json.dumps([record.__dict__ for record in caplog.records], default=str)
    for hidden in (pair["privateKey"], pair["encryptedPrivateKey"], MESSAGE):
        assert hidden not in everything
