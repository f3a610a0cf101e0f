"""DER and r‖s."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from kms_runtime.signatures.ecdsa import COORDINATE_BYTES, der_to_raw, raw_to_der
from kms_runtime.signatures.signing import sign, verify
from kms_runtime.signing_algorithms import ALGORITHMS_OF

SPECS = sorted(COORDINATE_BYTES)


@pytest.mark.parametrize("spec", SPECS)
def test_forms_turn_into_each_other(spec, kms, arn_of, public_key):
    (algorithm,) = ALGORITHMS_OF[spec]
    for _ in range(8):
        der = sign(b"x", key_arn=arn_of(spec), algorithm=algorithm, kms_client=kms)
        raw = der_to_raw(der, key_spec=spec)
        assert len(raw) == 2 * COORDINATE_BYTES[spec]
        assert raw_to_der(raw, key_spec=spec) == der
        verify(public_key(spec), b"x", raw_to_der(raw, key_spec=spec), algorithm=algorithm)


def test_small_numbers_are_filled_up_with_zeros():
    raw = der_to_raw(encode_dss_signature(1, 2), key_spec="ECC_NIST_P521")
    assert raw == bytes(65) + b"\1" + bytes(65) + b"\2"
    assert decode_dss_signature(raw_to_der(raw, key_spec="ECC_NIST_P521")) == (1, 2)


@pytest.mark.parametrize("size", [0, 63, 65, 96])
def test_r_and_s_of_another_curve_are_refused(size, refused):
    error = refused(raw_to_der, bytes(size), key_spec="ECC_NIST_P256")
    assert error.code == "KMSInvalidSignatureException"
    assert f"has {size} bytes; r‖s of ECC_NIST_P256 has 64" in str(error)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(64),
        encode_dss_signature(1 << 256, 1),
        encode_dss_signature(1, 1) + b"\0",
        b"\x30\x06\x02\x01\xff\x02\x01\x01",
    ],
    ids=["empty", "raw", "too large", "trailing", "negative"],
)
def test_what_is_no_der_of_this_curve_is_refused(signature, refused):
    assert refused(der_to_raw, signature, key_spec="ECC_NIST_P256").code == "KMSInvalidSignatureException"


@pytest.mark.parametrize("convert", [der_to_raw, raw_to_der])
def test_keys_without_ecdsa_are_refused(convert, refused):
    error = refused(convert, b"x", key_spec="RSA_2048")
    assert error.code == "InvalidKeyUsageException"
    assert "RSA_2048 makes no ECDSA signatures" in str(error)
