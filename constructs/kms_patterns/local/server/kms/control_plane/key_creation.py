"""CreateKey and ReplicateKey: which specs serve which usages, replicas, and custom key stores, which are refused.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_patterns.local.server.authorization.caller import bound_ids
from kms_patterns.local.server.emulator.emulator import KMS, RESPONSES, reach
from kms_patterns.local.server.kms.control_plane.aliases import check_tags
from kms_patterns.local.server.kms.control_plane.imported_material import members, wait_for_import
from kms_patterns.local.server.kms.key_records import KeyRecord, find_key
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response, invalid, unsupported

Create = Callable[[Mapping[str, Any]], Response]

_ENCRYPT, _SIGN, _MAC, _AGREE = "ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"
_ENCAPSULATE = "ENCAPSULATE_DECAPSULATE"
USAGES: Mapping[str, tuple[str, ...]] = {
    "SYMMETRIC_DEFAULT": (_ENCRYPT,),
    **{f"RSA_{bits}": (_ENCRYPT, _SIGN) for bits in (2048, 3072, 4096)},
    **{f"ECC_NIST_P{bits}": (_SIGN, _AGREE) for bits in (256, 384, 521)},
    "ECC_SECG_P256K1": (_SIGN,),
    "ECC_NIST_EDWARDS25519": (_SIGN,),
    **{f"ML_DSA_{level}": (_SIGN,) for level in (44, 65, 87)},
    # cryptography has no ML-KEM-512.
    **{f"ML_KEM_{level}": (_ENCAPSULATE,) for level in (768, 1024)},
    **{f"HMAC_{bits}": (_MAC,) for bits in (224, 256, 384, 512)},
}
_LATTICE: Mapping[str, Any] = {
    "ML_DSA_44": mldsa.MLDSA44PrivateKey,
    "ML_DSA_65": mldsa.MLDSA65PrivateKey,
    "ML_DSA_87": mldsa.MLDSA87PrivateKey,
    "ML_KEM_768": mlkem.MLKEM768PrivateKey,
    "ML_KEM_1024": mlkem.MLKEM1024PrivateKey,
}
_ADDED_LISTS = ("KeyAgreementAlgorithms", "EncapsulationAlgorithms")
# Made by the emulator and given other material.
_STAND_IN = "ECC_NIST_EDWARDS25519"


def create_key(original: Create) -> Create:
    """Refuse what KMS refuses, and add ML-DSA, ML-KEM and key agreement; CloudFormation comes through here as well."""

    def create(data: Mapping[str, Any]) -> Response:
        try:
            spec, usage = _checked(data)
        except KmsError as refused:
            return error_response(refused)
        made = original({**data, "KeySpec": _STAND_IN if spec in _LATTICE else spec, "KeyUsage": usage})
        status, headers, body = made
        if status != HTTPStatus.OK:
            return made
        record = find_key(json.loads(body)["KeyMetadata"]["KeyId"])
        assert record is not None, "the key was created above"  # noqa: S101
        bound_ids(record)
        if usage != _AGREE and spec not in _LATTICE:
            return made
        _amend(record, spec, usage)
        return status, headers, json.dumps({"KeyMetadata": reach(KMS, "_key_metadata")(record)}).encode()

    return create


def key_metadata(original: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Name the algorithms of a key's usage, and no empty lists of others."""

    def metadata(record: Mapping[str, Any]) -> dict[str, Any]:
        found = original(record)
        found["AWSAccountId"] = record["Arn"].split(":")[4]
        found |= {name: record[name] for name in _ADDED_LISTS if record.get(name)}
        if record.get("_managed"):
            found["KeyManager"] = "AWS"
        if record.get("_last_material_id"):
            found.setdefault("CurrentKeyMaterialId", record["_last_material_id"])
        if record["KeyState"] == "PendingReplicaDeletion":
            # Its date is known only once the last replica is gone.
            found.pop("DeletionDate", None)
        return {name: value for name, value in found.items() if value != [] or not name.endswith("Algorithms")}

    return metadata


