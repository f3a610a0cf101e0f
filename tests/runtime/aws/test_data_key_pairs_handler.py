"""Data key pairs, and the handlers that make and use them."""

import base64
import json
import logging

import fastjsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from kms_patterns.policy.key_specs import DATA_KEY_PAIR_SPECS
from kms_runtime import KmsRuntimeError
from kms_runtime.aws_errors import ThrottlingException
from kms_runtime.backoff import Backoff
from kms_runtime.handlers import data_key_pairs
from kms_runtime.handlers.validation import schema
from kms_runtime.key_pairs import data_key_pair_use
from kms_runtime.key_pairs.data_key_pair_use import decrypt_with_pair, decrypted_private_key, sign_with_pair
from kms_runtime.key_pairs.data_key_pairs import (
    OAEP_ALGORITHMS,
    QUOTAS,
    algorithms_of,
    make_data_key_pair,
    make_data_key_pair_with_private_key,
    spec_of,
    usage_context,
)
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.secrets.rsa_secrets import encrypt_with_public_key
from kms_runtime.signatures.signing import verify
from tests.runtime.conftest import AsymmetricKms, private_key

MESSAGE = base64.b64encode(b"invoice").decode()
TENANT_EVENT = {"encryptionContext": {"tenant": "a"}}


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
    return data_key_pairs.generate({"keyPairSpec": spec, "keyUsage": usage, **TENANT_EVENT}, None)


def public_key_of(pair):
    algorithms = tuple(pair["algorithms"])
    der = base64.b64decode(pair["publicKey"])
    return PublicKey(pair["keyArn"], pair["keyPairSpec"], pair["keyUsage"], algorithms, der)


def handler_refusal(call, event) -> KmsRuntimeError:
    with pytest.raises(KmsRuntimeError) as caught:
        call(event, None)
    return caught.value


def test_pair_signs_and_answers_follow_their_schemas(kms):
    pair = pair_of()
    private_key = pair["encryptedPrivateKey"]
    event = {"message": MESSAGE, "encryptedPrivateKey": private_key, "algorithm": "ECDSA_SHA_256", **TENANT_EVENT}
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
    event = {"ciphertext": sealed, "encryptedPrivateKey": pair["encryptedPrivateKey"], **TENANT_EVENT, **algorithm}
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


WANTED = {"keyPairSpec": "ECC_NIST_P256", "keyUsage": "SIGN_VERIFY", **TENANT_EVENT}
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
    error = handler_refusal(data_key_pairs.generate, {**WANTED, **fields})
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
    event = {"message": MESSAGE, "encryptedPrivateKey": MESSAGE, "algorithm": "ECDSA_SHA_256", **TENANT_EVENT, **fields}
    assert (handler_refusal(data_key_pairs.sign, event).code, kms.calls) == (code, [])


def test_another_tenant_is_refused():
    event = {
        "message": MESSAGE,
        "encryptedPrivateKey": pair_of()["encryptedPrivateKey"],
        "algorithm": "ECDSA_SHA_256",
        "encryptionContext": {"tenant": "b"},
    }
    assert handler_refusal(data_key_pairs.sign, event).code == "InvalidCiphertextException"


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
    error = handler_refusal(data_key_pairs.generate, WANTED)
    assert (error.code, reason in str(error), kms.calls) == ("FunctionMisconfigured", True, [])


