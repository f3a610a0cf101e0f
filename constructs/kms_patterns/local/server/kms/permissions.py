"""What each KMS operation needs: its permissions, where each finds its key, and the condition keys of its request.

One row per operation. A condition key is present in the requests of the actions that AWS lists it for and in no other:
one that came from a member of the same name in another operation would let an Allow pass that AWS does not know.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html, and for the row of an
operation its page https://docs.aws.amazon.com/kms/latest/APIReference/API_<operation>.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from kms_patterns.local.server.kms.kms_call import Request


class On(Enum):
    """The resource that a permission is asked for on."""

    KEY = "a KMS key"
    ALIAS = "an alias"
    NEW_KEY = "a KMS key that the request creates: every key of the account"
    NOTHING = "no resource: only a statement for all resources allows it"


@dataclass(frozen=True)
class Permission:
    """A permission that an operation needs.

    Args:
        action: In policies, such as ``kms:ReEncryptFrom``.
        on: The kind of resource.
        member: The member that names the key or alias.
        aliases: Whether that member may be an alias; the condition key kms:RequestAlias exists if so.
        keys: Condition keys by the member of the request that gives their value.
        context: The member with the encryption context; None if the action knows none.
        in_ciphertext: Whether the ciphertext names the key if the member does not.
        only_with: The member without which the permission is not needed.
        region: The member that names the Region in which it is needed, if another than the request's.
    """

    action: str
    on: On = On.KEY
    member: str = "KeyId"
    aliases: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    context: str | None = None
    in_ciphertext: bool = False
    only_with: str | None = None
    region: str | None = None


# Values that a condition key has when its member is absent: the default of the member.
# AWS: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
DEFAULTS: Mapping[str, object] = {
    "kms:BypassPolicyLockoutSafetyCheck": False,
    "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    "kms:ExpirationModel": "KEY_MATERIAL_EXPIRES",
    "kms:MessageType": "RAW",
    "kms:RotationPeriodInDays": 365,
    "kms:ScheduleKeyDeletionPendingWindowInDays": 30,
}
_ALGORITHM = {"kms:EncryptionAlgorithm": "EncryptionAlgorithm"}
_PAIR = {"kms:DataKeyPairSpec": "KeyPairSpec"}
_SIGNING = {"kms:SigningAlgorithm": "SigningAlgorithm", "kms:MessageType": "MessageType"}
_MAC = {"kms:MacAlgorithm": "MacAlgorithm"}
_BYPASS = {"kms:BypassPolicyLockoutSafetyCheck": "BypassPolicyLockoutSafetyCheck"}
_GRANT = {
    "kms:GranteePrincipal": "GranteePrincipal",
    "kms:GranteeServicePrincipal": "GranteeServicePrincipal",
    "kms:GrantOperations": "Operations",
    "kms:RetiringPrincipal": "RetiringPrincipal",
    "kms:RetiringServicePrincipal": "RetiringServicePrincipal",
}


def _key(operation: str, *, member: str = "KeyId", keys: Mapping[str, str] | None = None) -> Permission:
    return Permission(f"kms:{operation}", member=member, keys=keys or {})


def _use(
    operation: str, keys: Mapping[str, str], *, context: str | None = None, member: str = "KeyId", blob: bool = False
) -> Permission:
    return Permission(f"kms:{operation}", member=member, aliases=True, keys=keys, context=context, in_ciphertext=blob)


def _unnamed(operation: str) -> tuple[Permission, ...]:
    return (Permission(f"kms:{operation}", On.NOTHING),)


def _alias(operation: str) -> Permission:
    return Permission(f"kms:{operation}", On.ALIAS, "AliasName")


_CONTEXT = "EncryptionContext"
_TAGGED = Permission("kms:TagResource", On.NEW_KEY, only_with="Tags")
# AWS: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-auth-slr.html
_LINKED = Permission("iam:CreateServiceLinkedRole", On.NOTHING, only_with="MultiRegion")
_CREATE = Permission("kms:CreateKey", On.NOTHING, keys=_BYPASS)

PERMISSIONS: Mapping[str, tuple[Permission, ...]] = {
    **{name: (_key(name),) for name in (
        "CancelKeyDeletion", "DeleteImportedKeyMaterial", "DisableKey", "DisableKeyRotation", "EnableKey",
        "GetKeyLastUsage", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListKeyPolicies", "ListKeyRotations",
        "ListResourceTags", "RetireGrant", "RevokeGrant", "RotateKeyOnDemand", "TagResource", "UntagResource",
        "UpdateKeyDescription",
    )},
    **{name: _unnamed(name) for name in (
        "ConnectCustomKeyStore", "CreateCustomKeyStore", "DeleteCustomKeyStore", "DescribeCustomKeyStores",
        "DisconnectCustomKeyStore", "GenerateRandom", "ListAliases", "ListKeys", "ListRetirableGrants",
        "UpdateCustomKeyStore",
    )},
    "CreateAlias": (_alias("CreateAlias"), _key("CreateAlias", member="TargetKeyId")),
    "DeleteAlias": (_alias("DeleteAlias"), _key("DeleteAlias", member="AliasName")),
    "UpdateAlias": (
        _alias("UpdateAlias"), _key("UpdateAlias", member="AliasName"), _key("UpdateAlias", member="TargetKeyId"),
    ),
    "CreateGrant": (_key("CreateGrant", keys=_GRANT),),
    "CreateKey": (_CREATE, _TAGGED, _LINKED),
    "ReplicateKey": (
        _key("ReplicateKey", keys={"kms:ReplicaRegion": "ReplicaRegion"}),
        Permission("kms:CreateKey", On.NOTHING, keys=_BYPASS, region="ReplicaRegion"),
        Permission("kms:TagResource", On.NEW_KEY, only_with="Tags", region="ReplicaRegion"),
    ),
    "UpdatePrimaryRegion": (
        _key("UpdatePrimaryRegion", keys={"kms:PrimaryRegion": "PrimaryRegion"}),
        Permission("kms:UpdatePrimaryRegion", keys={"kms:PrimaryRegion": "PrimaryRegion"}, region="PrimaryRegion"),
    ),
    "PutKeyPolicy": (_key("PutKeyPolicy", keys=_BYPASS),),
    "EnableKeyRotation": (_key("EnableKeyRotation", keys={"kms:RotationPeriodInDays": "RotationPeriodInDays"}),),
    "ScheduleKeyDeletion": (
        _key("ScheduleKeyDeletion", keys={"kms:ScheduleKeyDeletionPendingWindowInDays": "PendingWindowInDays"}),
    ),
    "GetParametersForImport": (
        _key("GetParametersForImport", keys={
            "kms:WrappingAlgorithm": "WrappingAlgorithm", "kms:WrappingKeySpec": "WrappingKeySpec",
        }),
    ),
    "ImportKeyMaterial": (
        _key("ImportKeyMaterial", keys={"kms:ExpirationModel": "ExpirationModel", "kms:ValidTo": "ValidTo"}),
    ),
    "DescribeKey": (_use("DescribeKey", {}),),
    "GetPublicKey": (_use("GetPublicKey", {}),),
    "Encrypt": (_use("Encrypt", _ALGORITHM, context=_CONTEXT),),
    "Decrypt": (_use("Decrypt", _ALGORITHM, context=_CONTEXT, blob=True),),
    "ReEncrypt": (
        _use(
            "ReEncryptFrom", {"kms:EncryptionAlgorithm": "SourceEncryptionAlgorithm"},
            context="SourceEncryptionContext", member="SourceKeyId", blob=True,
        ),
        _use(
            "ReEncryptTo", {"kms:EncryptionAlgorithm": "DestinationEncryptionAlgorithm"},
            context="DestinationEncryptionContext", member="DestinationKeyId",
        ),
    ),
    **{name: (_use(name, keys, context=_CONTEXT),) for name, keys in {
        "GenerateDataKey": _ALGORITHM, "GenerateDataKeyWithoutPlaintext": _ALGORITHM,
        "GenerateDataKeyPair": _ALGORITHM | _PAIR, "GenerateDataKeyPairWithoutPlaintext": _ALGORITHM | _PAIR,
    }.items()},
    "Sign": (_use("Sign", _SIGNING),),
    "Verify": (_use("Verify", _SIGNING),),
    "GenerateMac": (_use("GenerateMac", _MAC),),
    "VerifyMac": (_use("VerifyMac", _MAC),),
    **{name: (_use(name, {"kms:EncapsulationAlgorithm": "EncapsulationAlgorithm"}),) for name in (
        "Encapsulate", "Decapsulate",
    )},
    "DeriveSharedSecret": (_use("DeriveSharedSecret", {"kms:KeyAgreementAlgorithm": "KeyAgreementAlgorithm"}),),
}  # fmt: skip


def permissions_of(operation: str, request: Request) -> list[Permission]:
    """Return the permissions that a request needs, in the order in which they are checked."""
    return [it for it in PERMISSIONS[operation] if it.only_with is None or request.get(it.only_with)]
