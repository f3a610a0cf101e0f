"""Verification of tokens: strict, against keys that the verifier chose, offline for signatures."""

import time
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from kms_runtime.errors import InvalidRequest, TokenAlgorithmRefused, TokenMalformed
from kms_runtime.tokens.claims import check_claims, check_expectations
from kms_runtime.tokens.compact import parse_object, split_token
from kms_runtime.tokens.key_set import KeySet

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
        required_claims: Claims that must be there besides ``iss``, ``aud`` and ``exp``.
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
    check_expectations(audience, leeway)
    (algorithm, key_id, found_type), claims, signature, signing_input = split_token(token)
    if found_type != token_type:
        raise TokenMalformed(f"typ {found_type!r} is refused; tokens of type {token_type!r} are read here")
    key = keys.find(key_id)
    if key.algorithm != algorithm:
        raise TokenAlgorithmRefused(f"alg {algorithm!r} is refused; the tokens of this key have {key.algorithm}")
    key.check(signature, signing_input)
    members = parse_object(claims, "claims")
    check_claims(
        members,
        issuer=issuer,
        audience=audience,
        required_claims=required_claims,
        leeway=leeway,
        now=time.time() if now is None else now,
    )
    return VerifiedToken(members, key_id, algorithm)
