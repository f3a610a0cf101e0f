"""What a token says, checked against what its reader expects.

See https://www.rfc-editor.org/rfc/rfc7519#section-4.1
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from kms_runtime.errors import (
    InvalidRequest,
    TokenAudienceMismatch,
    TokenClaimMissing,
    TokenExpired,
    TokenIssuerMismatch,
    TokenMalformed,
    TokenNotYetValid,
)

REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
"""The claims that RFC 7519 gives a meaning."""

LONGEST_LEEWAY: Final = 300
LATEST_DATE: Final = 253_402_300_799
"""The last second of the year 9999; a later one is milliseconds by mistake."""


def check_claims(
    claims: Mapping[str, Any],
    *,
    issuer: str,
    audience: str | Collection[str],
    required_claims: Iterable[str],
    leeway: int,
    now: float,
) -> None:
    """Check the claims of a token whose signature was verified.

    Args:
        claims: The claims; ``iss``, ``aud`` and ``exp`` must be there.
        issuer: The only accepted ``iss``.
        audience: The reader's name, or several of which the token must name one.
        required_claims: Names that must be there, with a value other than null.
        leeway: Clock skew allowed, in seconds, 0 to 300.
        now: The time, in seconds since 1970.

    Raises:
        TokenExpired: At or after ``exp`` plus ``leeway``.
        TokenNotYetValid: ``nbf`` or ``iat`` is later than now plus ``leeway``.
        TokenIssuerMismatch: Another ``iss``.
        TokenAudienceMismatch: ``aud`` names none of ``audience``.
        TokenClaimMissing: One of the required claims is not there.
        TokenMalformed: A registered claim is of another type than RFC 7519 says, or a date is not a whole number.
    """
    for name in ("iss", "aud", "exp", *required_claims):
        if claims.get(name) is None:
            raise TokenClaimMissing(f"the token has no {name}")
    _check_dates(claims, leeway, now)
    if claims["iss"] != issuer:
        raise TokenIssuerMismatch(f"the token's issuer is not {issuer!r}")
    accepted = {audience} if isinstance(audience, str) else set(audience)
    if not accepted.intersection(_audiences(claims["aud"])):
        raise TokenAudienceMismatch(f"the token is not for {', '.join(sorted(accepted))}")
    for name in ("sub", "jti"):
        if not isinstance(claims.get(name, ""), str):
            raise TokenMalformed(f"{name} is not a string")


def check_expectations(audience: str | Collection[str], leeway: int) -> None:
    """Check what a reader expects.

    Raises:
        InvalidRequest: An empty audience, or a leeway that is not 0 to 300 seconds.
    """
    if not audience:
        raise InvalidRequest("audience is empty: name who reads the token, or any token of the issuer would be taken")
    if type(leeway) is not int or not 0 <= leeway <= LONGEST_LEEWAY:
        raise InvalidRequest(f"leeway {leeway!r} is not a whole number of seconds from 0 to {LONGEST_LEEWAY}")


def _check_dates(claims: Mapping[str, Any], leeway: int, now: float) -> None:
    if now >= _date(claims, "exp") + leeway:
        raise TokenExpired(f"the token expired {int(now - claims['exp'])} s ago; {leeway} s of clock skew are allowed")
    for name in ("nbf", "iat"):
        if name in claims and now < _date(claims, name) - leeway:
            ahead = int(claims[name] - now)
            raise TokenNotYetValid(f"the token's {name} lies {ahead} s ahead; {leeway} s of clock skew are allowed")


def _date(claims: Mapping[str, Any], name: str) -> int:
    value = claims[name]
    # A boolean is an int to Python, and a fraction of a second is nothing that this package issues.
    if type(value) is not int or not 0 <= value <= LATEST_DATE:
        raise TokenMalformed(f"{name} is not a whole number of seconds since 1970")
    return value


def _audiences(value: Any) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise TokenMalformed("aud is neither a string nor a list of strings")
    return names
