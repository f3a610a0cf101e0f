"""GenerateMac and VerifyMac.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateMac.html
"""

import hmac
from collections.abc import Mapping

from kms_patterns.local.server.kms.keys import KeyRecord, require_usable, require_usage
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.members import Request, ResponseMembers, blob_member, stop_dry_run, to_base64

_DIGESTS: Mapping[str, str] = {f"HMAC_SHA_{bits}": f"sha{bits}" for bits in (224, 256, 384, 512)}


def generate_mac(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to GenerateMac."""
    algorithm, mac = _computed(record, request, "GenerateMac")
    stop_dry_run(request)
    return {"KeyId": record["Arn"], "Mac": to_base64(mac), "MacAlgorithm": algorithm}


def verify_mac(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to VerifyMac."""
    given = blob_member(request, "Mac")
    algorithm, mac = _computed(record, request, "VerifyMac")
    if not hmac.compare_digest(mac, given):
        raise KmsError("KMSInvalidMacException", "")
    stop_dry_run(request)
    return {"KeyId": record["Arn"], "MacValid": True, "MacAlgorithm": algorithm}


def _computed(record: KeyRecord, request: Request, operation: str) -> tuple[str, bytes]:
    message = blob_member(request, "Message")
    algorithm: str = request["MacAlgorithm"]
    require_usage(record, operation, "GENERATE_VERIFY_MAC")
    if algorithm not in record["MacAlgorithms"]:
        message_ = f"Algorithm {algorithm} is incompatible with key spec {record['KeySpec']}."
        raise KmsError("InvalidKeyUsageException", message_)
    require_usable(record)
    return algorithm, hmac.new(record["_hmac_key"], message, _DIGESTS[algorithm]).digest()
