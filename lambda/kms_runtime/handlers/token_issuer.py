"""Lambda functions of the TokenIssuer construct: one issues tokens, and one publishes the keys or verifies.

Events and responses: ``schemas/token_issuer.json``.
"""

from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from kms_runtime.errors import FunctionMisconfigured, InvalidRequest, TokenAlgorithmRefused
from kms_runtime.handlers.http import Publication, error_response, path_of, served
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import (
    json_variable,
    kms_client,
    kms_client_for_strangers,
    names_variable,
    required_variable,
    seconds_variable,
)
from kms_runtime.handlers.validation import Event, Response
from kms_runtime.tokens.algorithms import token_algorithm
from kms_runtime.tokens.issuing import issue_token
from kms_runtime.tokens.key_set import KEY_GONE, fetch_jwks
from kms_runtime.tokens.verifying import MacKeys, verify_token

_PATHS = ("/", "/.well-known/jwks.json")


@logged("TokenIssue", "token_issuer/issue_request")
def issue(event: Event, _context: Any) -> Response:
    """Issue a token; refusals raise, and Lambda reports the class name as ``errorType``."""
    longest = seconds_variable("TOKEN_LIFETIME")
    lifetime = event.get("lifetimeSeconds", longest)
    if lifetime > longest:
        raise InvalidRequest(f"event.lifetimeSeconds is {lifetime}; tokens of this issuer live at most {longest} s")
    made = issue_token(
        event.get("claims", {}),
        key_arn=required_variable("KEY_ARN"),
        algorithm=check_algorithm("TOKEN_ALGORITHM", required_variable("TOKEN_ALGORITHM")),
        issuer=required_variable("ISSUER"),
        subject=event["subject"],
        audience=_audience(event),
        lifetime=lifetime,
        required_claims=names_variable("REQUIRED_CLAIMS"),
        token_type=required_variable("TOKEN_TYPE"),
        kms_client=kms_client(),
    )
    return {
        "token": made.token,
        "tokenId": made.token_id,
        "keyId": made.key_id,
        "algorithm": made.algorithm,
        "expiresAt": made.expires_at,
    }


@logged("TokenVerify", "token_issuer/verify_request")
def verify(event: Event, _context: Any) -> Response:
    """Verify a token under an HMAC key, which only AWS KMS can; refusals raise."""
    found = verify_token(
        event["token"],
        keys=MacKeys(token_keys(), kms_client=kms_client()),
        issuer=required_variable("ISSUER"),
        audience=_audience(event),
        required_claims=names_variable("REQUIRED_CLAIMS"),
        leeway=seconds_variable("CLOCK_SKEW"),
        token_type=required_variable("TOKEN_TYPE"),
    )
    return {"claims": dict(found.claims), "keyId": found.key_id, "algorithm": found.algorithm}


@logged("TokenKeys")
def jwks(event: Event, _context: Any) -> Response:
    """Respond to a request to the function URL with the JSON Web Key Set, or with an HTTP error."""
    path = path_of(event)
    if not isinstance(path, str):
        return path
    if path not in _PATHS:
        return error_response(HTTPStatus.NOT_FOUND, f"the keys are at {_PATHS[1]}")
    max_age = seconds_variable("MAX_AGE")
    return served(
        event,
        lambda: _publication(tuple(token_keys().items()), max_age),
        "application/jwk-set+json",
        max_age=max_age,
        otherwise="the keys are not available at the moment; try again",
    )


@lru_cache(maxsize=1)
def _publication(keys: tuple[tuple[str, str], ...], max_age: int) -> Publication:
    """Return what this execution environment publishes."""
    fetch = partial(fetch_jwks, keys, kms_client=kms_client_for_strangers())
    return Publication(fetch, refresh_after=max_age, gone=KEY_GONE)


def _audience(valid: Event) -> str:
    """Return the audience that the request names, or the only one.

    Raises:
        InvalidRequest: It is not one of this issuer's, or there are several and none is named.
    """
    known = names_variable("AUDIENCES")
    named: str | None = valid.get("audience") or (known[0] if len(known) == 1 else None)
    if named not in known:
        raise InvalidRequest(f"event.audience must be one of {', '.join(known)}")
    return str(named)


def token_keys() -> dict[str, str]:
    """Return ``TOKEN_KEYS``: a JSON object, ARN of each key to JOSE's name of its algorithm, the current key first.

    Raises:
        FunctionMisconfigured: It is missing, empty or not such an object, or names an algorithm that no token may have.
    """
    keys: dict[str, str] = json_variable("TOKEN_KEYS")
    if not isinstance(keys, dict) or not keys or not all(isinstance(name, str) for name in keys.values()):
        raise FunctionMisconfigured("TOKEN_KEYS is not a JSON object of key ARNs and algorithms")
    for name in keys.values():
        check_algorithm("TOKEN_KEYS", name)
    return keys


def check_algorithm(variable: str, name: str) -> str:
    """Return ``name`` if tokens may have this algorithm.

    Raises:
        FunctionMisconfigured: They may not; the message names ``variable``.
    """
    try:
        return token_algorithm(name).name
    except TokenAlgorithmRefused as error:
        raise FunctionMisconfigured(f"{variable}: {error}") from None
