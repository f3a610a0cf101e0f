"""Signed tokens (JWT): issued by AWS KMS keys, verified strictly, offline where the key is a signing key.

See https://www.rfc-editor.org/rfc/rfc7519 and https://www.rfc-editor.org/rfc/rfc8725
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kms_runtime.tokens.algorithms import ALGORITHMS
from kms_runtime.tokens.issuing import IssuedToken, issue_token
from kms_runtime.tokens.key_set import Jwks, TokenKey, jwks_document, key_id
from kms_runtime.tokens.verifying import MacKeys, VerifiedToken, verify_token

if TYPE_CHECKING:
    from kms_runtime.tokens.remote_key_set import RemoteJwks

__all__ = [
    "ALGORITHMS",
    "IssuedToken",
    "Jwks",
    "MacKeys",
    "RemoteJwks",
    "TokenKey",
    "VerifiedToken",
    "issue_token",
    "jwks_document",
    "key_id",
    "verify_token",
]


def __getattr__(name: str) -> Any:
    # Its HTTP client takes time to import, which an issuing function should not wait for.
    if name != "RemoteJwks":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("kms_runtime.tokens.remote_key_set").RemoteJwks
