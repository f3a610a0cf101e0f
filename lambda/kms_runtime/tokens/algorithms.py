"""The algorithms of tokens: JOSE's name, AWS KMS's name, and the keys that have it.

See https://www.rfc-editor.org/rfc/rfc7518#section-3, https://www.rfc-editor.org/rfc/rfc8037#section-3.1 and
https://www.rfc-editor.org/rfc/rfc9964
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kms_runtime.errors import TokenAlgorithmRefused
from kms_runtime.public_keys.public_key_algorithms import jose_name
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
