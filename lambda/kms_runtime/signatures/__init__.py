"""Signatures by AWS KMS keys, verified there or with the public key alone; artifacts and their statements."""

from kms_runtime.signatures.signing import (
    SIGNATURE_LIMIT,
    sign,
    sign_digest,
    sign_stream,
    verify,
    verify_digest,
    verify_stream,
    verify_with_kms,
)

__all__ = [
    "SIGNATURE_LIMIT",
    "sign",
    "sign_digest",
    "sign_stream",
    "verify",
    "verify_digest",
    "verify_stream",
    "verify_with_kms",
]
