"""Ed25519ph against the test vector of RFC 8032, and the two forms of an ECDSA signature."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from kms_patterns.local.server.kms.operations import ed25519ph as signing
from kms_runtime.signatures.elliptic_curves import COORDINATE_BYTES, der_to_raw, ed25519ph_verifies, raw_to_der
from kms_runtime.signatures.signing import sign, verify
from kms_runtime.signing_algorithms import ALGORITHMS_OF

# RFC 8032, section 7.3: message "abc".
SECRET = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
PUBLIC = Ed25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw()
SIGNATURE = bytes.fromhex(
    "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
    "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
)
DIGEST = hashlib.sha512(b"abc").digest()
ORDER = 2**252 + 27742317777372353535851937790883648493


def test_signature_of_the_rfc_verifies():
    assert PUBLIC[:4].hex() == "ec172b93"
    assert ed25519ph_verifies(PUBLIC, SIGNATURE, DIGEST)


def test_signatures_of_the_embedded_kms_verify():
    key = Ed25519PrivateKey.generate()
    for number in range(8):
        digest = hashlib.sha512(bytes([number])).digest()
        assert ed25519ph_verifies(key.public_key().public_bytes_raw(), signing.sign(key, digest), digest)


@pytest.mark.parametrize("position", [0, 31, 32, 63])
def test_altered_signature_does_not_verify(position):
    altered = bytearray(SIGNATURE)
    altered[position] ^= 1
    assert not ed25519ph_verifies(PUBLIC, bytes(altered), DIGEST)


def test_pure_ed25519_signature_of_the_digest_does_not_verify():
    assert not ed25519ph_verifies(PUBLIC, Ed25519PrivateKey.from_private_bytes(SECRET).sign(DIGEST), DIGEST)


def test_second_form_of_s_does_not_verify():
    number = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    assert not ed25519ph_verifies(PUBLIC, SIGNATURE[:32] + number.to_bytes(32, "little"), DIGEST)


@pytest.mark.parametrize("signature", [b"", SIGNATURE[:-1], SIGNATURE + b"\0"])
def test_signature_of_another_length_does_not_verify(signature):
    assert not ed25519ph_verifies(PUBLIC, signature, DIGEST)


@pytest.mark.parametrize(
    "encoded", [b"\xff" * 32, bytes.fromhex("02" + "00" * 31), bytes.fromhex("01" + "00" * 30 + "80")]
)
def test_what_is_no_point_does_not_verify(encoded):
    assert not ed25519ph_verifies(PUBLIC, encoded + SIGNATURE[32:], DIGEST)
    assert not ed25519ph_verifies(encoded, SIGNATURE, DIGEST)


def scalar() -> int:
    clamped = bytearray(hashlib.sha512(SECRET).digest()[:32])
    clamped[0] &= 0xF8
    clamped[31] = clamped[31] & 0x7F | 0x40
    return int.from_bytes(clamped, "little")


def signature_with_neutral_commitment(encoded: bytes) -> bytes:
    """A signature whose equation holds if ``encoded`` is read as the neutral point."""
    domain = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])
    challenge = int.from_bytes(hashlib.sha512(domain + encoded + PUBLIC + DIGEST).digest(), "little")
    return encoded + (challenge * scalar() % ORDER).to_bytes(32, "little")


def test_point_must_be_encoded_canonically():
    neutral, again = (number.to_bytes(32, "little") for number in (1, 2**255 - 19 + 1))
    assert ed25519ph_verifies(PUBLIC, signature_with_neutral_commitment(neutral), DIGEST)
    assert not ed25519ph_verifies(PUBLIC, signature_with_neutral_commitment(again), DIGEST)


def test_key_of_small_order_does_not_verify_what_anybody_can_write_down():
    base = (4 * pow(5, -1, 2**255 - 19) % (2**255 - 19)).to_bytes(32, "little")
    neutral, one = (1).to_bytes(32, "little"), (1).to_bytes(32, "little")
    assert not ed25519ph_verifies(neutral, base + one, DIGEST)


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
