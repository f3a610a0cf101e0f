"""What a KMS request needs permission for: the actions, each on its key, with its encryption context.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.kms.grants import constrained_context, grant_of
from kms_patterns.local.server.kms.key_identifiers import arn_of, check_identifier
from kms_patterns.local.server.kms.keys import KeyRecord, find_key, key_of_ciphertext
from kms_patterns.local.server.kms.members import Request, blob_member, encryption_context
from kms_patterns.local.server.kms.permissions import On, Permission, permissions_of


@dataclass(frozen=True)
class Target:
    """One permission that a request needs.

    ``key`` is None for a permission without a key and for a key that could not be found; ``reference`` is what the
    request called it, empty if nothing determines the key.
    """

    permission: Permission
    reference: str = ""
    key: KeyRecord | None = None
    context: Mapping[str, str] | None = None
    region: str | None = None

    @property
    def action(self) -> str:
        """The action in policies."""
        return self.permission.action

    @property
    def keyless(self) -> bool:
        """Whether the identity policies alone decide."""
        return self.permission.on is not On.KEY

    @property
    def resource(self) -> str:
        """The ARN that policies are compared with."""
        if self.key is not None:
            return str(self.key["Arn"])
        if self.permission.on is On.NEW_KEY:
            here = arn_of("*").split(":")
            return ":".join([*here[:3], self.region or here[3], *here[4:]])
        return arn_of(self.reference) if self.reference else "*"


def targets_of(operation: str, request: Request) -> list[Target]:
    """Return the permissions that ``operation`` needs, in the order in which KMS checks them.

    Raises:
        KmsError: A member does not identify a key of this account and Region.
    """
    found = [_target(permission, request) for permission in permissions_of(operation, request)]
    # An alias that does not exist has no current key to ask for, and a Region without a replica has none.
    return [it for it in found if it.key is not None or it.keyless or not _may_be_missing(it.permission)]


def _may_be_missing(permission: Permission) -> bool:
    return permission.member == "AliasName" or permission.region is not None


def _target(permission: Permission, request: Request) -> Target:
    region = request.get(permission.region) if permission.region else None
    if permission.on in {On.NOTHING, On.NEW_KEY}:
        return Target(permission, region=region)
    reference = str(request.get(permission.member) or "")
    if permission.on is On.ALIAS:
        return Target(permission, reference)
    if permission.action == "kms:RetireGrant":
        grant = grant_of(request)
        return _on_key(permission, str(grant["KeyId"] if grant else reference), constrained_context(grant))
    if permission.action == "kms:CreateGrant":
        return _on_key(permission, reference, constrained_context(request))
    context = encryption_context(request, permission.context) if permission.context else None
    if not reference and permission.in_ciphertext:
        # Only the blob says which key: one that names none leaves the target undetermined, which is a refusal.
        return Target(permission, "", key_of_ciphertext(blob_member(request, "CiphertextBlob")), context)
    return _on_key(permission, reference, context, region)


def _on_key(
    permission: Permission, reference: str, context: Mapping[str, str] | None, region: str | None = None
) -> Target:
    if permission.member != "AliasName":
        check_identifier(reference, aliases=permission.aliases)
    if region is None:
        return Target(permission, reference, find_key(reference), context)
    with reach(RESPONSES, "request_scope")(reach(RESPONSES, "get_account_id")(), region):
        key_id = reference.rpartition("/")[2]
        return Target(permission, arn_of(key_id), find_key(key_id), context, region)
