"""What a KMS request needs permission for: the actions, each on its key, with its encryption context.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kms_patterns.local.server.kms.grants import by_token
from kms_patterns.local.server.kms.keys import KeyRecord, arn_of, find_key, key_of_ciphertext
from kms_patterns.local.server.kms.members import Request, blob_member, encryption_context
from kms_patterns.local.server.kms.operations.data_plane import MAX_CIPHERTEXT

KEYLESS = frozenset({
    "CreateKey", "ListKeys", "ListAliases", "GenerateRandom", "ListRetirableGrants",
    "CreateCustomKeyStore", "DeleteCustomKeyStore", "DescribeCustomKeyStores", "UpdateCustomKeyStore",
    "ConnectCustomKeyStore", "DisconnectCustomKeyStore",
})  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One permission that a request needs.

    ``key`` is None for an action without a key (``resource`` is then what IAM decides on) and for a key that
    could not be found; ``reference`` is what the request called it, empty if nothing determines the key.
    """

    action: str
    reference: str = ""
    key: KeyRecord | None = None
    context: Mapping[str, str] | None = None
    keyless: bool = False

    @property
    def resource(self) -> str:
        """The ARN that policies are compared with."""
        if self.key is not None:
            return str(self.key["Arn"])
        return arn_of(self.reference) if self.reference else "*"


def targets_of(operation: str, request: Request) -> list[Target]:
    """Return the permissions that ``operation`` needs, in the order in which KMS checks them."""
    action = f"kms:{operation}"
    if operation in KEYLESS:
        return [Target(action, keyless=True)]
    if operation.endswith("Alias") and operation != "ListAliases":
        return _alias_targets(action, request)
    if operation == "RetireGrant":
        return [_of_grant(action, request)]
    if operation == "ReEncrypt":
        return [
            _of_ciphertext("kms:ReEncryptFrom", request, "SourceKeyId", "SourceEncryptionContext"),
            _named("kms:ReEncryptTo", request, "DestinationKeyId", "DestinationEncryptionContext"),
        ]
    if operation == "Decrypt":
        return [_of_ciphertext(action, request, "KeyId", "EncryptionContext")]
    context = (request.get("Constraints") or {}) if operation == "CreateGrant" else {}
    named = _named(action, request, "KeyId", "EncryptionContext")
    # The grant's constraint is the encryption context that policies of CreateGrant see.
    return [replace(named, context={**(named.context or {}), **next(iter(context.values()), {})})]


def _named(action: str, request: Request, member: str, context: str) -> Target:
    reference = str(request.get(member) or "")
    return Target(action, reference, find_key(reference), encryption_context(request, context))


def _of_grant(action: str, request: Request) -> Target:
    grant = by_token(request.get("GrantToken")) if request.get("GrantToken") else None
    reference = str(grant["KeyId"] if grant else request.get("KeyId") or "")
    return Target(action, reference, find_key(reference))


def _of_ciphertext(action: str, request: Request, member: str, context: str) -> Target:
    named = _named(action, request, member, context)
    if named.reference:
        return named
    # Only the blob says which key: one that names none leaves the target undetermined, which is a refusal.
    return replace(named, key=key_of_ciphertext(blob_member(request, "CiphertextBlob", MAX_CIPHERTEXT)))


def _alias_targets(action: str, request: Request) -> list[Target]:
    name = str(request.get("AliasName") or "")
    alias = Target(action, name, keyless=True)
    keys = [Target(action, name, old)] if (old := find_key(name)) else []
    if target := str(request.get("TargetKeyId") or ""):
        keys.append(Target(action, target, find_key(target)))
    return [alias, *keys]
