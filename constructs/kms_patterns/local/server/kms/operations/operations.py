"""The operations on a key that are ours to execute; all others, and those that answer None, go to the emulator."""

from collections.abc import Callable, Mapping

from kms_patterns.local.server.kms.keys import KeyRecord
from kms_patterns.local.server.kms.members import Answer, Request
from kms_patterns.local.server.kms.operations import (
    data_keys,
    data_plane,
    imported_material,
    macs,
    public_keys,
    rotation,
    signatures,
)

re_encrypt = data_plane.re_encrypt

OPERATIONS: Mapping[str, Callable[[KeyRecord, Request], Answer | None]] = {
    "Encrypt": data_plane.encrypt,
    "Decrypt": data_plane.decrypt,
    "GenerateDataKey": data_keys.generate_data_key,
    "GenerateDataKeyWithoutPlaintext": data_keys.generate_data_key_without_plaintext,
    "GenerateDataKeyPair": data_keys.generate_data_key_pair,
    "GenerateDataKeyPairWithoutPlaintext": data_keys.generate_data_key_pair_without_plaintext,
    "Sign": signatures.sign,
    "Verify": signatures.verify,
    "GenerateMac": macs.generate_mac,
    "VerifyMac": macs.verify_mac,
    "GetPublicKey": public_keys.get_public_key,
    "DeriveSharedSecret": public_keys.derive_shared_secret,
    "EnableKeyRotation": rotation.enable_key_rotation,
    "DisableKeyRotation": rotation.disable_key_rotation,
    "GetKeyRotationStatus": rotation.get_key_rotation_status,
    "RotateKeyOnDemand": rotation.rotate_key_on_demand,
    "ListKeyRotations": rotation.list_key_rotations,
    "GetParametersForImport": imported_material.check_parameters,
    "ImportKeyMaterial": imported_material.check_import,
}
