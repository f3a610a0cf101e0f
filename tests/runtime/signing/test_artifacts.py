"""Artifacts signed: digests, DSSE envelopes and in-toto statements."""

import base64
import hashlib
import io
import json
import subprocess
import tracemalloc

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from securesystemslib.dsse import Envelope as IndependentEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from kms_runtime.signatures.artifacts import (
    ARTIFACT_ALGORITHMS,
    digest_artifact,
    sign_artifact,
    verify_signature,
    verify_statement,
)
from kms_runtime.signatures.attestations import (
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Envelope,
    EnvelopeSignature,
    Statement,
    Subject,
    parse_envelope,
    parse_statement,
    pre_authentication_encoding,
)
from kms_runtime.signatures.signing import sign
from kms_runtime.signing_algorithms import ALGORITHMS_OF
from tests.runtime.conftest import SigningKms

CONTENT = b"release 1.1" * 100_000
CASES = [
    *(("RSA_2048", name) for name in ALGORITHMS_OF["RSA_2048"]),
    *((spec, names[-1]) for spec, names in ALGORITHMS_OF.items() if not spec.startswith("RSA")),
]
# What securesystemslib calls the schemes that it knows.
SCHEMES = [
    ("RSA_2048", "RSASSA_PSS_SHA_256", "rsassa-pss-sha256"),
    ("RSA_2048", "RSASSA_PSS_SHA_384", "rsassa-pss-sha384"),
    ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", "rsa-pkcs1v15-sha256"),
    ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_512", "rsa-pkcs1v15-sha512"),
    ("ECC_NIST_P256", "ECDSA_SHA_256", "ecdsa-sha2-nistp256"),
    ("ECC_NIST_P384", "ECDSA_SHA_384", "ecdsa-sha2-nistp384"),
]


@pytest.fixture
def kms():
    return SigningKms()


@pytest.fixture
def signed(kms, arn_of, public_key):
    def make(spec, algorithm, content=CONTENT, name="app.bin"):
        options = {"algorithm": algorithm, "public_key": public_key(spec)}
        artifact = digest_artifact(io.BytesIO(content), **options)
        return artifact, sign_artifact(artifact, name=name, key_arn=arn_of(spec), kms_client=kms, **options)

    return make


@pytest.mark.parametrize(("spec", "algorithm"), CASES)
def test_signature_and_statement_verify_and_say_what_was_signed(spec, algorithm, signed, public_key, kms, arn_of):
    artifact, made = signed(spec, algorithm)
    key = public_key(spec)
    assert [call["MessageType"] for _, call in kms.calls] == 2 * ["EXTERNAL_MU" if "ML_DSA" in algorithm else "DIGEST"]
    verify_signature(artifact, made.signature, key, algorithm=algorithm)
    statement = verify_statement(artifact, made.envelope, key, algorithm=algorithm, name="app.bin")
    assert statement.predicate_type == PREDICATE_TYPE
    assert json.loads(statement.predicate["Data"]) == {"signingAlgorithm": algorithm, "size": len(CONTENT)}
    (subject,) = statement.subjects
    assert (subject.name, subject.digests) == (
        "app.bin",
        {"sha256": hashlib.sha256(CONTENT).hexdigest(), "sha512": hashlib.sha512(CONTENT).hexdigest()},
    )
    document = json.loads(made.envelope)
    assert (document["payloadType"], document["signatures"][0]["keyid"]) == (PAYLOAD_TYPE, arn_of(spec))


def test_every_algorithm_but_pure_ed25519_signs_artifacts(refused):
    assert {algorithm for _, algorithm in CASES} == set(ARTIFACT_ALGORITHMS)
    error = refused(digest_artifact, io.BytesIO(), algorithm="ED25519_SHA_512")
    assert error.code == "MessageTooLarge"
    assert "ED25519_PH_SHA_512" in str(error)


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [("RSA_2048", "RSASSA_PSS_SHA_256"), ("ECC_NIST_P256", "ECDSA_SHA_256"), ("ML_DSA_65", "ML_DSA_SHAKE_256")],
)
def test_tampered_artifact_and_other_keys_are_refused(spec, algorithm, signed, public_key, refused):
    artifact, made = signed(spec, algorithm)
    tampered = digest_artifact(io.BytesIO(CONTENT + b"!"), algorithm=algorithm, public_key=public_key(spec))
    for check, data, code in (
        (verify_signature, made.signature, "KMSInvalidSignatureException"),
        (verify_statement, made.envelope, "ArtifactMismatch"),
    ):
        assert refused(check, tampered, data, public_key(spec), algorithm=algorithm).code == code
        error = refused(check, artifact, data, public_key(spec, "--2"), algorithm=algorithm)
        assert error.code == "KMSInvalidSignatureException"