def _checked(data: Mapping[str, Any]) -> tuple[str, str]:
    if data.get("KeySpec") and data.get("CustomerMasterKeySpec"):
        raise invalid("You cannot specify KeySpec and CustomerMasterKeySpec in the same request.")
    _check_origin(data)
    spec = data.get("KeySpec") or data.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    if spec not in USAGES:
        raise unsupported(f"The embedded AWS does not make {spec} keys.")
    usage = data.get("KeyUsage") or (_ENCRYPT if spec == "SYMMETRIC_DEFAULT" else None)
    if usage is None:
        raise invalid("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
    if usage not in USAGES[spec]:
        raise invalid(f"KeyUsage {usage} is not compatible with KeySpec {spec}")
    if spec in _LATTICE and data.get("Origin", "AWS_KMS") != "AWS_KMS":
        raise unsupported(f"Importing {spec} keys is not supported.")
    return str(spec), str(usage)


def _check_origin(data: Mapping[str, Any]) -> None:
    origin = data.get("Origin") or "AWS_KMS"
    if data.get("CustomKeyStoreId"):
        raise no_key_store(data["CustomKeyStoreId"])
    if origin not in {"AWS_KMS", "EXTERNAL"} or data.get("XksKeyId"):
        raise invalid(f"A key of origin {origin} needs a CustomKeyStoreId; the embedded AWS has no custom key stores.")


def _amend(record: dict[str, Any], spec: str, usage: str) -> None:
    if usage == _AGREE:
        record |= {"SigningAlgorithms": [], "KeyAgreementAlgorithms": ["ECDH"]}
        return
    private_key = _LATTICE[spec].generate()
    algorithms = (
        {"SigningAlgorithms": [], "EncapsulationAlgorithms": ["ML_KEM"]}
        if usage == _ENCAPSULATE
        else {"SigningAlgorithms": ["ML_DSA_SHAKE_256"]}
    )
    record |= {
        "KeySpec": spec,
        **algorithms,
        "_private_key": private_key,
        "_public_key_der": private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    }


def no_key_store(name: str) -> KmsError:
    """Return the refusal of a custom key store by its id or name."""
    return KmsError("CustomKeyStoreNotFoundException", f"Custom key store {name} does not exist")


def describe_custom_key_stores(request: Request) -> ResponseMembers:
    """Return the response to DescribeCustomKeyStores."""
    named = request.get("CustomKeyStoreId") or request.get("CustomKeyStoreName")
    if named:
        raise no_key_store(named)
    return {"CustomKeyStores": [], "Truncated": False}


def create_custom_key_store(_request: Request) -> ResponseMembers:
    """Refuse CreateCustomKeyStore."""
    raise unsupported("The embedded AWS has no custom key stores.")


def use_custom_key_store(request: Request) -> ResponseMembers:
    """Refuse any other operation on a custom key store."""
    raise no_key_store(request["CustomKeyStoreId"])


def replicate_key(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ReplicateKey; the replica is usable at once, where AWS's is Creating for minutes."""
    check_tags(request)
    _require_primary(record)
    _require_enabled(record)
    _require_region(request["ReplicaRegion"])
    if request["ReplicaRegion"] in record["_mrk_regions"]:
        raise KmsError("AlreadyExistsException", f"{record['Arn']} exists in {request['ReplicaRegion']}.")
    _status, _headers, body = reach(KMS, "_replicate_key")(dict(request))
    response: ResponseMembers = json.loads(body)
    if record["Origin"] == "EXTERNAL":
        wait_for_import(members(record)[-1])
    response["ReplicaKeyMetadata"] |= {"KeyState": "Creating", "Enabled": False}
    if not response["ReplicaTags"]:
        del response["ReplicaTags"]
    return response


def update_primary_region(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to UpdatePrimaryRegion: the replica of that Region and the primary change places."""
    _require_primary(record)
    region = request["PrimaryRegion"]
    if region == record["_mrk_primary_region"] or region not in record["_mrk_regions"]:
        raise unsupported(f"{record['Arn']} has no replica in {region}.")
    for _region, member in reach(KMS, "_mrk_members")(record):
        if member is record or _region == region:
            _require_enabled(member)
    for member_region, member in reach(KMS, "_mrk_members")(record):
        member |= {"_mrk_primary_region": region, "_mrk_type": "PRIMARY" if member_region == region else "REPLICA"}
    return {}


def _require_primary(record: KeyRecord) -> None:
    if record.get("_mrk_type") != "PRIMARY" or record["_mrk_primary_region"] != reach(RESPONSES, "get_region")():
        raise unsupported(f"{record['Arn']} is not a multi-region primary key.")


def _require_enabled(record: KeyRecord) -> None:
    if record["KeyState"] == "Disabled":
        raise KmsError("DisabledException", f"{record['Arn']} is disabled.")


def _require_region(region: str) -> None:
    # A Region that does not exist would hold a key that nothing can reach.
    if region not in _regions():
        raise invalid(f"{region} is not a Region of this partition with AWS KMS.")


@cache
def _regions() -> frozenset[str]:
    # Imported only here: the session with all that it brings would be a third of the server's start.
    from botocore.session import get_session  # noqa: PLC0415

    return frozenset(get_session().get_available_regions("kms"))
