"""Tokens signed by AWS KMS: one call each, at most 4096 bytes of header and claims.

See https://www.rfc-editor.org/rfc/rfc7519
"""

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kms_runtime.errors import InvalidRequest, TokenClaimMissing, TokenMalformed, TokenTooLarge
from kms_runtime.macs import generate_mac
from kms_runtime.signatures.elliptic_curves import der_to_raw
from kms_runtime.signatures.signing import sign
from kms_runtime.tokens.algorithms import TokenAlgorithm, token_algorithm
from kms_runtime.tokens.compact import SIGNING_INPUT_LIMIT, encode_segment, parse_object, to_json
from kms_runtime.tokens.key_set import key_id
from kms_runtime.tokens.verifying import REGISTERED, TOKEN_TYPE

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

LONGEST_LIFETIME = 86_400
"""Seconds. A signed token cannot be revoked, so none is valid for more than a day."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, and what its issuer may log of it: the token itself is a credential."""

    token: str
    token_id: str
    key_id: str
    algorithm: str
    expires_at: int


def issue_token(
    claims: Mapping[str, Any],
    *,
    key_arn: str,
    algorithm: str,
    issuer: str,
    subject: str,
    audience: str | Sequence[str],
    lifetime: int,
    kms_client: "KMSClient",
    required_claims: Collection[str] = (),
    token_type: str = TOKEN_TYPE,
    now: float | None = None,
) -> IssuedToken:
    """Issue a token: one call of Sign (GenerateMac with an HMAC key), of type RAW.

    Args:
        claims: What the token says besides ``iss``, ``sub``, ``aud``, ``iat``, ``nbf``, ``exp`` and ``jti``.
        key_arn: ARN of the key; its key id becomes ``kid``.
        algorithm: JOSE's name, such as ``ES256``.
        issuer: ``iss``.
        subject: ``sub``: whom the token is about.
        audience: ``aud``: who reads the token.
        lifetime: Seconds, 1 to 86,400.
        kms_client: A ``boto3.client("kms")``.
        required_claims: Names that ``claims`` must give a value.
        token_type: ``typ``.
        now: The time, in seconds since 1970. Defaults to the clock's.

    Raises:
        InvalidRequest: No issuer, subject, audience or type; a lifetime that is not a whole number in range; a
            registered claim; or what JSON has no form for.
        TokenClaimMissing: A required claim is not there.
        TokenTooLarge: Header and claims take more than 4096 bytes; AWS KMS is not called.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    audiences = [audience] if isinstance(audience, str) else list(audience)
    _check_names(issuer, subject, token_type, audiences)
    _check_request(claims, lifetime, required_claims)
    issued_at = int(time.time() if now is None else now)
    expires_at, token_id = issued_at + lifetime, str(uuid.uuid4())
    registered = {"iss": issuer, "sub": subject, "aud": audience if isinstance(audience, str) else audiences}
    dates = {"iat": issued_at, "nbf": issued_at, "exp": expires_at}
    header = {"alg": algorithm, "kid": key_id(key_arn), "typ": token_type}
    signing_input = _signing_input(header, {**registered, **dates, "jti": token_id, **claims})
    signature = _sign(signing_input, token_algorithm(algorithm), key_arn, kms_client)
    token = b"%b.%b" % (signing_input, encode_segment(signature))
    return IssuedToken(token.decode(), token_id, header["kid"], algorithm, expires_at)


def _check_names(issuer: object, subject: object, token_type: object, audiences: list[Any]) -> None:
    for what, name in (("issuer", issuer), ("subject", subject), ("type", token_type)):
        if not isinstance(name, str) or not name:
            raise InvalidRequest(f"the {what} is empty or not a string; readers refuse a token without it")
    if not audiences or not all(isinstance(name, str) and name for name in audiences):
        raise InvalidRequest("the audience is empty or holds something else than names: say who reads the token")


def _check_request(claims: Mapping[str, Any], lifetime: int, required: Collection[str]) -> None:
    if type(lifetime) is not int or not 1 <= lifetime <= LONGEST_LIFETIME:
        raise InvalidRequest(f"a lifetime of {lifetime} s is refused; give whole seconds, 1 to {LONGEST_LIFETIME}")
    reserved = sorted(claims.keys() & REGISTERED)
    if reserved:
        raise InvalidRequest(f"claims may not hold {', '.join(reserved)}: the issuer sets them")
    for name in required:
        if name not in REGISTERED and claims.get(name) is None:
            raise TokenClaimMissing(f"claims has no {name}, which this issuer's tokens must have")


def _signing_input(header: Mapping[str, Any], claims: Mapping[str, Any]) -> bytes:
    try:
        said = to_json(claims)
        made = b"%b.%b" % (encode_segment(to_json(header)), encode_segment(said))
        # The names 1 and "1" are two to Python and one to JSON, which readers refuse.
        parse_object(said, "claims")
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest(f"claims hold what JSON has no form for: {type(error).__name__}") from None
    except TokenMalformed as error:
        raise InvalidRequest(f"no reader takes the claims: {error}") from None
    if len(made) > SIGNING_INPUT_LIMIT:
        raise TokenTooLarge(
            f"header and claims take {len(made)} bytes and AWS KMS signs at most {SIGNING_INPUT_LIMIT} in one piece; "
            "give the token an id and keep the rest where the reader can look it up"
        )
    return made


def _sign(message: bytes, algorithm: TokenAlgorithm, key_arn: str, kms_client: "KMSClient") -> bytes:
    if algorithm.is_mac:
        return generate_mac(message, key_arn=key_arn, algorithm=algorithm.kms_name, kms_client=kms_client)
    signature = sign(message, key_arn=key_arn, algorithm=algorithm.kms_name, kms_client=kms_client)
    if algorithm.kms_name.startswith("ECDSA"):
        return der_to_raw(signature, key_spec=algorithm.key_specs[0])
    return signature
