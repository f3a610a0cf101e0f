"""The algorithms of tokens: JOSE's name, AWS KMS's name, the keys that have it, and the check with the public key.

See https://www.rfc-editor.org/rfc/rfc7518#section-3, https://www.rfc-editor.org/rfc/rfc8037#section-3.1 and
https://www.rfc-editor.org/rfc/rfc9964
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kms_runtime.aws_errors import KMSInvalidSignatureException
from kms_runtime.errors import TokenAlgorithmRefused, TokenKeySetInvalid, TokenSignatureInvalid
from kms_runtime.public_keys.jwk import AsymmetricKey, jose_name, key_spec_of
from kms_runtime.signatures.elliptic_curves import raw_to_der
from kms_runtime.signatures.verifying_keys import signature_check
from kms_runtime.signing_algorithms import ALGORITHMS_OF, signing_algorithm


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

_SMALLEST_RSA = 2048


def checker(key: AsymmetricKey, algorithm: str) -> Check:
    """Return what checks the signatures of tokens with the header member ``alg`` of ``algorithm``.

    Raises:
        TokenAlgorithmRefused: Tokens may not have the algorithm.
        TokenKeySetInvalid: Keys of this kind do not have the algorithm, or the key is too small.
    """
    known, spec = token_algorithm(algorithm), key_spec_of(key)
    if isinstance(key, RSAPublicKey) and known.kms_name.startswith("RSASSA"):
        # Other issuers have RSA keys of sizes that AWS KMS does not make.
        if key.key_size < _SMALLEST_RSA:
            raise TokenKeySetInvalid(f"the RSA key has {key.key_size} bits; at least {_SMALLEST_RSA} are needed")
    elif spec not in known.key_specs:
        raise TokenKeySetInvalid(f"alg {algorithm} is not for keys of this type: {type(key).__name__}")
    verify, is_ecdsa = signature_check(key, signing_algorithm(known.kms_name)), known.kms_name.startswith("ECDSA")

    def check(signature: bytes, message: bytes) -> None:
        try:
            verify(raw_to_der(signature, key_spec=spec) if is_ecdsa else signature, message)
        except (InvalidSignature, KMSInvalidSignatureException):
            raise TokenSignatureInvalid("the signature is not that of the token under its key") from None

    return check
