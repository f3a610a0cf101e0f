"""Signed tokens (JWT): issued by AWS KMS keys, verified strictly, offline where the key is a signing key.

See https://www.rfc-editor.org/rfc/rfc7519 and https://www.rfc-editor.org/rfc/rfc8725
"""

from kms_runtime.tokens.algorithms import ALGORITHMS
from kms_runtime.tokens.issuing import IssuedToken, issue_token
from kms_runtime.tokens.key_set import Jwks, TokenKey, jwks_document, key_id
from kms_runtime.tokens.mac_keys import MacKeys
from kms_runtime.tokens.verifying import VerifiedToken, verify_token

__all__ = [
    "ALGORITHMS",
    "IssuedToken",
    "Jwks",
    "MacKeys",
    "TokenKey",
    "VerifiedToken",
    "issue_token",
    "jwks_document",
    "key_id",
    "verify_token",
]
