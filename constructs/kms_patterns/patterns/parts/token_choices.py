"""What a TokenIssuer may be given: keys that tokens have an algorithm for, names and times that make sense."""

import re
from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration, Token

from kms_patterns.keys.mac_key import MacKey
from kms_patterns.keys.signing_key import SigningKey
from kms_patterns.policy.token_algorithms import RSA_ALGORITHMS, TOKEN_ALGORITHMS

LONGEST_LIFETIME: Final = 86_400
LONGEST_CLOCK_SKEW: Final = 300
_REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


def jose_algorithm(key: SigningKey | MacKey, rsa_algorithm: str) -> str:
    """Return JOSE's name of the algorithm of a key's tokens.

    Raises:
        ValueError: Tokens have no algorithm for the key's spec, or ``rsa_algorithm`` is not one of RSA.
    """
    if rsa_algorithm not in RSA_ALGORITHMS:
        raise ValueError(f"rsa_algorithm {rsa_algorithm!r}: give one of {', '.join(RSA_ALGORITHMS)}")
    spec = key.key_spec.value
    if spec.startswith("RSA_"):
        return rsa_algorithm
    found = next((name for name, known in TOKEN_ALGORITHMS.items() if spec in known.key_specs), None)
    if found is None:
        allowed = sorted({spec for known in TOKEN_ALGORITHMS.values() for spec in known.key_specs})
        raise ValueError(
            f"{key.node.path}: tokens have no algorithm for key spec {spec}; give a key of spec {', '.join(allowed)}"
        )
    return found


def check_keys(keys: Sequence[SigningKey] | Sequence[MacKey]) -> None:
    """Check the keys of one issuer.

    Raises:
        ValueError: A key is given twice.
    """
    paths = [key.node.path for key in keys]
    doubled = sorted({path for path in paths if paths.count(path) > 1})
    if doubled:
        raise ValueError(f"{', '.join(doubled)} is given twice: previous_keys and next_keys are other keys")


def check_names(issuer: str, audiences: Sequence[str], required_claims: Sequence[str]) -> None:
    """Check issuer, audiences and names of claims.

    Raises:
        TypeError: A list is a string, of which each letter would be a name.
        ValueError: A name is empty, an audience is missing, or a required claim is the issuer's own.
    """
    for what, names in (("audiences", audiences), ("required_claims", required_claims)):
        if isinstance(names, str):
            raise TypeError(f"{what} is the string {names!r}: give a list of names")
    if not audiences or not issuer or not all([*audiences, *required_claims]):
        raise ValueError("issuer, audiences and required_claims: give an issuer, at least one audience, no empty name")
    own = sorted(_REGISTERED.intersection(required_claims))
    if own:
        raise ValueError(f"required_claims {', '.join(own)}: every token has those; name further ones")


def check_lifetime(lifetime: Duration) -> None:
    """Check how long tokens are valid.

    Raises:
        ValueError: Less than a second, or more than 24 hours.
    """
    _check(lifetime, "token_lifetime", 1, LONGEST_LIFETIME, "a token cannot be called back before it expires")


def check_max_age(max_age: Duration) -> None:
    """Check how long readers keep the public keys.

    Raises:
        ValueError: Less than a second, or more than 24 hours.
    """
    _check(max_age, "max_age", 1, LONGEST_LIFETIME, "for so long a key that was withdrawn is still trusted")


def check_clock_skew(clock_skew: Duration) -> None:
    """Check how much clocks may differ.

    Raises:
        ValueError: More than 5 minutes.
    """
    _check(clock_skew, "clock_skew", 0, LONGEST_CLOCK_SKEW, "it prolongs every token")


def _check(value: Duration, name: str, least: int, most: int, why: str) -> None:
    if not value.is_unresolved() and not least <= value.to_seconds() <= most:
        raise ValueError(f"{name} is {value.to_seconds()} s: give {least} s to {most} s; {why}")


def check_token_type(token_type: str) -> None:
    """Check the header member ``typ``.

    Raises:
        ValueError: It is not a media type without its ``application/``.
    """
    if not Token.is_unresolved(token_type) and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}", token_type):
        raise ValueError(f"token_type {token_type!r} is not the name of a type, such as JWT or at+jwt")
