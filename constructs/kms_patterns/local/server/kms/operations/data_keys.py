"""GenerateDataKey, GenerateDataKeyPair and their forms without plaintext.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
"""

import os

from kms_patterns.local.server.emulator.emulator import KMS, reach
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
