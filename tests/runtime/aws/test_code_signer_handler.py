"""CodeSigner's function: what it writes, what it does not repeat, and what becomes of a replaced artifact."""

import base64
import hashlib
import io
import json
import logging
import tracemalloc

import fastjsonschema
import pytest

from kms_runtime.handlers import code_signer
from kms_runtime.handlers.validation import schema
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signatures.artifacts import digest_artifact, verify_signature, verify_statement
from tests.runtime.conftest import ARN, SigningKms

CONTENT = b"release" * 1000
P256, OTHER, ML_DSA, RSA = (ARN.format(name) for name in ("ECC-NIST-P256", "ECC-NIST-P256--2", "ML-DSA-44", "RSA-2048"))


@pytest.fixture
def kms():
    return SigningKms()


@pytest.fixture(autouse=True)
def function(monkeypatch, kms, s3):
    monkeypatch.setattr(code_signer, "kms_client", lambda: kms)
    monkeypatch.setattr(code_signer, "s3_client", lambda: s3)
    code_signer._public_key.cache_clear()
    configure(monkeypatch, P256, "ECDSA_SHA_256")
    monkeypatch.setenv("SOURCE_BUCKET", "artifacts")
    monkeypatch.setenv("DESTINATION_BUCKET", "signatures")
    s3.put("artifacts", "app.bin", CONTENT)


def configure(monkeypatch, key_arn, algorithm):
    monkeypatch.setenv("KEY_ARN", key_arn)
    monkeypatch.setenv("SIGNING_ALGORITHM", algorithm)


def sign(key="app.bin"):
    return code_signer.sign({"sourceKey": key}, None)


def check(s3, content=CONTENT, key_arn=P256, algorithm="ECDSA_SHA_256"):
    key = PublicKey.fetch(key_arn, kms_client=SigningKms())
    artifact = digest_artifact(io.BytesIO(content), algorithm=algorithm, public_key=key)
    verify_signature(artifact, s3.latest("signatures", "app.bin.sig"), key, algorithm=algorithm)
    envelope = s3.latest("signatures", "app.bin.dsse.json")
    verify_statement(artifact, envelope, key, algorithm=algorithm, name="app.bin")


def test_signature_and_statement_stand_beside_each_other_and_the_answer_follows_its_schema(s3, kms):
    answer = sign()
    fastjsonschema.compile(schema("code_signer/response"))(answer)
    assert answer == {
        "source": {"bucket": "artifacts", "key": "app.bin", "versionId": "v1"},
        "signature": {"bucket": "signatures", "key": "app.bin.sig", "versionId": "v1"},
        "statement": {"bucket": "signatures", "key": "app.bin.dsse.json", "versionId": "v1"},
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "sha512": hashlib.sha512(CONTENT).hexdigest(),
        "artifactBytes": len(CONTENT),
        "keyArn": P256,
        "signingAlgorithm": "ECDSA_SHA_256",
        "signed": True,
    }
    check(s3)
    assert kms.operations == ["GetPublicKey", "Sign", "Sign"]


def test_repeated_event_writes_nothing_and_signs_nothing(s3, kms):
    first = sign()
    again = sign()
    assert again == first | {
        "signed": False,
        "signature": {"bucket": "signatures", "key": "app.bin.sig"},
        "statement": {"bucket": "signatures", "key": "app.bin.dsse.json"},
    }
    assert kms.operations == ["GetPublicKey", "Sign", "Sign"]
    assert s3.operations.count("PutObject") == 2


@pytest.mark.parametrize(
    "spoilt", [b"not json", b"{}", b'{"payloadType": "t", "payload": "e30=", "signatures": [{"sig": ""}]}']
)
def test_statement_that_cannot_be_read_is_written_anew(s3, spoilt):
    s3.put("signatures", "app.bin.dsse.json", spoilt)
    assert sign()["signed"]
    check(s3)


def test_planted_statement_that_says_the_same_is_replaced(s3):
    sign()
    genuine = json.loads(s3.latest("signatures", "app.bin.dsse.json"))
    genuine["signatures"][0]["sig"] = base64.b64encode(b"junk").decode()
    s3.put("signatures", "app.bin.dsse.json", json.dumps(genuine).encode())
    assert sign()["signed"]
    check(s3)


@pytest.mark.parametrize("code", [(400, "InvalidRequest"), (400, "KMS.DisabledException"), (403, "InvalidObjectState")])
def test_object_planted_under_an_encryption_that_cannot_be_read_is_replaced(s3, code):
    """Such as SSE-C, or another key, where the bucket's policy lets an uploader choose."""
    sign()
    genuine = s3.get_object

    def planted(**request):
        if request["Key"].endswith(".sig"):
            raise s3._error(*code, "GetObject")
        return genuine(**request)

    s3.get_object = planted
    assert sign()["signed"]
    s3.get_object = genuine
    check(s3)


@pytest.mark.parametrize("suffix", [".sig", ".dsse.json"])
@pytest.mark.parametrize("spoil", [None, b"junk"])
def test_each_output_that_is_lost_or_false_is_made_again(suffix, spoil, s3):
    sign()
    if spoil is None:
        del s3.objects["signatures", f"app.bin{suffix}"]
    else:
        s3.put("signatures", f"app.bin{suffix}", spoil)
    assert sign()["signed"]
    assert not sign()["signed"]
    check(s3)


