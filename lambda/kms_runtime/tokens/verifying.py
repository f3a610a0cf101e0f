"""Verification of tokens, against keys that the verifier chose: public keys offline, MAC keys by AWS KMS.

The claims are checked against the reader's expectations: https://www.rfc-editor.org/rfc/rfc7519#section-4.1
"""

import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kms_runtime.aws_errors import KMSInvalidMacException
from kms_runtime.errors import (
    InvalidRequest,
    TokenAlgorithmRefused,
    TokenAudienceMismatch,
    TokenClaimMissing,
    TokenExpired,
    TokenIssuerMismatch,
    TokenKeyUnknown,
    TokenMalformed,
    TokenNotYetValid,
    TokenSignatureInvalid,
)
from kms_runtime.macs import verify_mac
from kms_runtime.tokens.algorithms import token_algorithm
from kms_runtime.tokens.compact import parse_object, split_token
from kms_runtime.tokens.key_set import KeySet, TokenKey, key_id

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
"""The claims that RFC 7519 gives a meaning."""

LONGEST_LEEWAY: Final = 300
LATEST_DATE: Final = 253_402_300_799
"""The last second of the year 9999; a later one is milliseconds by mistake."""


def _check_claims(
    claims: Mapping[str, Any],
    *,
    issuer: str,
    audience: str | Collection[str],
    required_claims: Iterable[str],
    leeway: int,
    now: float,
) -> None:
    """Check the claims of a token whose signature was verified; arguments as for ``verify_token``.

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


DEFAULT_LEEWAY = 30
TOKEN_TYPE = "JWT"  # noqa: S105 - a header's value


class VerifiedToken(NamedTuple):
    """A token whose signature and claims are as expected.

    Attributes:
        claims: Everything that the token says.
        key_id: The ``kid`` of the key that signed it.
        algorithm: JOSE's name of the algorithm.
    """

    claims: Mapping[str, Any]
    key_id: str
    algorithm: str


def verify_token(
    token: str,
    *,
    keys: KeySet,
    issuer: str,
    audience: str | Collection[str],
    required_claims: Collection[str] = (),
    leeway: int = DEFAULT_LEEWAY,
    token_type: str = TOKEN_TYPE,
    now: float | None = None,
) -> VerifiedToken:
    """Verify a token that a TokenIssuer issued.

    Which key and which algorithm apply is decided by ``keys``; what the token says about that must agree.

    Args:
        token: The compact form, at most 4780 characters.
        keys: ``Jwks`` or ``RemoteJwks``, which verify offline; ``MacKeys``, which asks AWS KMS.
        issuer: The only accepted ``iss``.
        audience: Your own name, or several of which the token must name one.
        required_claims: Claims that must be there, not null, besides ``iss``, ``aud`` and ``exp``.
        leeway: Clock skew allowed, in seconds, 0 to 300.
        token_type: The only accepted ``typ``: give each purpose of tokens its own.
        now: The time, in seconds since 1970. Defaults to the clock's.

    Raises:
        TokenRefused: One of its subclasses says why.
        InvalidRequest: The expectations make no sense.

    See https://www.rfc-editor.org/rfc/rfc8725
    """
    if isinstance(required_claims, str):
        raise InvalidRequest(f"required_claims is the string {required_claims!r}: give a list of names")
    if not audience:
        raise InvalidRequest("audience is empty: name who reads the token, or any token of the issuer would be taken")
    if type(leeway) is not int or not 0 <= leeway <= LONGEST_LEEWAY:
        raise InvalidRequest(f"leeway {leeway!r} is not a whole number of seconds from 0 to {LONGEST_LEEWAY}")
    (algorithm, key_id, found_type), claims, signature, signing_input = split_token(token)
    if found_type != token_type:
        raise TokenMalformed(f"typ {found_type!r} is refused; tokens of type {token_type!r} are read here")
    key = keys.find(key_id)
    if key.algorithm != algorithm:
        raise TokenAlgorithmRefused(f"alg {algorithm!r} is refused; the tokens of this key have {key.algorithm}")
    key.check(signature, signing_input)
    members = parse_object(claims, "claims")
    _check_claims(
        members,
        issuer=issuer,
        audience=audience,
        required_claims=required_claims,
        leeway=leeway,
        now=time.time() if now is None else now,
    )
    return VerifiedToken(members, key_id, algorithm)


class MacKeys:
    """HMAC keys of AWS KMS as a key set: each verification is a call of VerifyMac.

    Args:
        keys: ARN of each key -> JOSE's name of its algorithm, such as ``HS256``.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        TokenAlgorithmRefused: Tokens may not have the algorithm, or it is one of signing keys.
        InvalidArnException: Not a key ARN.
    """

    def __init__(self, keys: Mapping[str, str], *, kms_client: "KMSClient") -> None:
        self._client = kms_client
        self._keys = {key_id(arn): self._token_key(arn, algorithm) for arn, algorithm in keys.items()}

    def find(self, key_id: str) -> TokenKey:
        """Return the key with this id.

        Raises:
            TokenKeyUnknown: No key has this id; AWS KMS is not called.
        """
        found = self._keys.get(key_id)
        if found is None:
            raise TokenKeyUnknown(f"no key of this issuer has the id {key_id!r}")
        return found

    def _token_key(self, arn: str, algorithm: str) -> TokenKey:
        known = token_algorithm(algorithm)
        if not known.is_mac:
            raise TokenAlgorithmRefused(f"{arn}: {algorithm} is of signing keys; take Jwks, which verifies offline")

        def check(signature: bytes, message: bytes) -> None:
            try:
                verify_mac(message, signature, key_arn=arn, algorithm=known.kms_name, kms_client=self._client)
            except KMSInvalidMacException:
                raise TokenSignatureInvalid("the authentication code is not that of the token under its key") from None

        return TokenKey(key_id(arn), algorithm, check)
