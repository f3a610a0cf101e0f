"""The claims of a token, checked against its reader's expectations.

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
    found_issuer, found_audience, expires = claims.get("iss"), claims.get("aud"), claims.get("exp")
    if found_issuer is None or found_audience is None or expires is None:
        raise TokenClaimMissing("the token lacks iss, aud or exp")
    for name in required_claims:
        if claims.get(name) is None:
            raise TokenClaimMissing(f"the token has no {name}")
    _check_dates(claims, expires, leeway, now)
    if found_issuer != issuer:
        raise TokenIssuerMismatch(f"the token's issuer is not {issuer!r}")
    # Most tokens are for one reader, who is one.
    if found_audience.__class__ is not str or found_audience != audience:
        _check_audience(found_audience, {audience} if isinstance(audience, str) else set(audience))
    if claims.get("sub", "").__class__ is not str or claims.get("jti", "").__class__ is not str:
        raise TokenMalformed("sub or jti is not a string")


def check_expectations(audience: str | Collection[str], leeway: int) -> None:
    """Check what a reader expects.

    Raises:
        InvalidRequest: An empty audience, or a leeway that is not 0 to 300 seconds.
    """
    if not audience:
        raise InvalidRequest("audience is empty: name who reads the token, or any token of the issuer would be taken")
    if type(leeway) is not int or not 0 <= leeway <= LONGEST_LEEWAY:
        raise InvalidRequest(f"leeway {leeway!r} is not a whole number of seconds from 0 to {LONGEST_LEEWAY}")


def _check_dates(claims: Mapping[str, Any], expires: Any, leeway: int, now: float) -> None:
    not_before, issued = claims.get("nbf", 0), claims.get("iat", 0)
    for date in (expires, not_before, issued):
        # A boolean is an int to Python, and a fraction of a second is nothing that this package issues.
        if date.__class__ is not int or not 0 <= date <= LATEST_DATE:
            raise TokenMalformed("exp, nbf or iat is not a whole number of seconds since 1970")
    if now >= expires + leeway:
        raise TokenExpired(f"the token expired {int(now - expires)} s ago; {leeway} s of clock skew are allowed")
    latest = now + leeway
    if not_before > latest or issued > latest:
        ahead = int(max(not_before, issued) - now)
        raise TokenNotYetValid(f"nbf or iat lies {ahead} s ahead; {leeway} s of clock skew are allowed")


def _check_audience(value: Any, accepted: set[str]) -> None:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise TokenMalformed("aud is neither a string nor a list of strings")
    if not accepted.intersection(names):
        raise TokenAudienceMismatch(f"the token is not for {', '.join(sorted(accepted))}")
