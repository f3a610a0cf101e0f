"""The algorithms of tokens: JOSE's name, AWS KMS's name, and the keys that have it.

See https://www.rfc-editor.org/rfc/rfc7518#section-3 and https://www.rfc-editor.org/rfc/rfc8037#section-3.1
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kms_runtime.errors import TokenAlgorithmRefused

_RSA: Final = ("RSA_2048", "RSA_3072", "RSA_4096")


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


ALGORITHMS: Final[Mapping[str, TokenAlgorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        TokenAlgorithm("ES256", "ECDSA_SHA_256", ("ECC_NIST_P256",)),
        TokenAlgorithm("ES384", "ECDSA_SHA_384", ("ECC_NIST_P384",)),
        TokenAlgorithm("ES512", "ECDSA_SHA_512", ("ECC_NIST_P521",)),
        TokenAlgorithm("RS256", "RSASSA_PKCS1_V1_5_SHA_256", _RSA),
        TokenAlgorithm("PS256", "RSASSA_PSS_SHA_256", _RSA),
        TokenAlgorithm("EdDSA", "ED25519_SHA_512", ("ECC_NIST_EDWARDS25519",)),
        TokenAlgorithm("HS256", "HMAC_SHA_256", ("HMAC_256",)),
        TokenAlgorithm("HS384", "HMAC_SHA_384", ("HMAC_384",)),
        TokenAlgorithm("HS512", "HMAC_SHA_512", ("HMAC_512",)),
    )
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
