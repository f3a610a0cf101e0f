"""JSON Web Keys of public keys, and the digest that names one.

See https://www.rfc-editor.org/rfc/rfc7517 and https://www.rfc-editor.org/rfc/rfc7638
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kms_runtime.errors import PublicKeyInvalid

AsymmetricKey: TypeAlias = (
    RSAPublicKey
    | EllipticCurvePublicKey
    | Ed25519PublicKey
    | MLDSA44PublicKey
    | MLDSA65PublicKey
    | MLDSA87PublicKey
    | MLKEM768PublicKey
    | MLKEM1024PublicKey
)
"""Public keys of the kinds that AWS KMS makes."""

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "secp256k1"}
# ML-DSA: RFC 9964. ML-KEM: draft-ietf-jose-pqc-kem-05 (9 December 2025), work in progress.
_AKP = {
    MLDSA44PublicKey: "ML-DSA-44",
    MLDSA65PublicKey: "ML-DSA-65",
    MLDSA87PublicKey: "ML-DSA-87",
    MLKEM768PublicKey: "ML-KEM-768",
    MLKEM1024PublicKey: "ML-KEM-1024",
}
_OF_THUMBPRINT = {
    "RSA": ("e", "kty", "n"),
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "AKP": ("alg", "kty", "pub"),
}


def base64url(data: bytes) -> str:
    """Return ``data`` as Base64 for addresses, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parameters(key: AsymmetricKey) -> dict[str, str]:
    """Return the members of a JSON Web Key that make up ``key``, and no others.

    Raises:
        PublicKeyInvalid: A curve that JSON Web Keys have no name for.
    """
    match key:
        case RSAPublicKey():
            numbers = key.public_numbers()
            return {"kty": "RSA", "n": _unsigned(numbers.n), "e": _unsigned(numbers.e)}
        case EllipticCurvePublicKey():
            return {"kty": "EC", "crv": _curve(key), **_point(key)}
        case Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_bytes_raw())}
        case _:
            return {"kty": "AKP", "alg": _algorithm(key), "pub": base64url(key.public_bytes_raw())}


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Return the SHA-256 thumbprint of ``jwk``, the same for the same key everywhere.

    See https://www.rfc-editor.org/rfc/rfc7638

    Raises:
        PublicKeyInvalid: ``jwk`` is of an unknown type or lacks a member.
    """
    names = _OF_THUMBPRINT.get(str(jwk.get("kty")), ())
    if not names or not jwk.keys() >= set(names):
        raise PublicKeyInvalid(f"no JSON Web Key of type {', '.join(_OF_THUMBPRINT)} with the members that make it up")
    members = {name: jwk[name] for name in names}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(text.encode()).digest())


def _unsigned(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))


def _curve(key: EllipticCurvePublicKey) -> str:
    name = _CURVES.get(key.curve.name)
    if name is None:
        raise PublicKeyInvalid(f"the curve {key.curve.name} has no name in JSON Web Keys")
    return name


def _point(key: EllipticCurvePublicKey) -> dict[str, str]:
    length, numbers = (key.key_size + 7) // 8, key.public_numbers()
    return {"x": base64url(numbers.x.to_bytes(length)), "y": base64url(numbers.y.to_bytes(length))}


def _algorithm(key: AsymmetricKey) -> str:
    return next(name for kind, name in _AKP.items() if isinstance(key, kind))
