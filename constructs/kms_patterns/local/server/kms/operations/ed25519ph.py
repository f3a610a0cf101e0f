"""Ed25519ph (RFC 8032, section 5.1): the pre-hashed variant, which ``cryptography`` does not offer.

Python's integers take no constant time: good for an emulator, never for keys that matter.
"""

import hashlib
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Point = tuple[int, int, int, int]

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_NEUTRAL: Point = (0, 1, 1, 0)
_DOMAIN = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])
_HALF = 32


def sign(key: Ed25519PrivateKey, digest: bytes) -> bytes:
    """Return the signature of a SHA-512 digest."""
    expanded = hashlib.sha512(key.private_bytes_raw()).digest()
    clamped = bytearray(expanded[:_HALF])
    clamped[0] &= 0xF8
    clamped[31] = clamped[31] & 0x7F | 0x40
    secret, public = int.from_bytes(clamped, "little"), key.public_key().public_bytes_raw()
    nonce = _scalar(expanded[_HALF:], digest)
    commitment = _encoded(_times(nonce, _base()))
    answer = (nonce + _scalar(commitment, public, digest) * secret) % _ORDER
    return commitment + answer.to_bytes(_HALF, "little")


def verify(key: Ed25519PublicKey, signature: bytes, digest: bytes) -> None:
    """Check a signature of a SHA-512 digest.

    Raises:
        InvalidSignature: It is not this key's.
    """
    public = key.public_bytes_raw()
    commitment, answer = signature[:_HALF], int.from_bytes(signature[_HALF:], "little")
    if len(signature) != 2 * _HALF or answer >= _ORDER:
        raise InvalidSignature
    right = _plus(_decoded(commitment), _times(_scalar(commitment, public, digest), _decoded(public)))
    if _encoded(_times(answer, _base())) != _encoded(right):
        raise InvalidSignature


def _scalar(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(_DOMAIN + b"".join(parts)).digest(), "little") % _ORDER


def _plus(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: Point) -> Point:
    product = _NEUTRAL
    while factor:
        if factor & 1:
            product = _plus(product, point)
        point, factor = _plus(point, point), factor >> 1
    return product


def _encoded(point: Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(_HALF, "little")


def _decoded(encoded: bytes) -> Point:
    number = int.from_bytes(encoded, "little")
    y, odd = number & (1 << 255) - 1, number >> 255
    if y >= _P:
        raise InvalidSignature
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and odd):
        raise InvalidSignature
    x = x if x & 1 == odd else _P - x
    return x, y, 1, x * y % _P


@cache
def _base() -> Point:
    return _decoded((4 * pow(5, -1, _P) % _P).to_bytes(_HALF, "little"))
