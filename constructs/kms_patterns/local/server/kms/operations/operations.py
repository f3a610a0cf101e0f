"""Which operations are ours to execute; all others, and those that return None, go to the emulator."""

from collections.abc import Callable, Mapping

from kms_patterns.local.server.kms.control_plane import (
    aliases,
    grant_requests,
    imported_material,
    key_creation,
    key_policies,
    key_states,
    listing,
    rotation,
    tags,
)
from kms_patterns.local.server.kms.key_records import KeyRecord
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.operations import data_keys, data_plane, public_keys

re_encrypt = data_plane.re_encrypt

DATA_PLANE: Mapping[str, Callable[[KeyRecord, Request], ResponseMembers]] = {
    "Encrypt": data_plane.encrypt,
    "Decrypt": data_plane.decrypt,
    "GenerateDataKey": data_keys.generate_data_key,
    "GenerateDataKeyWithoutPlaintext": data_keys.generate_data_key_without_plaintext,
    "GenerateDataKeyPair": data_keys.generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": data_keys.generate_data_key_pair_without_plaintext,
    "Sign": public_keys.sign,
    "Verify": public_keys.verify,
    "GenerateMac": data_plane.generate_mac,
    "VerifyMac": data_plane.verify_mac,
    "DeriveSharedSecret": public_keys.derive_shared_secret,
    "Encapsulate": public_keys.encapsulate,
    "Decapsulate": public_keys.decapsulate,
}
"""Cryptographic operations with one key."""

ON_KEYS: Mapping[str, Callable[[KeyRecord, Request], ResponseMembers | None]] = {
    **DATA_PLANE,
    "GetPublicKey": public_keys.get_public_key,
    "EnableKeyRotation": rotation.enable_key_rotation,
    "DisableKeyRotation": rotation.disable_key_rotation,
    "GetKeyRotationStatus": rotation.get_key_rotation_status,
    "RotateKeyOnDemand": rotation.rotate_key_on_demand,
    "ListKeyRotations": rotation.list_key_rotations,
    "GetParametersForImport": imported_material.check_parameters,
    "ImportKeyMaterial": imported_material.import_key_material,
    "DeleteImportedKeyMaterial": imported_material.delete_imported_key_material,
    "CreateGrant": grant_requests.create_grant,
    "ListGrants": grant_requests.list_grants,
    "RevokeGrant": grant_requests.revoke_grant,
    "RetireGrant": grant_requests.retire_grant,
    "PutKeyPolicy": key_policies.put_key_policy,
    "ScheduleKeyDeletion": key_states.schedule_key_deletion,
    "ListKeyPolicies": listing.list_key_policies,
    "ListResourceTags": listing.list_resource_tags,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "ReplicateKey": key_creation.replicate_key,
    "UpdatePrimaryRegion": key_creation.update_primary_region,
    "GetKeyLastUsage": key_states.get_key_last_usage,
}
"""Operations with the key of their first permission."""

ON_ACCOUNT: Mapping[str, Callable[[Request], ResponseMembers | None]] = {
    "CreateKey": tags.check_tags,
    "ListKeys": listing.list_keys,
    "ListAliases": aliases.list_aliases,
    "CreateAlias": aliases.create_alias,
    "DeleteAlias": aliases.delete_alias,
    "UpdateAlias": aliases.update_alias,
    "ListRetirableGrants": grant_requests.list_retirable_grants,
    "CreateCustomKeyStore": key_creation.create_custom_key_store,
    "DescribeCustomKeyStores": key_creation.describe_custom_key_stores,
    **dict.fromkeys(
        ("ConnectCustomKeyStore", "DeleteCustomKeyStore", "DisconnectCustomKeyStore", "UpdateCustomKeyStore"),
        key_creation.use_custom_key_store,
    ),
}
"""Operations without a key, and those on aliases."""
