"""Envelopes and statements are read strictly, and an envelope is verified before its payload is believed."""

import base64
import io
import json

import pytest

from kms_runtime.signatures.artifacts import digest_artifact, verify_statement
from kms_runtime.signatures.dsse import Envelope, EnvelopeSignature, parse_envelope, pre_authentication_encoding
from kms_runtime.signatures.in_toto import (
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Statement,
    Subject,
    parse_statement,
)
from kms_runtime.signatures.signing import sign

P256 = {"algorithm": "ECDSA_SHA_256"}
CONTENT = b"content"


def text(data):
    return base64.b64encode(data).decode()


def envelope(**changes):
    document = {"payloadType": "t", "payload": text(b"{}"), "signatures": [{"keyid": "k", "sig": text(b"s")}]}
    return json.dumps(document | changes).encode()


def test_encoding_is_that_of_the_protocol():
    # The protocol's own example.
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_envelope_comes_back():
    made = Envelope("t/é", bytes(range(256)), (EnvelopeSignature("a", b"1"), EnvelopeSignature("", b"2")))
    assert parse_envelope(made.to_json()) == made


def test_keyid_may_be_missing_and_base64_may_be_of_the_alphabet_for_addresses():
    found = parse_envelope(envelope(payload="-_-_", signatures=[{"sig": "-_-_"}]))
    assert (found.payload, found.signatures) == (b"\xfb\xff\xbf", (EnvelopeSignature("", b"\xfb\xff\xbf"),))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b'{"payload": "", "payload": ""}', "a name stands twice"),
        (envelope(payloadType="\ud800"), "surrogates not allowed"),
        (envelope(payloadType=None), "payloadType is missing or not a string"),
        (envelope(payload=7), "payload is missing or not a string"),
        (envelope(payload="a"), "payload is not Base64"),
        (envelope(payload="YQ==\n"), "payload is not Base64"),
        (envelope(signatures=[]), "no list of signatures"),
        (envelope(signatures={}), "no list of signatures"),
        (envelope(signatures=["x"]), "is not an object"),
        (envelope(signatures=[{"sig": "YQ==", "keyid": 7}]), "keyid is not a string"),
        (envelope(signatures=[{"keyid": "k"}]), "sig is missing"),
        (envelope(payload="A" * 2**20), "at most 1048576 are read"),
    ],
)
def test_what_is_no_envelope_is_refused(data, reason, refused):
    error = refused(parse_envelope, data)
    assert error.code == "AttestationInvalid"
    assert reason in str(error)


def statement(**changes):
    document = {"_type": STATEMENT_TYPE, "subject": [{"name": "a", "digest": {"sha256": "00"}}], "predicateType": "p"}
    return json.dumps(document | changes).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no", "the statement is not JSON"),
        (statement(subject=[{"name": "\udfff", "digest": {"sha256": "00"}}]), "surrogates not allowed"),
        (statement(_type="https://in-toto.io/Statement/v0.1"), "Statement/v0.1"),
        (statement(subject=[]), "no subject"),
        (statement(subject=[{"name": "a"}]), "a subject of the statement has no digest"),
        (statement(subject=[{"name": "a", "digest": {"sha256": 1}}]), "is not a string"),
        (statement(subject=["a"]), "has no digest"),
        (statement(predicateType=None), "no predicateType"),
        (statement(predicate="x"), "predicate is not an object"),
    ],
)
def test_what_is_no_statement_is_refused(data, reason, refused):
    error = refused(parse_statement, data)
    assert error.code == "AttestationInvalid"
    assert reason in str(error)


def test_statement_comes_back():
    made = Statement((Subject("a", {"sha256": "00"}), Subject("b", {"sha512": "11"})), "p", {"x": [1]})
    assert parse_statement(made.to_payload()) == made


