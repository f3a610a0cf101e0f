"""The two forms of an ECDSA signature: DER, which AWS KMS and X.509 use, and r‖s, which JOSE and WebCrypto use.

Neither is unique: from a signature (r, s) anyone can compute (r, n - s), which verifies as well. AWS KMS makes both
kinds and this package accepts both, so a signature proves who signed, but does not identify what was signed.

See https://datatracker.ietf.org/doc/html/rfc7518#section-3.4
"""

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from kms_runtime.aws_errors import InvalidKeyUsageException, KMSInvalidSignatureException

COORDINATE_BYTES = {"ECC_NIST_P256": 32, "ECC_NIST_P384": 48, "ECC_NIST_P521": 66, "ECC_SECG_P256K1": 32}
"""Length of r, and of s, by key spec."""


def der_to_raw(signature: bytes, *, key_spec: str) -> bytes:
    """Return the DER ``signature`` as r‖s, each of the curve's full length.

    Args:
        signature: What AWS KMS Sign returned, at most 139 bytes.
        key_spec: ``ECC_NIST_P256``, ``ECC_NIST_P384``, ``ECC_NIST_P521`` or ``ECC_SECG_P256K1``.

    Raises:
        InvalidKeyUsageException: Keys of this spec make no ECDSA signatures.
        KMSInvalidSignatureException: Not the DER of two positive integers that fit the curve.
    """
    size = _size(key_spec)
    try:
        r, s = decode_dss_signature(signature)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    except (ValueError, OverflowError) as error:
        raise KMSInvalidSignatureException(
            f"the signature ({len(signature)} bytes) is not the DER of two integers of at most {size} bytes; "
            "is it in the form r‖s?"
        ) from error


def raw_to_der(signature: bytes, *, key_spec: str) -> bytes:
    """Return the ``signature`` r‖s as DER.

    Args:
        signature: 64 (P-256, secp256k1), 96 (P-384) or 132 (P-521) bytes.
        key_spec: ``ECC_NIST_P256``, ``ECC_NIST_P384``, ``ECC_NIST_P521`` or ``ECC_SECG_P256K1``.

    Raises:
        InvalidKeyUsageException: Keys of this spec make no ECDSA signatures.
        KMSInvalidSignatureException: The length is another than the curve's.
    """
    size = _size(key_spec)
    if len(signature) != 2 * size:
        raise KMSInvalidSignatureException(
            f"the signature has {len(signature)} bytes; r‖s of {key_spec} has {2 * size} (is it DER?)"
        )
    return encode_dss_signature(int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))


def _size(key_spec: str) -> int:
    size = COORDINATE_BYTES.get(key_spec)
    if size is None:
        raise InvalidKeyUsageException(
            f"a key of spec {key_spec} makes no ECDSA signatures; those of {', '.join(COORDINATE_BYTES)} do"
        )
    return size
