"""Sign in KMS, verify there and offline, with every algorithm: messages, digests and streams."""

import hashlib
import io

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signatures.signing import (
    sign,
    sign_digest,
    sign_stream,
    verify,
    verify_digest,
    verify_stream,
    verify_with_kms,
)
from kms_runtime.signing_algorithms import ALGORITHMS_OF

CASES = [
    *(("RSA_2048", algorithm) for algorithm in ALGORITHMS_OF["RSA_2048"]),
    ("RSA_3072", "RSASSA_PSS_SHA_256"),
    ("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_512"),
    *((spec, name) for spec, names in ALGORITHMS_OF.items() if not spec.startswith("RSA") for name in names),
]
NO_DIGEST = {"ED25519_SHA_512", "ML_DSA_SHAKE_256"}
BY_DIGEST = [case for case in CASES if case[1] not in NO_DIGEST]
MESSAGE, LONG = b"to be signed", b"0123456789abcdef" * 8192


class Chunks(io.RawIOBase):
    """A source that gives 1000 bytes at a time, as a socket might, and says how much was asked for."""

    def __init__(self, data):
        self.data, self.position, self.largest = data, 0, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.largest = max(self.largest, len(buffer))
        part = self.data[self.position : self.position + min(1000, len(buffer))]
        buffer[: len(part)] = part
        self.position += len(part)
        return len(part)


@pytest.mark.parametrize(("spec", "algorithm"), CASES)
def test_signature_verifies_offline_and_in_kms_and_only_over_its_message(
    spec, algorithm, kms, arn_of, public_key, refused
):
    arn, key = arn_of(spec), public_key(spec)
    signature = sign(MESSAGE, key_arn=arn, algorithm=algorithm, kms_client=kms)
    verify(key, MESSAGE, signature, algorithm=algorithm)
    verify_stream(key, Chunks(MESSAGE), signature, algorithm=algorithm)
    assert kms.operations == ["Sign"]
    verify_with_kms(MESSAGE, signature, key_arn=arn, algorithm=algorithm, kms_client=kms)
    altered = bytearray(signature)
    altered[-1] ^= 1
    other = public_key(spec, "--2")
    for used, message, given in (
        (key, b"To be signed", signature),
        (key, MESSAGE, bytes(altered)),
        (other, MESSAGE, signature),
    ):
        assert refused(verify, used, message, given, algorithm=algorithm).code == "KMSInvalidSignatureException"
    options = {"key_arn": arn, "algorithm": algorithm, "kms_client": kms}
    error = refused(verify_with_kms, b"To be signed", signature, **options)
    assert (error.code, error.operation) == ("KMSInvalidSignatureException", "Verify")
    assert "another key or algorithm made it" in str(error)


@pytest.mark.parametrize(("spec", "algorithm"), BY_DIGEST)
def test_more_than_4096_bytes_go_to_kms_as_a_digest_and_verify_as_the_message(spec, algorithm, kms, arn_of, public_key):
    options = {"key_arn": arn_of(spec), "algorithm": algorithm, "kms_client": kms}
    key, stream = public_key(spec), Chunks(LONG)
    digest = hashlib.new(f"sha{algorithm[-3:]}", LONG).digest()
    signatures = [sign(LONG, **options), sign_digest(digest, **options), sign_stream(stream, **options)]
    assert [(call["MessageType"], call["Message"]) for _, call in kms.calls] == [("DIGEST", digest)] * 3
    assert stream.largest == 1024 * 1024
    for signature in signatures:
        verify(key, LONG, signature, algorithm=algorithm)
        verify_digest(key, digest, signature, algorithm=algorithm)
        verify_stream(key, Chunks(LONG), signature, algorithm=algorithm)
    verify_with_kms(LONG, signatures[0], **options)


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"])
def test_long_messages_are_signed_with_ml_dsa_by_their_mu(spec, kms, arn_of, public_key):
    key, options = public_key(spec), {"algorithm": "ML_DSA_SHAKE_256"}
    calls = {"key_arn": arn_of(spec), "kms_client": kms, "public_key": key}
    signatures = [sign(LONG, **calls, **options), sign_stream(Chunks(LONG), **calls, **options)]
    assert [(call["MessageType"], len(call["Message"])) for _, call in kms.calls] == [("EXTERNAL_MU", 64)] * 2
    mu = kms.calls[0][1]["Message"]
    for signature in signatures:
        verify(key, LONG, signature, **options)
        verify_digest(key, mu, signature, **options)
        verify_stream(key, Chunks(LONG), signature, **options)
    verify_with_kms(LONG, signatures[0], **calls, **options)


@pytest.mark.parametrize("size", [1, 4095, 4096])
@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_EDWARDS25519", "ML_DSA_44"])
def test_up_to_4096_bytes_are_sent_as_they_are(spec, size, kms, arn_of, public_key):
    algorithm, message = ALGORITHMS_OF[spec][0], bytes(size)
    signature = sign(message, key_arn=arn_of(spec), algorithm=algorithm, kms_client=kms)
    assert (kms.calls[0][1]["MessageType"], len(kms.calls[0][1]["Message"])) == ("RAW", size)
    verify(public_key(spec), message, signature, algorithm=algorithm)


def test_empty_messages_are_signed_by_digest_where_there_is_one(kms, arn_of, public_key):
    options = {"key_arn": arn_of("ECC_NIST_P256"), "algorithm": "ECDSA_SHA_256", "kms_client": kms}
    for signature in (sign(b"", **options), sign_stream(io.BytesIO(), **options)):
        verify(public_key("ECC_NIST_P256"), b"", signature, algorithm="ECDSA_SHA_256")


def test_high_and_low_s_verify_both(kms, arn_of, public_key):
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signature = sign(MESSAGE, key_arn=arn_of("ECC_NIST_P256"), algorithm="ECDSA_SHA_256", kms_client=kms)
    r, s = decode_dss_signature(signature)
    verify(public_key("ECC_NIST_P256"), MESSAGE, encode_dss_signature(r, order - s), algorithm="ECDSA_SHA_256")


def test_published_document_is_all_that_a_verifier_needs(kms, arn_of, public_key):
    signature = sign(MESSAGE, key_arn=arn_of("RSA_2048"), algorithm="RSASSA_PSS_SHA_256", kms_client=kms)
    outsider = PublicKey.from_document(public_key("RSA_2048").document())
    verify(outsider, MESSAGE, signature, algorithm="RSASSA_PSS_SHA_256")
