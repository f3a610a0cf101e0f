"""What a KMS request needs permission for: the actions, each on the key that its identifier names, with its context.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kms_patterns.local.server.emulator.emulator import KMS, RESPONSES, reach
from kms_patterns.local.server.kms.grants import constrained_context, grant_of
from kms_patterns.local.server.kms.key_records import MANAGED, KeyRecord, find_key, key_of_ciphertext, new_managed_key
from kms_patterns.local.server.kms.kms_call import Request, blob_member, encryption_context
from kms_patterns.local.server.kms.kms_errors import KmsError, access_denied
from kms_patterns.local.server.kms.permissions import On, Permission, permissions_of

LINKED_SERVICE = "mrk.kms.amazonaws.com"


@dataclass(frozen=True)
class Target:
    """One permission that a request needs.

    ``key`` is None for a permission without a key and for a key that could not be found; ``reference`` is what the
    request called it, empty if nothing determines the key; ``new`` for an AWS managed key that it makes if allowed.
    """

    permission: Permission
    reference: str = ""
    key: KeyRecord | None = None
    context: Mapping[str, str] | None = None
    region: str | None = None
    new: bool = False

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
    needed = permissions_of(operation, request)
    found = [_target(it, request) for it in needed if not (it.action.startswith("iam:") and _is_linked())]
    # An alias that does not exist has no current key to ask for, and a Region without a replica has none.
    return [it for it in found if it.key is not None or it.keyless or not _may_be_missing(it.permission)]


def _is_linked() -> bool:
    # With the account's first multi-Region key KMS makes its role, which stays.
    stored = reach(KMS, "_keys").all_items()
    return any(record.get("MultiRegion") for (account, *_rest), record in stored if account == _account())


def _linked_role() -> str:
    name = "AWSServiceRoleForKeyManagementServiceMultiRegionKeys"
    return f"arn:aws:iam::{_account()}:role/aws-service-role/{LINKED_SERVICE}/{name}"


def _may_be_missing(permission: Permission) -> bool:
    return permission.member == "AliasName" or permission.region is not None


def _target(permission: Permission, request: Request) -> Target:
    region = request.get(permission.region) if permission.region else None
    if permission.on in {On.NOTHING, On.NEW_KEY}:
        return Target(permission, _linked_role() if permission.action.startswith("iam:") else "", region=region)
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
    service = str(alias_in(reference)).removeprefix("alias/aws/")
    if permission.action == "kms:DescribeKey" and service in MANAGED and find_key(reference) is None:
        # AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html (predefined alias)
        return Target(permission, reference, new_managed_key(service), context, new=True)
    if region is None:
        return Target(permission, reference, find_key(reference), context)
    with reach(RESPONSES, "request_scope")(reach(RESPONSES, "get_account_id")(), region):
        key_id = reference.rpartition("/")[2]
        return Target(permission, arn_of(key_id), find_key(key_id), context, region)


_HEX = "[0-9a-f]"
_KEY_ID = re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}|mrk-{_HEX}{{32}}")
_ARN = re.compile(r"arn:(aws[a-z-]*):kms:([a-z0-9-]+):(\d{12}):(key|alias)/(.+)", re.DOTALL)


def arn_of(reference: str) -> str:
    """Return the ARN that ``reference`` has in this account and Region, whether or not it exists."""
    if reference.startswith("arn:"):
        return reference
    resource = reference if reference.startswith("alias/") else f"key/{reference}"
    return f"arn:aws:kms:{_region()}:{_account()}:{resource}"


def check_identifier(reference: str, *, aliases: bool) -> None:
    """Refuse what does not identify a key for an operation.

    Args:
        reference: The member of the request.
        aliases: Whether the operation takes the name and the ARN of an alias.

    Raises:
        KmsError: NotFoundException, InvalidArnException.
    """
    if not reference.startswith("arn:"):
        if not (_KEY_ID.fullmatch(reference) or (aliases and reference.startswith("alias/"))):
            raise KmsError("NotFoundException", f"Invalid keyId '{reference}'")
        return
    arn = _ARN.fullmatch(reference)
    if arn is None or (arn[4] == "key" and not _KEY_ID.fullmatch(arn[5])):
        raise KmsError("InvalidArnException", f"{reference} is not a valid ARN of a KMS key")
    if arn[4] == "alias" and not aliases:
        raise KmsError("InvalidArnException", "Key Aliases are not supported for this operation")
    if arn[2] != _region():
        raise KmsError("NotFoundException", f"Invalid arn {arn[2]}")
    if arn[1] != "aws" or arn[3] != _account():
        raise access_denied(f"The key {reference} is of another partition or account; the embedded AWS has one.")


def alias_in(reference: str) -> str | None:
    """Return the alias name that a reference holds, None for a key id or key ARN."""
    return reference[reference.index("alias/") :] if "alias/" in reference else None


def not_found(reference: str) -> KmsError:
    """Return the refusal of a key or alias that does not exist in this account and Region."""
    arn = arn_of(reference)
    if alias_in(reference):
        return KmsError("NotFoundException", f"Alias {arn} is not found.")
    return KmsError("NotFoundException", f"Key '{arn}' does not exist")


def _region() -> str:
    return str(reach(RESPONSES, "get_region")())


def _account() -> str:
    return str(reach(RESPONSES, "get_account_id")())
