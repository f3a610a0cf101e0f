"""The algorithms of tokens: JOSE's name, AWS KMS's name, the keys that have it, and the check with the public key.

See https://www.rfc-editor.org/rfc/rfc7518#section-3, https://www.rfc-editor.org/rfc/rfc8037#section-3.1 and
https://www.rfc-editor.org/rfc/rfc9964
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from kms_runtime.errors import TokenAlgorithmRefused, TokenKeySetInvalid, TokenSignatureInvalid
from kms_runtime.public_keys.jwk import AsymmetricKey, jose_name
from kms_runtime.signing_algorithms import ALGORITHMS_OF


@dataclass(frozen=True, slots=True)
class TokenAlgorithm:
    """One value of the header member ``alg``.

    Attributes:
        name: JOSE's name of it.
        kms_name: AWS KMS's SigningAlgorithm or MacAlgorithm.
        key_specs: Key specs of AWS KMS whose keys have it.
    """

    name: str
    kms_name: str
    key_specs: tuple[str, ...]

    @property
    def is_mac(self) -> bool:
        """Whether the key is secret, so that who verifies must ask AWS KMS."""
        return self.kms_name.startswith("HMAC_")


_NAMES: Final = (
    "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA",
    "ML-DSA-44", "ML-DSA-65", "ML-DSA-87",
)  # fmt: skip
_SIGNING: Final = [(jose_name(spec, name), name, spec) for spec, names in ALGORITHMS_OF.items() for name in names]

ALGORITHMS: Final[Mapping[str, TokenAlgorithm]] = {
    **{
        jose: TokenAlgorithm(jose, name, tuple(spec for found, _, spec in _SIGNING if found == jose))
        for jose in _NAMES
        for found, name, _ in _SIGNING
        if found == jose
    },
    **{f"HS{bits}": TokenAlgorithm(f"HS{bits}", f"HMAC_SHA_{bits}", (f"HMAC_{bits}",)) for bits in (256, 384, 512)},
}
"""Every algorithm that tokens may have; ``none`` is not one."""


def token_algorithm(name: str) -> TokenAlgorithm:
    """Return the algorithm that JOSE calls ``name``.

    Raises:
        TokenAlgorithmRefused: Tokens may not have it.
    """
    found = ALGORITHMS.get(name)
    if found is None:
        raise TokenAlgorithmRefused(f"alg {name!r} is refused; tokens have one of {', '.join(ALGORITHMS)}")
    return found


Check = Callable[[bytes, bytes], None]
"""Takes a signature and what was signed; raises TokenSignatureInvalid."""

_CURVES: Final[Mapping[str, tuple[type[ec.EllipticCurve], HashAlgorithm]]] = {
    "ES256": (ec.SECP256R1, SHA256()),
    "ES384": (ec.SECP384R1, SHA384()),
    "ES512": (ec.SECP521R1, SHA512()),
}
_DIGESTS: Final[Mapping[str, HashAlgorithm]] = {"256": SHA256(), "384": SHA384(), "512": SHA512()}
_PADDINGS: Final[Mapping[str, padding.AsymmetricPadding]] = {
    **{f"RS{bits}": padding.PKCS1v15() for bits in _DIGESTS},
    # The salt is as long as the digest: RFC 7518, section 3.5.
    **{f"PS{bits}": padding.PSS(padding.MGF1(digest), digest.digest_size) for bits, digest in _DIGESTS.items()},
}
_SMALLEST_RSA = 2048
_ML_DSA: Final[Mapping[str, type[MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey]]] = {
    "ML-DSA-44": MLDSA44PublicKey,
    "ML-DSA-65": MLDSA65PublicKey,
    "ML-DSA-87": MLDSA87PublicKey,
}


def checker(key: AsymmetricKey, algorithm: str) -> Check:
    """Return what checks the signatures of tokens with the header member ``alg`` of ``algorithm``.

    Raises:
        TokenAlgorithmRefused: Tokens may not have the algorithm.
        TokenKeySetInvalid: Keys of this kind do not have the algorithm, or the key is too small.
    """
    token_algorithm(algorithm)
    curve, digest = _CURVES.get(algorithm, (None, SHA256()))
    if curve and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, curve):
        return _ecdsa(key, digest)
    if algorithm in _PADDINGS and isinstance(key, RSAPublicKey):
        return _rsa(key, _PADDINGS[algorithm], _DIGESTS[algorithm[2:]])
    if algorithm == "EdDSA" and isinstance(key, Ed25519PublicKey):
        return _whole(key)
    if algorithm in _ML_DSA and isinstance(key, _ML_DSA[algorithm]):
        return _whole(key)
    raise TokenKeySetInvalid(f"alg {algorithm} is not for keys of this type: {type(key).__name__}")


def _rsa(key: RSAPublicKey, scheme: padding.AsymmetricPadding, digest: HashAlgorithm) -> Check:
    if key.key_size < _SMALLEST_RSA:
        raise TokenKeySetInvalid(f"the RSA key has {key.key_size} bits; at least {_SMALLEST_RSA} are needed")
    verify = key.verify

    def check(signature: bytes, message: bytes) -> None:
        try:
            verify(signature, message, scheme, digest)
        except InvalidSignature:
            raise _refusal() from None

    return check


def _ecdsa(key: ec.EllipticCurvePublicKey, digest: HashAlgorithm) -> Check:
    verify, scheme, half = key.verify, ec.ECDSA(digest), (key.key_size + 7) // 8
    from_bytes = int.from_bytes

    def check(signature: bytes, message: bytes) -> None:
        if len(signature) != 2 * half:
            raise _refusal()
        der = encode_dss_signature(from_bytes(signature[:half], "big"), from_bytes(signature[half:], "big"))
        try:
            verify(der, message, scheme)
        except InvalidSignature:
            raise _refusal() from None

    return check


def _whole(key: Ed25519PublicKey | MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey) -> Check:
    def check(signature: bytes, message: bytes) -> None:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            raise _refusal() from None

    return check


def _refusal() -> TokenSignatureInvalid:
    return TokenSignatureInvalid("the signature is not that of the token under its key")
