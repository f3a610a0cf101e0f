"""The algorithms of signed tokens, and the key specs and KMS algorithms behind them.

https://www.rfc-editor.org/rfc/rfc7518#section-3.1
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class TokenAlgorithm:
    """What KMS calls an algorithm of JOSE, and which keys have it."""

    kms_name: str
    key_specs: tuple[str, ...]


_RSA: Final = ("RSA_2048", "RSA_3072", "RSA_4096")

TOKEN_ALGORITHMS: Final[Mapping[str, TokenAlgorithm]] = {
    "ES256": TokenAlgorithm("ECDSA_SHA_256", ("ECC_NIST_P256",)),
    "ES384": TokenAlgorithm("ECDSA_SHA_384", ("ECC_NIST_P384",)),
    "ES512": TokenAlgorithm("ECDSA_SHA_512", ("ECC_NIST_P521",)),
    **{f"RS{bits}": TokenAlgorithm(f"RSASSA_PKCS1_V1_5_SHA_{bits}", _RSA) for bits in (256, 384, 512)},
    **{f"PS{bits}": TokenAlgorithm(f"RSASSA_PSS_SHA_{bits}", _RSA) for bits in (256, 384, 512)},
    "EdDSA": TokenAlgorithm("ED25519_SHA_512", ("ECC_NIST_EDWARDS25519",)),
    "HS256": TokenAlgorithm("HMAC_SHA_256", ("HMAC_256",)),
    "HS384": TokenAlgorithm("HMAC_SHA_384", ("HMAC_384",)),
    "HS512": TokenAlgorithm("HMAC_SHA_512", ("HMAC_512",)),
}
"""JOSE's name -> what KMS has for it. ``kms_runtime.tokens.algorithms`` is the same; a test compares them."""

RSA_ALGORITHMS: Final = ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