@pytest.mark.parametrize(
    ("digests", "matches"),
    [
        ({"sha256": "00"}, True),
        ({"sha256": "00", "sha512": "ff"}, True),
        ({"sha256": "01"}, False),
        ({"sha512": "ff"}, False),
        ({}, False),
    ],
)
def test_subject_must_have_a_digest_in_common_and_none_that_differs(digests, matches, refused):
    found = parse_statement(statement())
    if matches:
        assert found.subject_with(digests).name == "a"
    else:
        assert refused(found.subject_with, digests).code == "ArtifactMismatch"


@pytest.fixture
def enveloped(kms, arn_of):
    """An envelope around any payload, genuinely signed."""

    def make(payload, payload_type=PAYLOAD_TYPE, before=()):
        signed = pre_authentication_encoding(payload_type, payload)
        genuine = sign(signed, key_arn=arn_of("ECC_NIST_P256"), kms_client=kms, **P256)
        return Envelope(payload_type, payload, (*before, EnvelopeSignature("", genuine))).to_json()

    return make


def payload_of(content, predicate_type=PREDICATE_TYPE, name="a"):
    digests = digest_artifact(io.BytesIO(content), **P256).digests
    return Statement((Subject(name, digests),), predicate_type, {}).to_payload()


def test_one_genuine_signature_among_others_is_enough_and_keyid_proves_nothing(enveloped, public_key, arn_of):
    foreign = EnvelopeSignature(arn_of("ECC_NIST_P256"), b"not one")
    made = enveloped(payload_of(CONTENT), before=[foreign])
    artifact = digest_artifact(io.BytesIO(CONTENT), **P256)
    assert verify_statement(artifact, made, public_key("ECC_NIST_P256"), **P256).subjects[0].name == "a"


@pytest.mark.parametrize("part", ["payload", "payloadType"])
def test_altered_payload_or_type_is_refused_before_it_is_read(part, enveloped, public_key, refused):
    document = json.loads(enveloped(payload_of(CONTENT)))
    document[part] = text(payload_of(b"other")) if part == "payload" else "application/json"
    artifact = digest_artifact(io.BytesIO(b"other"), **P256)
    error = refused(verify_statement, artifact, json.dumps(document).encode(), public_key("ECC_NIST_P256"), **P256)
    assert error.code == "KMSInvalidSignatureException"


def test_genuine_envelope_around_something_else_is_refused(enveloped, public_key, refused):
    artifact = digest_artifact(io.BytesIO(CONTENT), **P256)
    for made in (enveloped(payload_of(CONTENT), "application/json"), enveloped(b'{"_type": "other"}')):
        error = refused(verify_statement, artifact, made, public_key("ECC_NIST_P256"), **P256)
        assert error.code == "AttestationInvalid"


def test_genuine_statement_of_another_kind_is_refused_unless_it_is_asked_for(enveloped, public_key, refused):
    artifact, key = digest_artifact(io.BytesIO(CONTENT), **P256), public_key("ECC_NIST_P256")
    made = enveloped(payload_of(CONTENT, "https://example.com/scan-failed"))
    error = refused(verify_statement, artifact, made, key, **P256)
    assert error.code == "AttestationInvalid"
    assert "'https://example.com/scan-failed', not 'https://cosign.sigstore.dev/attestation/v1'" in str(error)
    found = verify_statement(artifact, made, key, predicate_type="https://example.com/scan-failed", **P256)
    assert found.predicate_type == "https://example.com/scan-failed"


def test_artifact_that_is_what_dsse_signs_is_neither_signed_nor_verified(refused):
    """Its detached signature would be that of a statement about a name and a digest of its author's choice."""
    forged = pre_authentication_encoding(PAYLOAD_TYPE, payload_of(b"malware", name="release-2.0.bin"))
    error = refused(digest_artifact, io.BytesIO(forged), **P256)
    assert (error.code, "begins with 'DSSEv1 '" in str(error)) == ("InvalidRequest", True)
    assert digest_artifact(io.BytesIO(b"DSSEv1"), **P256).size == 6
    assert digest_artifact(io.BytesIO(b"x" * 2**20 + forged), **P256).size == 2**20 + len(forged)
