"""GetPublicKey, and DeriveSharedSecret with another's public key.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_DeriveSharedSecret.html
"""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_patterns.local.server.kms.keys import KeyRecord, require_usable, require_usage
from kms_patterns.local.server.kms.kms_errors import invalid, unsupported
from kms_patterns.local.server.kms.members import (
    Request,
    ResponseMembers,
    blob_member,
    refuse_unsupported,
    stop_dry_run,
    to_base64,
)

_ALGORITHM_LISTS = ("EncryptionAlgorithms", "SigningAlgorithms", "KeyAgreementAlgorithms")


def get_public_key(record: KeyRecord, _request: Request) -> ResponseMembers:
    """Return the response to GetPublicKey."""
    if record["KeySpec"] == "SYMMETRIC_DEFAULT" or record["KeySpec"].startswith("HMAC"):
        raise unsupported(f"{record['Arn']} has no public key.")
    require_usable(record)
    lists = {name: record[name] for name in _ALGORITHM_LISTS if record.get(name)}
    return lists | {
        "KeyId": record["Arn"],
        "KeyUsage": record["KeyUsage"],
        "KeySpec": record["KeySpec"],
        "CustomerMasterKeySpec": record["KeySpec"],
        "PublicKey": to_base64(record["_public_key_der"]),
    }


def derive_shared_secret(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to DeriveSharedSecret: ECDH, the raw x-coordinate."""
    refuse_unsupported(request)
    public_key = blob_member(request, "PublicKey")
    require_usage(record, "DeriveSharedSecret", "KEY_AGREEMENT")
    require_usable(record)
    secret = _shared(record["_private_key"], public_key)
    stop_dry_run(request)
    return {
        "KeyId": record["Arn"],
        "SharedSecret": to_base64(secret),
        "KeyAgreementAlgorithm": "ECDH",
        "KeyOrigin": record["Origin"],
    }


def _shared(private_key: ec.EllipticCurvePrivateKey, public_key: bytes) -> bytes:
    try:
        other = load_der_public_key(public_key)
        if not isinstance(other, ec.EllipticCurvePublicKey):
            raise invalid("")
        return private_key.exchange(ec.ECDH(), other)
    except ValueError as refused:
        # AWS gives no reason: not a key, not of an elliptic curve, or not on the curve of the KMS key.
        raise invalid("") from refused
