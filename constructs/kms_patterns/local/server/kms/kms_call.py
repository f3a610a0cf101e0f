"""A KMS call: which operation, by which principal, through which service, and how its members are read."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.kms.kms_errors import KmsError, constraints, invalid, unsupported

# AWS: https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
LONGEST_CONTEXT = 8192

ResponseMembers = dict[str, Any]
Request = Mapping[str, Any]


def blob_member(request: Request, name: str) -> bytes:
    """Return a base64 member, decoded.

    Raises:
        KmsError: ValidationException: there is none.
    """
    if not request.get(name):
        member = name[0].lower() + name[1:]
        raise constraints([f"Value null at '{member}' failed to satisfy constraint: Member must not be null"])
    return base64.b64decode(request[name])


def encryption_context(request: Request, name: str = "EncryptionContext") -> dict[str, str]:
    """Return the encryption context, an empty one if there is none.

    Raises:
        KmsError: ValidationException: it is longer than 8,192 characters of JSON.
    """
    context = dict(request.get(name) or {})
    if context and len(json.dumps(context, separators=(",", ":"), ensure_ascii=False)) > LONGEST_CONTEXT:
        raise invalid(f"{name} has more than {LONGEST_CONTEXT} characters.")
    return context


def stop_dry_run(request: Request) -> None:
    """End a dry run here, after every check passed."""
    if request.get("DryRun"):
        raise KmsError("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")


def refuse_unsupported(request: Request) -> None:
    """Refuse modifiers, and an enclave's attestation, because a plaintext response would show others its secret."""
    if request.get("Recipient"):
        raise unsupported("Recipient (Nitro Enclaves) is not supported by the embedded AWS.")
    if request.get("DryRunModifiers"):
        raise unsupported("DryRunModifiers is not supported by the embedded AWS.")


def to_base64(raw: bytes) -> str:
    """Return ``raw`` as KMS puts it into JSON."""
    return base64.b64encode(raw).decode()


def via_service(service: str | None, region: str) -> str | None:
    """Return the value of kms:ViaService for a call that ``service`` (``s3``) makes for a caller."""
    return f"{service}.{region}.amazonaws.com" if service else None


def called_via(service: str | None) -> dict[str, str]:
    """Return the condition keys of a request that a service forwards for its caller.

    AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    return dict.fromkeys(("aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast"), service) if service else {}


@dataclass(frozen=True)
class KmsCall:
    """A KMS operation by a caller.

    ``via`` is the AWS service (``s3``) that makes it on the caller's behalf, ``called_via`` the service principal that
    forwards the caller's session.
    """

    operation: str
    request: Request
    caller: Caller
    via: str | None = None
    called_via: str | None = None
    region: str = field(default_factory=lambda: str(reach(RESPONSES, "get_region")()))

    @property
    def via_service(self) -> str | None:
        """The value of kms:ViaService."""
        return via_service(self.via, self.region)