def test_new_content_and_new_keys_are_signed_anew(s3, monkeypatch):
    sign()
    s3.put("artifacts", "app.bin", b"release 2")
    assert sign()["signed"]
    check(s3, b"release 2")
    configure(monkeypatch, OTHER, "ECDSA_SHA_256")
    assert sign()["signed"]
    check(s3, b"release 2", OTHER)


def test_another_algorithm_of_the_same_key_is_signed_anew(s3, monkeypatch):
    for algorithm in ("RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256"):
        configure(monkeypatch, RSA, algorithm)
        assert [sign()["signed"], sign()["signed"]] == [True, False]
        check(s3, key_arn=RSA, algorithm=algorithm)


def test_huge_statement_is_not_read_into_memory(s3):
    s3.put("signatures", "app.bin.dsse.json", b" " * 64 * 1024 * 1024)
    tracemalloc.start()
    answer = sign()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer["signed"]
    assert peak < 16 * 1024 * 1024


def test_artifact_that_is_what_dsse_signs_is_refused_before_it_is_signed(s3, kms, refused):
    s3.put("artifacts", "app.bin", b"DSSEv1 28 application/vnd.in-toto+json 2 {}")
    assert refused(code_signer.sign, {"sourceKey": "app.bin"}).code == "InvalidRequest"
    assert "Sign" not in kms.operations


def test_artifact_replaced_while_it_is_signed_is_signed_again(s3, kms, monkeypatch):
    genuine, replaced = kms.sign, []

    def sign_and_replace(**request):
        if not replaced:
            s3.put("artifacts", "app.bin", b"newer")
            replaced.append(True)
        return genuine(**request)

    monkeypatch.setattr(kms, "sign", sign_and_replace)
    assert sign()["sha256"] == hashlib.sha256(b"newer").hexdigest()
    check(s3, b"newer")


def test_artifact_replaced_again_and_again_ends_in_an_error_that_lambda_repeats(s3, kms, monkeypatch, refused):
    genuine = kms.sign

    def sign_and_replace(**request):
        s3.put("artifacts", "app.bin", str(len(kms.calls)).encode())
        return genuine(**request)

    monkeypatch.setattr(kms, "sign", sign_and_replace)
    assert refused(code_signer.sign, {"sourceKey": "app.bin"}).code == "SourceChanged"


def test_artifact_deleted_meanwhile_does_no_harm(s3):
    s3.failures["HeadObject"] = (404, "NotFound")
    assert sign()["signed"]


def test_statement_is_written_last_so_that_its_presence_says_that_all_is_there(s3, refused):
    put = []
    genuine = s3.put_object

    def failing(**request):
        put.append(request["Key"])
        if len(put) == 2:
            raise s3._error(403, "AccessDenied", "PutObject")
        return genuine(**request)

    s3.put_object = failing
    assert refused(code_signer.sign, {"sourceKey": "app.bin"}).code == "DestinationNotWritable"
    assert put == ["app.bin.sig", "app.bin.dsse.json"]
    s3.put_object = genuine
    assert sign()["signed"]
    check(s3)


def test_ml_dsa_signs_by_mu_with_the_public_key_fetched_once(s3, kms, monkeypatch):
    configure(monkeypatch, ML_DSA, "ML_DSA_SHAKE_256")
    sign()
    check(s3, key_arn=ML_DSA, algorithm="ML_DSA_SHAKE_256")
    s3.put("artifacts", "app.bin", b"release 2")
    sign()
    assert kms.operations == ["GetPublicKey", "Sign", "Sign", "Sign", "Sign"]
    assert {call["MessageType"] for name, call in kms.calls if name == "Sign"} == {"EXTERNAL_MU"}


REFUSALS = [
    ({}, "InvalidRequest", "event must contain ['sourceKey']"),
    ({"sourceKey": ""}, "InvalidRequest", "event.sourceKey"),
    ({"sourceKey": "a" * 1015}, "InvalidRequest", "shorter than or equal to 1014"),
    ({"sourceKey": "a", "algorithm": "x"}, "InvalidRequest", "must not contain {'algorithm'}"),
    ({"sourceKey": "app.bin.sig"}, "InvalidRequest", "is a signature by its name"),
    ({"sourceKey": "app.bin.dsse.json"}, "InvalidRequest", "is a signature by its name"),
    ({"sourceKey": "missing"}, "SourceNotReadable", "s3://artifacts/missing"),
]


@pytest.mark.parametrize(("event", "code", "reason"), REFUSALS)
def test_refusal_is_typed_and_nothing_is_signed(event, code, reason, refused, kms):
    error = refused(code_signer.sign, event)
    assert error.code == code
    assert reason in str(error)
    assert "Sign" not in kms.operations


@pytest.mark.parametrize(
    ("algorithm", "code"), [("ECDSA_SHA_384", "InvalidKeyUsageException"), ("ED25519_SHA_512", "MessageTooLarge")]
)
def test_algorithm_that_does_not_fit_is_refused(algorithm, code, refused, monkeypatch):
    configure(monkeypatch, P256, algorithm)
    assert refused(code_signer.sign, {"sourceKey": "app.bin"}).code == code


def test_log_says_what_was_signed(caplog):
    caplog.set_level(logging.INFO)
    sign()
    record = caplog.records[-1]
    assert (record.message, record.operation, record.keyArn) == ("done", "CodeSign", P256)
    assert json.loads(json.dumps(record.source)) == {"bucket": "artifacts", "key": "app.bin", "versionId": "v1"}
