"""Lambda functions of the TokenIssuer construct: one issues tokens, and one publishes the keys or verifies.

Events and responses: ``schemas/token_issuer.json``.
"""

import os
from collections.abc import Mapping
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from kms_runtime.errors import FunctionMisconfigured, InvalidRequest, KmsRuntimeError, TokenAlgorithmRefused
from kms_runtime.handlers.http import Publication, content_response, error_response, path_of
from kms_runtime.handlers.outcome import LOG, logged
from kms_runtime.handlers.settings import (
    json_variable,
    kms_client,
    kms_client_for_strangers,
    names_variable,
    required_variable,
    seconds_variable,
)
from kms_runtime.handlers.validation import Event, Response, validator
from kms_runtime.tokens.algorithms import token_algorithm
from kms_runtime.tokens.issuing import issue_token
from kms_runtime.tokens.key_set import KEY_GONE, fetch_jwks
from kms_runtime.tokens.verifying import MacKeys, verify_token

_issue_request = validator("token_issuer/issue_request")
_verify_request = validator("token_issuer/verify_request")
_PATHS = ("/", "/.well-known/jwks.json")
_CONTENT_TYPE = "application/jwk-set+json"
_RETRY_SECONDS = "10"


@logged("TokenIssue")
def issue(event: Event, _context: Any) -> Response:
    """Issue a token; refusals raise, and Lambda reports the class name as ``errorType``."""
    valid = _issue_request(event)
    longest = seconds_variable(os.environ, "TOKEN_LIFETIME")
    lifetime = valid.get("lifetimeSeconds", longest)
    if lifetime > longest:
        raise InvalidRequest(f"event.lifetimeSeconds is {lifetime}; tokens of this issuer live at most {longest} s")
    made = issue_token(
        valid.get("claims", {}),
        key_arn=required_variable(os.environ, "KEY_ARN"),
        algorithm=check_algorithm("TOKEN_ALGORITHM", required_variable(os.environ, "TOKEN_ALGORITHM")),
        issuer=required_variable(os.environ, "ISSUER"),
        subject=valid["subject"],
        audience=_audience(valid),
        lifetime=lifetime,
        required_claims=names_variable(os.environ, "REQUIRED_CLAIMS"),
        token_type=required_variable(os.environ, "TOKEN_TYPE"),
        kms_client=kms_client(),
    )
    return {
        "token": made.token,
        "tokenId": made.token_id,
        "keyId": made.key_id,
        "algorithm": made.algorithm,
        "expiresAt": made.expires_at,
    }


@logged("TokenVerify")
def verify(event: Event, _context: Any) -> Response:
    """Verify a token under an HMAC key, which only AWS KMS can; refusals raise."""
    valid = _verify_request(event)
    found = verify_token(
        valid["token"],
        keys=MacKeys(token_keys(os.environ), kms_client=kms_client()),
        issuer=required_variable(os.environ, "ISSUER"),
        audience=_audience(valid),
        required_claims=names_variable(os.environ, "REQUIRED_CLAIMS"),
        leeway=seconds_variable(os.environ, "CLOCK_SKEW"),
        token_type=required_variable(os.environ, "TOKEN_TYPE"),
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
    max_age = seconds_variable(os.environ, "MAX_AGE")
    try:
        document = _publication(tuple(token_keys(os.environ).items()), max_age).content()
    except KmsRuntimeError as error:
        LOG.warning("no keys", extra={"errorCode": error.code, "reason": str(error)})
        message = "the keys are not available at the moment; try again"
        return error_response(HTTPStatus.SERVICE_UNAVAILABLE, message, retry_after=_RETRY_SECONDS)
    return content_response(event, document, _CONTENT_TYPE, max_age=max_age)


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
    known = names_variable(os.environ, "AUDIENCES")
    named: str | None = valid.get("audience") or (known[0] if len(known) == 1 else None)
    if named not in known:
        raise InvalidRequest(f"event.audience must be one of {', '.join(known)}")
    return str(named)


def token_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``TOKEN_KEYS``: a JSON object, ARN of each key to JOSE's name of its algorithm, the current key first.

    Raises:
        FunctionMisconfigured: It is missing, empty or not such an object, or names an algorithm that no token may have.
    """
    keys: dict[str, str] = json_variable(environment, "TOKEN_KEYS")
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