def test_log_says_the_outcome_and_never_a_key(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PRIVATE_KEY_RETURNED", "true")
    pair = pair_of()
    event = {"message": MESSAGE, "encryptedPrivateKey": pair["encryptedPrivateKey"], "algorithm": "ECDSA_SHA_256"}
    data_key_pairs.sign({**event, **TENANT_EVENT}, None)
    assert [(record.message, record.operation) for record in caplog.records] == [
        ("done", "DataKeyPairGenerate"),
        ("done", "DataKeyPairSign"),
    ]
    everything = json.dumps([record.__dict__ for record in caplog.records], default=str)
    for hidden in (pair["privateKey"], pair["encryptedPrivateKey"], MESSAGE):
        assert hidden not in everything


TENANT = {"tenant": "a"}
SIGNING = [(spec, algorithm) for spec in QUOTAS for algorithm in algorithms_of(spec, "SIGN_VERIFY")]
ONCE = Backoff(budget=0)


@pytest.fixture
def pair_kms(kms) -> AsymmetricKms:
    return AsymmetricKms(kms)


@pytest.fixture
def use(key_arn, pair_kms) -> dict:
    return {"key_arn": key_arn, "encryption_context": TENANT, "kms_client": pair_kms}


def refusal(call, *arguments, **options) -> KmsRuntimeError:
    with pytest.raises(KmsRuntimeError) as caught:
        call(*arguments, **options)
    return caught.value


@pytest.mark.parametrize(("spec", "algorithm"), SIGNING)
def test_pair_signs_with_every_algorithm_of_its_spec_and_the_public_key_verifies(spec, algorithm, use, kms):
    pair = make_data_key_pair(spec, "SIGN_VERIFY", **use)
    signature = sign_with_pair(b"message" * 10_000, pair.encrypted_private_key, algorithm=algorithm, **use)
    verify(pair.public_key, b"message" * 10_000, signature, algorithm=algorithm)
    assert refusal(verify, pair.public_key, b"other", signature, algorithm=algorithm).code == (
        "KMSInvalidSignatureException"
    )
    assert kms.operations == ["GenerateDataKeyPairWithoutPlaintext", "Decrypt"]


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"])
def test_pair_decrypts_what_the_public_key_encrypted(algorithm, use, kms):
    pair = make_data_key_pair("RSA_2048", "ENCRYPT_DECRYPT", **use)
    limit = pair.public_key.plaintext_limit(algorithm)
    for size in (1, limit):
        sealed = encrypt_with_public_key(bytes(size), public_key=pair.public_key, algorithm=algorithm)
        assert decrypt_with_pair(sealed, pair.encrypted_private_key, algorithm=algorithm, **use) == bytes(size)
    arguments = {"public_key": pair.public_key, "algorithm": algorithm}
    assert refusal(encrypt_with_public_key, bytes(limit + 1), **arguments).code == "PlaintextTooLarge"
    assert refusal(encrypt_with_public_key, b"", **arguments).code == "PlaintextEmpty"
    assert kms.operations == ["GenerateDataKeyPairWithoutPlaintext", "Decrypt", "Decrypt"]


def test_usage_and_context_go_into_both_calls(use, kms):
    pair = make_data_key_pair("ECC_NIST_P256", "SIGN_VERIFY", **use)
    sign_with_pair(b"x", pair.encrypted_private_key, algorithm="ECDSA_SHA_256", **use)
    assert [request["EncryptionContext"] for _, request in kms.calls] == [{**TENANT, "key-usage": "SIGN_VERIFY"}] * 2


def test_pair_for_one_usage_does_not_open_for_the_other(use):
    signing = make_data_key_pair("RSA_2048", "SIGN_VERIFY", **use)
    decrypting = make_data_key_pair("RSA_2048", "ENCRYPT_DECRYPT", **use)
    sealed = encrypt_with_public_key(b"x", public_key=decrypting.public_key)
    blob = decrypting.encrypted_private_key
    assert refusal(sign_with_pair, b"x", blob, algorithm="RSASSA_PSS_SHA_256", **use).code == (
        "InvalidCiphertextException"
    )
    assert refusal(decrypt_with_pair, sealed, signing.encrypted_private_key, **use).code == "InvalidCiphertextException"


def test_another_context_does_not_open(use):
    pair = make_data_key_pair("ECC_NIST_P256", "SIGN_VERIFY", **use)
    other = {**use, "encryption_context": {"tenant": "b"}}
    error = refusal(sign_with_pair, b"x", pair.encrypted_private_key, algorithm="ECDSA_SHA_256", **other)
    assert error.code == "InvalidCiphertextException"


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [("ECC_NIST_P256", "ECDSA_SHA_384"), ("ECC_NIST_P256", "RSASSA_PSS_SHA_256"), ("RSA_2048", "ECDSA_SHA_256")],
)
def test_algorithm_of_another_spec_is_refused(spec, algorithm, use):
    pair = make_data_key_pair(spec, "SIGN_VERIFY", **use)
    error = refusal(sign_with_pair, b"x", pair.encrypted_private_key, algorithm=algorithm, **use)
    assert error.code == "InvalidKeyUsageException"
    assert f"a pair of spec {spec} does not serve {algorithm}" in str(error)


@pytest.mark.parametrize(
    ("spec", "usage", "code"),
    [
        ("RSA_1024", "SIGN_VERIFY", "InvalidRequest"),
        ("SM2", "SIGN_VERIFY", "InvalidRequest"),
        ("RSA_2048", "KEY_AGREEMENT", "InvalidRequest"),
        ("ECC_NIST_P256", "ENCRYPT_DECRYPT", "InvalidKeyUsageException"),
    ],
)
def test_pair_that_kms_would_not_make_is_refused_before_any_call(spec, usage, code, use, kms):
    assert refusal(make_data_key_pair, spec, usage, **use).code == code
    assert kms.calls == []


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({"key-usage": "ENCRYPT_DECRYPT"}, "EncryptionContextMismatch"),
        ({"aws-crypto-x": "y"}, "EncryptionContextInvalid"),
        ({"Key-Usage": "ENCRYPT_DECRYPT"}, "EncryptionContextInvalid"),
    ],
)
def test_context_that_contradicts_is_refused_before_any_call(context, code, use, kms):
    arguments = {**use, "encryption_context": context}
    assert refusal(make_data_key_pair, "ECC_NIST_P256", "SIGN_VERIFY", **arguments).code == code
    assert kms.calls == []


def test_usage_may_be_repeated_by_the_caller():
    given = {"key-usage": "SIGN_VERIFY", **TENANT}
    assert usage_context(given, "SIGN_VERIFY") == given


