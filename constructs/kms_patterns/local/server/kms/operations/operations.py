"""Which operations are ours to execute; all others, and those that return None, go to the emulator.

Here also: GenerateDataKey, GenerateDataKeyPair and their forms without plaintext.
AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
"""

import os
from collections.abc import Callable, Mapping

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.control_plane import (
    aliases,
    grant_requests,
    imported_material,
    key_creation,
    key_states,
    listing,
    rotation,
)
from kms_patterns.local.server.kms.key_records import (
    KeyRecord,
    encrypt_under,
    material_id,
    require_usable,
    require_usage,
)
from kms_patterns.local.server.kms.kms_call import (
    Request,
    ResponseMembers,
    encryption_context,
    refuse_unsupported,
    stop_dry_run,
    to_base64,
)
from kms_patterns.local.server.kms.kms_errors import invalid, unsupported
from kms_patterns.local.server.kms.operations import data_plane, public_keys

_SPEC_BYTES = {"AES_128": 16, "AES_256": 32}


def generate_data_key(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to GenerateDataKey: AES_128, AES_256, or 1 to 1024 bytes."""
    refuse_unsupported(request)
    response, data_key = _data_key(record, request, "GenerateDataKey")
    return response | {"Plaintext": to_base64(data_key)}


def generate_data_key_without_plaintext(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to GenerateDataKeyWithoutPlaintext."""
    return _data_key(record, request, "GenerateDataKeyWithoutPlaintext")[0]


def generate_data_key_pair(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to GenerateDataKeyPair: the pair is the emulator's, its private key is encrypted by us."""
    refuse_unsupported(request)
    response, private_key = _data_key_pair(record, request, "GenerateDataKeyPair")
    return response | {"PrivateKeyPlaintext": to_base64(private_key)}


def generate_data_key_pair_without_plaintext(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to GenerateDataKeyPairWithoutPlaintext."""
    return _data_key_pair(record, request, "GenerateDataKeyPairWithoutPlaintext")[0]


def _data_key(record: KeyRecord, request: Request, operation: str) -> tuple[ResponseMembers, bytes]:
    require_usage(record, operation, "ENCRYPT_DECRYPT", symmetric=True)
    data_key = os.urandom(_data_key_length(request))
    require_usable(record)
    stop_dry_run(request)
    encrypted = encrypt_under(record, data_key, encryption_context(request))
    response = {"KeyId": record["Arn"], "CiphertextBlob": to_base64(encrypted), "KeyMaterialId": material_id(record)}
    return response, data_key


def _data_key_length(request: Request) -> int:
    spec, length = request.get("KeySpec"), request.get("NumberOfBytes")
    if (spec is None) == (length is None):
        raise invalid("Please specify either number of bytes or key spec.")
    return _SPEC_BYTES[spec] if spec is not None else int(length or 0)


def _data_key_pair(record: KeyRecord, request: Request, operation: str) -> tuple[ResponseMembers, bytes]:
    require_usage(record, operation, "ENCRYPT_DECRYPT", symmetric=True)
    require_usable(record)
    payload, private_key, refusal = reach(KMS, "_generate_data_key_pair_common")(dict(request), operation)
    if refusal is not None:
        raise unsupported(f"The embedded AWS does not make data key pairs of {request['KeyPairSpec']}.")
    stop_dry_run(request)
    encrypted = encrypt_under(record, private_key, encryption_context(request))
    return payload | {"PrivateKeyCiphertextBlob": to_base64(encrypted)}, private_key


re_encrypt = data_plane.re_encrypt

DATA_PLANE: Mapping[str, Callable[[KeyRecord, Request], ResponseMembers]] = {
    "Encrypt": data_plane.encrypt,
    "Decrypt": data_plane.decrypt,
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyWithoutPlaintext": generate_data_key_without_plaintext,
    "GenerateDataKeyPair": generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": generate_data_key_pair_without_plaintext,
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
    "PutKeyPolicy": key_states.put_key_policy,
    "ScheduleKeyDeletion": key_states.schedule_key_deletion,
    "ListKeyPolicies": listing.list_key_policies,
    "ListResourceTags": listing.list_resource_tags,
    "TagResource": aliases.tag_resource,
    "UntagResource": aliases.untag_resource,
    "ReplicateKey": key_creation.replicate_key,
    "UpdatePrimaryRegion": key_creation.update_primary_region,
    "GetKeyLastUsage": key_states.get_key_last_usage,
}
"""Operations with the key of their first permission."""

ON_ACCOUNT: Mapping[str, Callable[[Request], ResponseMembers | None]] = {
    "CreateKey": aliases.check_tags,
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
