"""The members of KMS requests and answers: decoded, bounded, and refused as KMS refuses them."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from kms_patterns.local.server.kms.kms_errors import KmsError, constraint

Answer = dict[str, Any]
Request = Mapping[str, Any]


def blob_member(request: Request, name: str, most: int) -> bytes:
    """Return a base64 member of 1 to ``most`` bytes.

    Raises:
        KmsError: ValidationException or SerializationException.
    """
    member = name[0].lower() + name[1:]
    try:
        value = base64.b64decode(request.get(name) or "", validate=True)
    except (binascii.Error, ValueError, TypeError) as malformed:
        raise KmsError("SerializationException", f"{name} is not base64") from malformed
    if not value:
        raise constraint(member, "have length greater than or equal to 1")
    if len(value) > most:
        raise constraint(member, f"have length less than or equal to {most}")
    return value


def encryption_context(request: Request, name: str = "EncryptionContext") -> dict[str, str]:
    """Return the encryption context, an empty one if there is none."""
    context = request.get(name) or {}
    if not isinstance(context, dict) or not all(isinstance(value, str) for value in context.values()):
        raise KmsError("SerializationException", f"{name} must map strings to strings")
    return context


def stop_dry_run(request: Request) -> None:
    """End a dry run here, after every check passed."""
    if request.get("DryRun"):
        raise KmsError("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")


def refuse_recipient(request: Request) -> None:
    """Refuse a Nitro enclave's attestation: answering with the plaintext would hand its secret to others."""
    if request.get("Recipient"):
        raise KmsError("UnsupportedOperationException", "Recipient (Nitro Enclaves) is not supported.")


def to_base64(raw: bytes) -> str:
    """Return ``raw`` as KMS puts it into JSON."""
    return base64.b64encode(raw).decode()
