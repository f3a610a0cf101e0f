"""What is refused before any call, and what KMS refuses."""

import io
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from kms_runtime.signatures.signing import (
    sign,
    sign_digest,
    sign_stream,
    verify,
    verify_digest,
    verify_stream,
    verify_with_kms,
)

MESSAGE = b"to be signed"
ED, ML, EC = "ECC_NIST_EDWARDS25519", "ML_DSA_44", "ECC_NIST_P256"
BEFORE_ANY_CALL = [
    (sign, bytes(4097), ED, "ED25519_SHA_512", "MessageTooLarge", "ED25519_PH_SHA_512"),
    (sign_stream, io.BytesIO(bytes(4097)), ED, "ED25519_SHA_512", "MessageTooLarge", "more than the 4096 bytes"),
    (sign, b"", ED, "ED25519_SHA_512", "InvalidRequest", "the message is empty"),
    (sign, b"", ML, "ML_DSA_SHAKE_256", "InvalidRequest", "the message is empty"),
    (sign, bytes(4097), ML, "ML_DSA_SHAKE_256", "InvalidRequest", "give public_key"),
    (sign_digest, bytes(64), ED, "ED25519_SHA_512", "InvalidRequest", "takes no digest"),
    (sign_digest, bytes(31), EC, "ECDSA_SHA_256", "InvalidRequest", "has 31 bytes; ECDSA_SHA_256 takes sha256 of 32"),
    (sign_digest, bytes(32), ML, "ML_DSA_SHAKE_256", "InvalidRequest", "takes mu of 64 bytes"),
    (sign, MESSAGE, EC, "ECDSA_SHA_1", "InvalidRequest", "'ECDSA_SHA_1' is not a signing algorithm"),
    (sign, MESSAGE, EC, "SM2DSA", "InvalidRequest", "not a signing algorithm"),
]


@pytest.mark.parametrize(("function", "data", "spec", "algorithm", "code", "reason"), BEFORE_ANY_CALL)
def test_unusable_message_is_refused_before_any_call(
    function, data, spec, algorithm, code, reason, kms, arn_of, refused
):
    error = refused(function, data, key_arn=arn_of(spec), algorithm=algorithm, kms_client=kms)
    assert (error.code, error.operation) == (code, None)
    assert reason in str(error)
    assert kms.calls == []


@pytest.mark.parametrize("size", [0, 6145])
def test_signature_of_impossible_size_is_refused_before_any_call(size, kms, arn_of, refused):
    options = {"key_arn": arn_of(EC), "algorithm": "ECDSA_SHA_256", "kms_client": kms}
    assert refused(verify_with_kms, MESSAGE, bytes(size), **options).code == "InvalidRequest"
    assert kms.calls == []


def test_alias_is_refused_because_it_can_be_moved(kms, refused):
    options = {"algorithm": "ECDSA_SHA_256", "kms_client": kms}
    assert refused(sign, MESSAGE, key_arn="alias/messages", **options).code == "InvalidArnException"


def test_refusal_of_kms_keeps_its_name(kms, arn_of, refused):
    kms.failure = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Sign")
    error = refused(sign, MESSAGE, key_arn=arn_of(EC), algorithm="ECDSA_SHA_256", kms_client=kms)
    assert (error.code, error.operation) == ("AccessDeniedException", "Sign")


def test_algorithm_of_another_kind_of_key_is_refused_by_kms_and_offline(kms, arn_of, public_key, refused):
    options = {"key_arn": arn_of(EC), "algorithm": "ECDSA_SHA_384", "kms_client": kms}
    assert refused(sign, MESSAGE, **options).code == "InvalidKeyUsageException"
    error = refused(verify, public_key(EC), MESSAGE, b"x", algorithm="ECDSA_SHA_384")
    assert error.code == "InvalidKeyUsageException"
    assert "its algorithms are ECDSA_SHA_256" in str(error)


@pytest.mark.parametrize("algorithm", ["RSASSA_PSS_SHA_256", "ED25519_PH_SHA_512", "ML_DSA_SHAKE_256"])
def test_algorithm_that_a_document_claims_for_another_kind_of_key_is_refused(algorithm, public_key, refused):
    key = replace(public_key(EC), algorithms=(algorithm,))
    assert refused(verify, key, MESSAGE, bytes(64), algorithm=algorithm).code == "InvalidKeyUsageException"


@pytest.mark.parametrize("operation", ["Sign", "Verify"])
def test_answer_for_another_key_is_refused(operation, kms, arn_of, refused):
    options = {"key_arn": arn_of(EC), "algorithm": "ECDSA_SHA_256", "kms_client": kms}
    signature = sign(MESSAGE, **options)
    kms.answer_as = arn_of(EC, "--2")
    call = (sign, MESSAGE) if operation == "Sign" else (verify_with_kms, MESSAGE, signature)
    assert refused(*call, **options).code == "IncorrectKeyException"


def test_key_limited_to_one_algorithm_accepts_no_other(kms, arn_of, public_key, refused):
    signature = sign(MESSAGE, key_arn=arn_of("RSA_2048"), algorithm="RSASSA_PKCS1_V1_5_SHA_256", kms_client=kms)
    key = public_key("RSA_2048").limited_to("RSASSA_PSS_SHA_256")
    assert (
        refused(verify, key, MESSAGE, signature, algorithm="RSASSA_PKCS1_V1_5_SHA_256").code
        == "InvalidKeyUsageException"
    )
    assert (
        refused(verify, key, MESSAGE, signature, algorithm="RSASSA_PSS_SHA_256").code == "KMSInvalidSignatureException"
    )


@pytest.mark.parametrize("salt", [0, 20, 48, padding.PSS.MAX_LENGTH])
def test_salt_of_another_length_than_the_digest_is_refused(salt, public_key, private_key, refused):
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    signature = private_key("RSA_2048").sign(MESSAGE, pss, hashes.SHA256())
    error = refused(verify, public_key("RSA_2048"), MESSAGE, signature, algorithm="RSASSA_PSS_SHA_256")
    assert error.code == "KMSInvalidSignatureException"


def _long_form(der: bytes) -> bytes:
    return der[:1] + b"\x81" + der[1:]


@pytest.mark.parametrize("change", [lambda der: der + b"\0", _long_form, lambda der: der[:-1], lambda _: b""])
def test_signature_that_is_not_strict_der_is_refused(change, public_key, private_key, refused):
    signature = private_key(EC).sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    error = refused(verify, public_key(EC), MESSAGE, change(signature), algorithm="ECDSA_SHA_256")
    assert error.code == "KMSInvalidSignatureException"


def test_digest_of_another_length_is_refused_offline(public_key, refused):
    error = refused(verify_digest, public_key(EC), bytes(48), b"x", algorithm="ECDSA_SHA_256")
    assert error.code == "InvalidRequest"


def test_long_file_cannot_have_been_signed_with_pure_ed25519(public_key, refused):
    error = refused(verify_stream, public_key(ED), io.BytesIO(bytes(4097)), bytes(64), algorithm="ED25519_SHA_512")
    assert error.code == "MessageTooLarge"
