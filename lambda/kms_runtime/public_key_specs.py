"""The key specs of AWS KMS for public keys.

See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
"""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey, MLKEM1024PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_CURVES: Final = {
    "secp256r1": "ECC_NIST_P256",
    "secp384r1": "ECC_NIST_P384",
    "secp521r1": "ECC_NIST_P521",
    "secp256k1": "ECC_SECG_P256K1",
}
_CLASSES: Final = {
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
        return _CURVES.get(key.curve.name, key.curve.name)
    return next((spec for kind, spec in _CLASSES.items() if isinstance(key, kind)), type(key).__name__)
