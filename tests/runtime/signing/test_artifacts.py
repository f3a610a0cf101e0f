"""Artifacts: one pass for all digests, a detached signature and a statement, verified by us and by others."""

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
from kms_runtime.signatures.in_toto import PAYLOAD_TYPE, PREDICATE_TYPE
from kms_runtime.signing_algorithms import ALGORITHMS_OF

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
    ("spec", "algorithm"), [("RSA_2048", "RSASSA_PSS_SHA_256"), ("ECC_NIST_P256", "ECDSA_SHA_256")]
)
def test_tampered_artifact_and_other_keys_are_refused(spec, algorithm, signed, public_key, refused):
    artifact, made = signed(spec, algorithm)
    tampered = digest_artifact(io.BytesIO(CONTENT + b"!"), algorithm=algorithm)
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
