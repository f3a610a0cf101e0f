"""Public keys by name: key specs and algorithms of AWS KMS and of JOSE, JSON Web Keys, and the digest that names one.

See https://www.rfc-editor.org/rfc/rfc7517, https://www.rfc-editor.org/rfc/rfc7638 and
https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from kms_runtime.errors import PublicKeyInvalid

_SPEC_OF_CURVE: Final = {
    "secp256r1": "ECC_NIST_P256",
    "secp384r1": "ECC_NIST_P384",
    "secp521r1": "ECC_NIST_P521",
    "secp256k1": "ECC_SECG_P256K1",
}
_SPEC_OF_CLASS: Final = {
    Ed25519PublicKey: "ECC_NIST_EDWARDS25519",
    MLDSA44PublicKey: "ML_DSA_44",
    MLDSA65PublicKey: "ML_DSA_65",
    MLDSA87PublicKey: "ML_DSA_87",
    MLKEM768PublicKey: "ML_KEM_768",
    MLKEM1024PublicKey: "ML_KEM_1024",
}


def key_spec_of(key: Any) -> str:
    """Return the key spec of ``key`` as ``cryptography`` has it; what AWS KMS has no such keys of has another name."""
    if isinstance(key, RSAPublicKey):
        return f"RSA_{key.key_size}"
    if isinstance(key, EllipticCurvePublicKey):
        return _SPEC_OF_CURVE.get(key.curve.name, key.curve.name)
    return next((spec for kind, spec in _SPEC_OF_CLASS.items() if isinstance(key, kind)), type(key).__name__)


PADDINGS: Final[Mapping[str, padding.OAEP]] = {
    "RSAES_OAEP_SHA_256": padding.OAEP(padding.MGF1(SHA256()), SHA256(), None),
    "RSAES_OAEP_SHA_1": padding.OAEP(padding.MGF1(SHA1()), SHA1(), None),  # noqa: S303 - AWS's name; safe in OAEP
}
"""The padding of each encryption algorithm."""


OAEP_OVERHEAD: Final[Mapping[str, int]] = {name: 2 * oaep.algorithm.digest_size + 2 for name, oaep in PADDINGS.items()}
"""How many bytes shorter than the modulus a plaintext must be, by encryption algorithm."""

_JOSE: Final[Mapping[str, str]] = {
    "RSAES_OAEP_SHA_256": "RSA-OAEP-256",
    "RSAES_OAEP_SHA_1": "RSA-OAEP",
    "RSASSA_PKCS1_V1_5_SHA_256": "RS256",
    "RSASSA_PKCS1_V1_5_SHA_384": "RS384",
    "RSASSA_PKCS1_V1_5_SHA_512": "RS512",
    "RSASSA_PSS_SHA_256": "PS256",
    "RSASSA_PSS_SHA_384": "PS384",
    "RSASSA_PSS_SHA_512": "PS512",
    "ECDSA_SHA_256": "ES256",
    "ECDSA_SHA_384": "ES384",
    "ECDSA_SHA_512": "ES512",
    "ED25519_SHA_512": "EdDSA",
}
# ML-DSA: RFC 9964. ML-KEM: draft-ietf-jose-pqc-kem-05 (9 December 2025), work in progress.
_BY_SPEC: Final[Mapping[str, str]] = {
    "ECC_SECG_P256K1": "ES256K",
    "ML_DSA_44": "ML-DSA-44",
    "ML_DSA_65": "ML-DSA-65",
    "ML_DSA_87": "ML-DSA-87",
    "ML_KEM_768": "ML-KEM-768",
    "ML_KEM_1024": "ML-KEM-1024",
}


def jose_name(key_spec: str, algorithm: str) -> str | None:
    """Return JOSE's name of AWS KMS's ``algorithm`` with a key of ``key_spec``; None if it has none.

    See https://www.iana.org/assignments/jose/jose.xhtml#web-signature-encryption-algorithms
    """
    return _BY_SPEC.get(key_spec) or _JOSE.get(algorithm)


def rsa_plaintext_limit(modulus_bits: int, algorithm: str) -> int:
    """Return how many bytes RSAES_OAEP encrypts at most: 190, 318 or 446 with SHA-256, 214, 342 or 470 with SHA-1.

    Raises:
        KeyError: ``algorithm`` is neither ``RSAES_OAEP_SHA_256`` nor ``RSAES_OAEP_SHA_1``.
    """
    return modulus_bits // 8 - OAEP_OVERHEAD[algorithm]


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
            length, point = (key.key_size + 7) // 8, key.public_numbers()
            coordinates = {name: base64url(getattr(point, name).to_bytes(length)) for name in ("x", "y")}
            if key.curve.name not in _CURVES:
                raise PublicKeyInvalid(f"the curve {key.curve.name} has no name in JSON Web Keys")
            return {"kty": "EC", "crv": _CURVES[key.curve.name], **coordinates}
        case Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_bytes_raw())}
        case _:
            return {"kty": "AKP", "alg": _BY_SPEC[key_spec_of(key)], "pub": base64url(key.public_bytes_raw())}


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