@pytest.mark.parametrize("size", [0, 6145])
def test_blob_that_kms_never_makes_is_refused_before_any_call(size, use, kms):
    error = refusal(sign_with_pair, b"x", bytes(size), algorithm="ECDSA_SHA_256", **use)
    assert (error.code, kms.calls) == ("InvalidRequest", [])


def test_ciphertext_of_another_length_or_pair_is_refused(use):
    pair = make_data_key_pair("RSA_2048", "ENCRYPT_DECRYPT", **use)
    for sealed in (b"", bytes(255), bytes(256), bytes(257)):
        assert refusal(decrypt_with_pair, sealed, pair.encrypted_private_key, **use).code == (
            "InvalidCiphertextException"
        )


@pytest.mark.parametrize("content", [b"no key", b"\x30\x00"])
def test_ciphertext_of_something_else_is_refused(content, kms, use, key_arn):
    context = {**TENANT, "key-usage": "SIGN_VERIFY"}
    blob = kms.encrypt(KeyId=key_arn, Plaintext=content, EncryptionContext=context)["CiphertextBlob"]
    error = refusal(sign_with_pair, b"x", blob, algorithm="ECDSA_SHA_256", **use)
    assert "does not hold the private key" in str(error)


def test_private_key_is_wiped_once_read_and_when_it_cannot_be_read(use, kms, key_arn, monkeypatch):
    pair = make_data_key_pair("ECC_NIST_P256", "SIGN_VERIFY", **use)
    seen: list[bytearray] = []

    def load(der, password):
        assert any(der)
        seen.append(der)
        return load_der_private_key(der, password)

    monkeypatch.setattr(data_key_pair_use, "load_der_private_key", load)
    arguments = {**use, "encryption_context": usage_context(TENANT, "SIGN_VERIFY")}
    with decrypted_private_key(pair.encrypted_private_key, **arguments):
        assert not any(seen[0]), "wiped before the key is used"
    blob = kms.encrypt(KeyId=key_arn, Plaintext=b"no key", EncryptionContext=arguments["encryption_context"])
    refusal(sign_with_pair, b"x", blob["CiphertextBlob"], algorithm="ECDSA_SHA_256", **use)
    assert [bytes(der) for der in seen] == [bytes(len(der)) for der in seen]
    assert len(seen) == 2


def test_private_key_can_be_had_by_asking_for_it(use, kms):
    pair, private = make_data_key_pair_with_private_key("ECC_NIST_P256", "SIGN_VERIFY", **use)
    key = load_der_private_key(bytes(private), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    verify(pair.public_key, b"x", key.sign(b"x", ec.ECDSA(SHA256())), algorithm="ECDSA_SHA_256")
    assert kms.operations == ["GenerateDataKeyPair"]


def test_exceeded_quota_is_a_typed_error_that_names_the_quota(use, kms, kms_error):
    kms.failure = kms_error("ThrottlingException", "GenerateDataKeyPairWithoutPlaintext")
    error = refusal(make_data_key_pair, "RSA_4096", "SIGN_VERIFY", backoff=ONCE, **use)
    assert isinstance(error, ThrottlingException)
    assert "AWS KMS makes 1 pairs of RSA_4096 a second by default, for all callers of the account in the Region" in str(
        error
    )


@pytest.mark.parametrize("operation", ["generate", "open"])
def test_answer_about_another_key_is_refused(operation, use, kms, other_key_arn):
    pair = make_data_key_pair("ECC_NIST_P256", "SIGN_VERIFY", **use)
    kms.answer_as = other_key_arn
    if operation == "generate":
        error = refusal(make_data_key_pair, "ECC_NIST_P256", "SIGN_VERIFY", **use)
    else:
        error = refusal(sign_with_pair, b"x", pair.encrypted_private_key, algorithm="ECDSA_SHA_256", **use)
    assert error.code == "IncorrectKeyException"


def test_alias_is_no_key(use):
    arguments = {**use, "key_arn": "alias/pairs"}
    assert refusal(make_data_key_pair, "ECC_NIST_P256", "SIGN_VERIFY", **arguments).code == "InvalidArnException"


@pytest.mark.parametrize("spec", QUOTAS)
def test_spec_of_a_private_key_is_recognized(spec):
    assert spec_of(private_key(spec)) == spec


def test_key_of_no_spec_is_refused():
    assert refusal(spec_of, dsa.generate_private_key(1024)).code == "InvalidKeyUsageException"
    assert refusal(spec_of, ec.generate_private_key(ec.SECP224R1())).code == "InvalidKeyUsageException"


def test_construct_runtime_and_schema_know_the_same_specs_and_algorithms():
    assert set(QUOTAS) == set(DATA_KEY_PAIR_SPECS) - {"SM2"}
    named = schema("data_key_pairs/sign_request")["properties"]["algorithm"]["enum"]
    assert set(named) == {algorithm for _, algorithm in SIGNING}
    assert set(schema("data_key_pairs/decrypt_request")["properties"]["algorithm"]["enum"]) == set(OAEP_ALGORITHMS)
