"""Asymmetric keys: GetPublicKey, Sign, Verify, DeriveSharedSecret with another's public key, and ML-KEM.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_DeriveSharedSecret.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_patterns.local.server.kms.key_records import KeyRecord, require_usable, require_usage
from kms_patterns.local.server.kms.kms_call import (
    Request,
    ResponseMembers,
    blob_member,
    refuse_unsupported,
    stop_dry_run,
    to_base64,
)
from kms_patterns.local.server.kms.kms_errors import KmsError, invalid, invalid_ciphertext, unsupported
from kms_patterns.local.server.kms.operations import ed25519ph

_ALGORITHM_LISTS = (
    "EncryptionAlgorithms", "SigningAlgorithms", "KeyAgreementAlgorithms", "EncapsulationAlgorithms",
)  # fmt: skip
_ENCAPSULATE = "ENCAPSULATE_DECAPSULATE"


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


def encapsulate(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to Encapsulate: 32 bytes, and their ciphertext.

    AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encapsulate.html
    """
    require_usage(record, "Encapsulate", _ENCAPSULATE)
    require_usable(record)
    stop_dry_run(request)
    secret, ciphertext = record["_private_key"].public_key().encapsulate()
    return _encapsulated(record, secret) | {"SharedSecretCiphertextBlob": to_base64(ciphertext)}


def decapsulate(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to Decapsulate: for any ciphertext of the right length 32 bytes, pseudo-random if foreign.

    AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_Decapsulate.html
    """
    ciphertext = blob_member(request, "SharedSecretCiphertextBlob")
    require_usage(record, "Decapsulate", _ENCAPSULATE)
    require_usable(record)
    try:
        secret = record["_private_key"].decapsulate(ciphertext)
    except ValueError as wrong_length:
        raise invalid_ciphertext() from wrong_length
    stop_dry_run(request)
    return _encapsulated(record, secret)


def _encapsulated(record: KeyRecord, secret: bytes) -> ResponseMembers:
    return {"KeyId": record["Arn"], "SharedSecret": to_base64(secret), "EncapsulationAlgorithm": "ML_KEM"}


def _shared(private_key: ec.EllipticCurvePrivateKey, public_key: bytes) -> bytes:
    try:
        other = load_der_public_key(public_key)
        if not isinstance(other, ec.EllipticCurvePublicKey):
            raise invalid("")
        return private_key.exchange(ec.ECDH(), other)
    except ValueError as refused:
        # AWS gives no reason: not a key, not of an elliptic curve, or not on the curve of the KMS key.
        raise invalid("") from refused


MU_BYTES = 64
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
# The one message type of an algorithm; the rest take RAW and DIGEST.
_ONLY = {"ED25519_SHA_512": ("RAW",), "ED25519_PH_SHA_512": ("DIGEST",), "ML_DSA_SHAKE_256": ("RAW", "EXTERNAL_MU")}

Signer = Callable[[bytes], bytes]
Verifier = Callable[[bytes, bytes], None]


def sign(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to Sign."""
    algorithm, kind, message = _checked(record, request, "Sign")
    stop_dry_run(request)
    signature = _pair(record["_private_key"], algorithm, kind)[0](message)
    return {"KeyId": record["Arn"], "Signature": to_base64(signature), "SigningAlgorithm": algorithm}


def verify(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to Verify, which never says that a signature is invalid: it refuses."""
    signature = blob_member(request, "Signature")
    algorithm, kind, message = _checked(record, request, "Verify")
    try:
        _pair(record["_private_key"], algorithm, kind)[1](signature, message)
    except InvalidSignature as refused:
        raise KmsError("KMSInvalidSignatureException", "") from refused
    stop_dry_run(request)
    return {"KeyId": record["Arn"], "SignatureValid": True, "SigningAlgorithm": algorithm}


def _checked(record: KeyRecord, request: Request, operation: str) -> tuple[str, str, bytes]:
    message = blob_member(request, "Message")
    algorithm, kind = request["SigningAlgorithm"], request.get("MessageType", "RAW")
    require_usage(record, operation, "SIGN_VERIFY")
    if algorithm not in record["SigningAlgorithms"]:
        message_ = f"Algorithm {algorithm} is incompatible with key spec {record['KeySpec']}."
        raise KmsError("InvalidKeyUsageException", message_)
    require_usable(record)
    if kind not in _ONLY.get(algorithm, ("RAW", "DIGEST")):
        raise invalid(f"MessageType {kind} is incompatible with signing algorithm {algorithm}.")
    needed = MU_BYTES if kind == "EXTERNAL_MU" else _digest_bytes(algorithm)
    if kind != "RAW" and len(message) != needed:
        raise invalid(f"Digest is invalid length for algorithm {algorithm}.")
    return algorithm, kind, message


def _digest_bytes(algorithm: str) -> int:
    return _HASHES[algorithm.rsplit("_", 1)[1]].digest_size


def _pair(key: Any, algorithm: str, kind: str) -> tuple[Signer, Verifier]:
    public = key.public_key()
    if algorithm == "ED25519_PH_SHA_512":
        return (lambda digest: ed25519ph.sign(key, digest)), lambda mac, digest: ed25519ph.verify(public, mac, digest)
    if kind == "EXTERNAL_MU":
        return key.sign_mu, public.verify_mu
    if algorithm in _ONLY:
        return key.sign, public.verify
    digest = _HASHES[algorithm.rsplit("_", 1)[1]]
    hashing = utils.Prehashed(digest) if kind == "DIGEST" else digest
    if algorithm.startswith("ECDSA"):
        scheme = ec.ECDSA(hashing)
        return (lambda message: key.sign(message, scheme)), lambda mac, message: public.verify(mac, message, scheme)
    padding: AsymmetricPadding = PKCS1v15()
    if algorithm.startswith("RSASSA_PSS"):
        padding = PSS(mgf=MGF1(digest), salt_length=digest.digest_size)
    return (lambda message: key.sign(message, padding, hashing)), lambda mac, message: public.verify(
        mac, message, padding, hashing
    )
