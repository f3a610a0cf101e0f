"""GenerateDataKey, GenerateDataKeyPair and their forms without plaintext.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
"""

import os

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.keys import KeyRecord, material_id, require_usable, require_usage, seal
from kms_patterns.local.server.kms.kms_errors import constraint, invalid
from kms_patterns.local.server.kms.members import (
    Answer,
    Request,
    encryption_context,
    refuse_recipient,
    stop_dry_run,
    to_base64,
)

MAX_DATA_KEY = 1024
_SPEC_BYTES = {"AES_128": 16, "AES_256": 32}


def generate_data_key(record: KeyRecord, request: Request) -> Answer:
    """Answer GenerateDataKey: AES_128, AES_256, or 1 to 1024 bytes."""
    refuse_recipient(request)
    answer, data_key = _data_key(record, request, "GenerateDataKey")
    return answer | {"Plaintext": to_base64(data_key)}


def generate_data_key_without_plaintext(record: KeyRecord, request: Request) -> Answer:
    """Answer GenerateDataKeyWithoutPlaintext."""
    return _data_key(record, request, "GenerateDataKeyWithoutPlaintext")[0]


def generate_data_key_pair(record: KeyRecord, request: Request) -> Answer:
    """Answer GenerateDataKeyPair: the pair is the emulator's, its private key is sealed by us."""
    refuse_recipient(request)
    answer, private_key = _data_key_pair(record, request, "GenerateDataKeyPair")
    return answer | {"PrivateKeyPlaintext": to_base64(private_key)}


def generate_data_key_pair_without_plaintext(record: KeyRecord, request: Request) -> Answer:
    """Answer GenerateDataKeyPairWithoutPlaintext."""
    return _data_key_pair(record, request, "GenerateDataKeyPairWithoutPlaintext")[0]


def _data_key(record: KeyRecord, request: Request, operation: str) -> tuple[Answer, bytes]:
    require_usage(record, operation, "ENCRYPT_DECRYPT", symmetric=True)
    data_key = os.urandom(_data_key_length(request))
    require_usable(record)
    stop_dry_run(request)
    sealed = seal(record, data_key, encryption_context(request))
    answer = {"KeyId": record["Arn"], "CiphertextBlob": to_base64(sealed), "KeyMaterialId": material_id(record)}
    return answer, data_key


def _data_key_length(request: Request) -> int:
    spec, length = request.get("KeySpec"), request.get("NumberOfBytes")
    if (spec is None) == (length is None):
        raise invalid("Please specify either number of bytes or key spec.")
    if spec is not None:
        if spec not in _SPEC_BYTES:
            raise constraint("keySpec", f"satisfy enum value set: {sorted(_SPEC_BYTES)}")
        return _SPEC_BYTES[spec]
    if not isinstance(length, int) or length < 1:
        raise constraint("numberOfBytes", "have value greater than or equal to 1")
    if length > MAX_DATA_KEY:
        raise constraint("numberOfBytes", f"have value less than or equal to {MAX_DATA_KEY}")
    return length


def _data_key_pair(record: KeyRecord, request: Request, operation: str) -> tuple[Answer, bytes]:
    require_usage(record, operation, "ENCRYPT_DECRYPT", symmetric=True)
    require_usable(record)
    payload, private_key, refusal = reach(KMS, "_generate_data_key_pair_common")(dict(request), operation)
    if refusal is not None:
        raise constraint("keyPairSpec", "satisfy the enum value set of the AWS API reference")
    stop_dry_run(request)
    sealed = seal(record, private_key, encryption_context(request))
    return payload | {"PrivateKeyCiphertextBlob": to_base64(sealed)}, private_key