def test_older_release_under_a_newer_name_is_refused(signed, public_key, refused):
    artifact, made = signed("ECC_NIST_P256", "ECDSA_SHA_256", b"version 1.0", "app-1.0.bin")
    key, options = public_key("ECC_NIST_P256"), {"algorithm": "ECDSA_SHA_256"}
    error = refused(verify_statement, artifact, made.envelope, key, name="app-1.1.bin", **options)
    assert (error.code, str(error)) == (
        "ArtifactMismatch",
        "the statement is about 'app-1.0.bin', not about 'app-1.1.bin'",
    )


def test_signature_may_be_binary_or_base64_on_several_lines(signed, public_key):
    artifact, made = signed("RSA_2048", "RSASSA_PSS_SHA_256")
    binary = base64.b64decode(made.signature)
    for form in (binary, base64.encodebytes(binary), made.signature.rstrip()):
        verify_signature(artifact, form, public_key("RSA_2048"), algorithm="RSASSA_PSS_SHA_256")


@pytest.mark.parametrize(("spec", "algorithm", "scheme"), SCHEMES)
def test_securesystemslib_verifies_the_envelope(spec, algorithm, scheme, signed, public_key, arn_of):
    _, made = signed(spec, algorithm)

    def verify(name):
        theirs = SSlibKey.from_crypto(load_der_public_key(public_key(spec, name).der), arn_of(spec), scheme)
        return IndependentEnvelope.from_dict(json.loads(made.envelope)).verify([theirs], 1)

    assert list(verify("")) == [arn_of(spec)]
    with pytest.raises(VerificationError):
        verify("--2")


def test_openssl_verifies_the_detached_signature_as_cosign_writes_it(signed, public_key, tmp_path):
    """cosign verify-blob takes Base64 of the DER of ECDSA P-256 over SHA-256: so does this pipeline."""
    _, made = signed("ECC_NIST_P256", "ECDSA_SHA_256")
    (tmp_path / "app.bin").write_bytes(CONTENT)
    (tmp_path / "app.bin.sig").write_bytes(made.signature)
    (tmp_path / "key.pem").write_text(public_key("ECC_NIST_P256").pem)
    decode = ["openssl", "base64", "-d", "-A", "-in", "app.bin.sig", "-out", "app.bin.der"]
    subprocess.run(decode, cwd=tmp_path, check=True)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "app.bin.der", "app.bin"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "Verified OK\n"
    (tmp_path / "app.bin").write_bytes(CONTENT + b"!")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1


class Zeros(io.RawIOBase):
    """As many zeros as it is told, without having them."""

    def __init__(self, size):
        self.left = size

    def readable(self):
        return True

    def readinto(self, buffer):
        size = min(self.left, len(buffer))
        self.left -= size
        return size


def test_large_artifact_is_digested_in_constant_memory():
    tracemalloc.start()
    artifact = digest_artifact(Zeros(64 * 1024 * 1024), algorithm="ECDSA_SHA_384")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert artifact.size == 64 * 1024 * 1024
    assert peak < 1.5 * 1024 * 1024


P256 = {"algorithm": "ECDSA_SHA_256"}
STATEMENT_CONTENT = b"content"


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
    made = enveloped(payload_of(STATEMENT_CONTENT), before=[foreign])
    artifact = digest_artifact(io.BytesIO(STATEMENT_CONTENT), **P256)
    assert verify_statement(artifact, made, public_key("ECC_NIST_P256"), **P256).subjects[0].name == "a"


@pytest.mark.parametrize("part", ["payload", "payloadType"])
def test_altered_payload_or_type_is_refused_before_it_is_read(part, enveloped, public_key, refused):
    document = json.loads(enveloped(payload_of(STATEMENT_CONTENT)))
    document[part] = text(payload_of(b"other")) if part == "payload" else "application/json"
    artifact = digest_artifact(io.BytesIO(b"other"), **P256)
    error = refused(verify_statement, artifact, json.dumps(document).encode(), public_key("ECC_NIST_P256"), **P256)
    assert error.code == "KMSInvalidSignatureException"


def test_genuine_envelope_around_something_else_is_refused(enveloped, public_key, refused):
    artifact = digest_artifact(io.BytesIO(STATEMENT_CONTENT), **P256)
    for made in (enveloped(payload_of(STATEMENT_CONTENT), "application/json"), enveloped(b'{"_type": "other"}')):
        error = refused(verify_statement, artifact, made, public_key("ECC_NIST_P256"), **P256)
        assert error.code == "AttestationInvalid"


def test_genuine_statement_of_another_kind_is_refused_unless_it_is_asked_for(enveloped, public_key, refused):
    artifact, key = digest_artifact(io.BytesIO(STATEMENT_CONTENT), **P256), public_key("ECC_NIST_P256")
    made = enveloped(payload_of(STATEMENT_CONTENT, "https://example.com/scan-failed"))
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
