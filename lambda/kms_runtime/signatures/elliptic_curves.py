"""Signatures on elliptic curves as ``cryptography`` does not offer them: the forms of ECDSA, and Ed25519ph.

An ECDSA signature is DER, which AWS KMS and X.509 use, or r‖s, which JOSE and WebCrypto use. Neither is unique: from a
signature (r, s) anyone can compute (r, n - s), which verifies as well. AWS KMS makes both kinds and this package
accepts both, so a signature proves who signed, but does not identify what was signed.
See https://datatracker.ietf.org/doc/html/rfc7518#section-3.4

Arithmetic on Python's integers takes no constant time. For the verification of Ed25519ph that is in order, because
everything is public: the key, the digest and the signature. Signing, which would not be in order, is left to AWS KMS.
See https://datatracker.ietf.org/doc/html/rfc8032#section-5.1.7
"""

import hashlib
from functools import cache
from typing import Final

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
    """Return the ``signature`` r‖s as DER: the reverse of ``der_to_raw``.

    Args:
        signature: 64 (P-256, secp256k1), 96 (P-384) or 132 (P-521) bytes.
        key_spec: As for ``der_to_raw``, and refused as there.

    Raises:
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


Point = tuple[int, int, int, int]
"""Extended homogeneous coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z."""

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_NEUTRAL: Final[Point] = (0, 1, 1, 0)
_DOMAIN: Final = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])
_HALF: Final = 32


def ed25519ph_verifies(public_key: bytes, signature: bytes, digest: bytes) -> bool:
    """Tell whether ``signature`` is the key's over a SHA-512 ``digest``, with an empty context.

    S must be below the group's order and every point canonically encoded, so there is one accepted signature per
    signing, not several; keys of small order are refused. The equation is checked without cofactor, as OpenSSL does
    for Ed25519.

    Args:
        public_key: 32 bytes.
        signature: R‖S, 64 bytes.
        digest: SHA-512 of the message, 64 bytes.
    """
    response = int.from_bytes(signature[_HALF:], "little")
    if len(signature) != 2 * _HALF or response >= _ORDER:
        return False
    key, commitment = _point(public_key), _point(signature[:_HALF])
    if key is None or commitment is None or _is_of_small_order(key):
        return False
    challenge = hashlib.sha512(_DOMAIN + signature[:_HALF] + public_key + digest).digest()
    factor = int.from_bytes(challenge, "little") % _ORDER
    negative = (_P - key[0], key[1], key[2], _P - key[3])
    return _equal(_sum_of_multiples(response, _base(), factor, negative), commitment)


def _plus(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _sum_of_multiples(factor: int, point: Point, other_factor: int, other: Point) -> Point:
    """Return both multiples added up, doubling once for both (Shamir's trick)."""
    table = (_NEUTRAL, point, other, _plus(point, other))
    total = _NEUTRAL
    for place in range(max(factor.bit_length(), other_factor.bit_length()) - 1, -1, -1):
        total = _plus(total, total)
        chosen = (factor >> place & 1) | (other_factor >> place & 1) << 1
        if chosen:
            total = _plus(total, table[chosen])
    return total


def _is_of_small_order(point: Point) -> bool:
    # Under such a key, which is never generated by chance, a signature can be written down for any message.
    for _ in range(3):
        point = _plus(point, point)
    return _equal(point, _NEUTRAL)


def _equal(one: Point, other: Point) -> bool:
    return (one[0] * other[2] - other[0] * one[2]) % _P == 0 == (one[1] * other[2] - other[1] * one[2]) % _P


def _point(encoded: bytes) -> Point | None:
    number = int.from_bytes(encoded, "little")
    y, odd = number & (1 << 255) - 1, number >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and odd):
        return None
    x = x if x & 1 == odd else _P - x
    return x, y, 1, x * y % _P


@cache
def _base() -> Point:
    found = _point((4 * pow(5, -1, _P) % _P).to_bytes(_HALF, "little"))
    if found is None:
        raise AssertionError("the base point of RFC 8032 is on the curve")
    return found
