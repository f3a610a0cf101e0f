"""Public keys out of JSON Web Keys.

See https://www.rfc-editor.org/rfc/rfc7518#section-6, https://www.rfc-editor.org/rfc/rfc8037#section-2 and
https://www.rfc-editor.org/rfc/rfc9964
"""

from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from kms_runtime.errors import TokenKeySetInvalid, TokenMalformed
from kms_runtime.public_keys.jwk import AsymmetricKey
from kms_runtime.tokens.compact import decode_segment

_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_ML_DSA: Final[Mapping[str, type[MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey]]] = {
    "ML-DSA-44": MLDSA44PublicKey,
    "ML-DSA-65": MLDSA65PublicKey,
    "ML-DSA-87": MLDSA87PublicKey,
}


def read_jwk(jwk: Mapping[str, Any]) -> AsymmetricKey:
    """Return the public key in a JSON Web Key of type RSA, EC, OKP or AKP.

    Raises:
        TokenKeySetInvalid: A member is missing or not canonical Base64url, or the numbers are not a key.
    """
    try:
        match jwk.get("kty"), jwk.get("alg" if jwk.get("kty") == "AKP" else "crv"):
            case "RSA", None:
                return RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key()
            case "EC", str(name) if name in _CURVES:
                return _point(jwk, _CURVES[name])
            case "OKP", "Ed25519":
                return Ed25519PublicKey.from_public_bytes(_octets(jwk, "x"))
            case "AKP", str(name) if name in _ML_DSA:
                return _ML_DSA[name].from_public_bytes(_octets(jwk, "pub"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TokenKeySetInvalid(f"the key set contains an invalid key: {error}") from None
    raise TokenKeySetInvalid(f"a key of the key set is of type {jwk.get('kty')!r}, curve {jwk.get('crv')!r}")


def _point(jwk: Mapping[str, Any], curve: ec.EllipticCurve) -> AsymmetricKey:
    x, y, length = _octets(jwk, "x"), _octets(jwk, "y"), (curve.key_size + 7) // 8
    if len(x) != length or len(y) != length:
        raise TokenKeySetInvalid(f"a coordinate of curve {jwk['crv']} has another length than {length} bytes")
    return ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve).public_key()


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_octets(jwk, name), "big")


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value.isascii():
        raise TokenKeySetInvalid(f"a key of the key set has no {name}")
    try:
        return decode_segment(value.encode())
    except TokenMalformed as error:
        raise TokenKeySetInvalid(f"{name} of a key: {error}") from None
