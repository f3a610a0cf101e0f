"""CreateGrant, ListGrants, ListRetirableGrants, RetireGrant and RevokeGrant.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
"""

import base64
import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from kms_patterns.local.server.authorization.caller import principal_exists, unique_id
from kms_patterns.local.server.emulator.emulator import KMS, RESPONSES, reach
from kms_patterns.local.server.faults import is_new_role
from kms_patterns.local.server.kms.control_plane.listing import GRANTS, page
from kms_patterns.local.server.kms.grants import Grant, grant_of
from kms_patterns.local.server.kms.key_records import SYMMETRIC, KeyRecord, require_usable
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers, stop_dry_run
from kms_patterns.local.server.kms.kms_errors import KmsError, invalid

MOST_PAIRS, LONGEST_TEXT = 8, 384
_ALWAYS = frozenset({"CreateGrant", "RetireGrant", "DescribeKey"})
_OF_USAGE: Mapping[str, frozenset[str]] = {
    "ENCRYPT_DECRYPT": frozenset({"Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo"}),
    "SIGN_VERIFY": frozenset({"Sign", "Verify"}),
    "GENERATE_VERIFY_MAC": frozenset({"GenerateMac", "VerifyMac"}),
    "KEY_AGREEMENT": frozenset({"DeriveSharedSecret"}),
    "ENCAPSULATE_DECAPSULATE": frozenset({"Encapsulate", "Decapsulate"}),
}
_SYMMETRIC_ONLY = frozenset({
    "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
})  # fmt: skip
_SHOWN = (
    "KeyId", "GrantId", "Name", "CreationDate", "GranteePrincipal", "GranteeServicePrincipal", "RetiringPrincipal",
    "RetiringServicePrincipal", "IssuingAccount", "Operations", "Constraints",
)  # fmt: skip
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?")


def create_grant(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to CreateGrant; a second request of the same name and content gets the first one's grant."""
    require_usable(record)
    _check_operations(record, request["Operations"])
    _check_constraints(record, request)
    _check_principals(request)
    stop_dry_run(request)
    wanted = {name: request[name] for name in _SHOWN if request.get(name)} | {
        "KeyId": record["Arn"],
        "Name": request.get("Name", ""),
        "IssuingAccount": f"arn:aws:iam::{reach(RESPONSES, 'get_account_id')()}:root",
    }
    token = base64.urlsafe_b64encode(os.urandom(48)).decode()
    stored = reach(KMS, "_grants")
    grant = next((it for it in stored.values() if request.get("Name") and _content(it) == wanted), None)
    if grant is None:
        grant_id = hashlib.sha256(os.urandom(32)).hexdigest()
        grant = stored[grant_id] = wanted | {
            "GrantId": grant_id,
            "CreationDate": int(time.time()),
            "_tokens": [],
            "_grantee_id": unique_id(wanted.get("GranteePrincipal", "")),
            "_retiring_id": unique_id(wanted.get("RetiringPrincipal", "")),
        }
    grant["_tokens"].append(token)
    return {"GrantId": grant["GrantId"], "GrantToken": token}


def list_grants(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ListGrants."""
    wanted = {
        name: request[name] for name in ("GrantId", "GranteePrincipal", "GranteeServicePrincipal") if name in request
    }
    return _listed(request, lambda grant: grant["KeyId"] == record["Arn"] and wanted.items() <= grant.items())


def list_retirable_grants(request: Request) -> ResponseMembers:
    """Return the response to ListRetirableGrants."""
    wanted = {name: request[name] for name in ("RetiringPrincipal", "RetiringServicePrincipal") if name in request}
    if len(wanted) != 1:
        raise invalid("Specify either RetiringPrincipal or RetiringServicePrincipal.")
    return _listed(request, lambda grant: wanted.items() <= grant.items())


def revoke_grant(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to RevokeGrant."""
    return _ended(record, request)


def retire_grant(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to RetireGrant."""
    return _ended(record, request)


def check_retired(request: Request) -> None:
    """Refuse a RetireGrant that names its grant in neither or in both ways."""
    by_id = request.get("KeyId") and request.get("GrantId")
    if bool(request.get("GrantToken")) == bool(by_id):
        raise invalid("Specify either a GrantToken or both a KeyId and a GrantId.")


def _ended(record: KeyRecord, request: Request) -> ResponseMembers:
    grant = grant_of(request)
    named = request.get("KeyId")
    if grant is None or grant["KeyId"] != record["Arn"] or named not in {None, record["Arn"], record["KeyId"]}:
        raise KmsError("NotFoundException", f"Grant ID {request.get('GrantId')} not found")
    stop_dry_run(request)
    del reach(KMS, "_grants")[grant["GrantId"]]
    return {}


def _listed(request: Request, chosen: Callable[[Grant], bool]) -> ResponseMembers:
    found = [(grant["GrantId"], _shown(grant)) for grant in reach(KMS, "_grants").values() if chosen(grant)]
    return page(request, "Grants", found, GRANTS)


def _shown(grant: Grant) -> dict[str, Any]:
    return {name: grant[name] for name in _SHOWN if grant.get(name) is not None}


def _content(grant: Grant) -> dict[str, Any]:
    shown = _shown(grant)
    return {name: value for name, value in shown.items() if name not in {"GrantId", "CreationDate"}}


def _check_principals(request: Request) -> None:
    grantee, service = request.get("GranteePrincipal"), request.get("GranteeServicePrincipal")
    if bool(grantee) == bool(service):
        raise invalid("Specify either GranteePrincipal or GranteeServicePrincipal.")
    retiring = [request.get("RetiringPrincipal"), request.get("RetiringServicePrincipal")]
    if service and not (any(retiring) and (request.get("Constraints") or {}).get("SourceArn")):
        raise invalid("A grant to a service principal needs the constraint SourceArn and a retiring principal.")
    for arn in (grantee, retiring[0]):
        if arn and not _SERVICE.fullmatch(arn) and (not principal_exists(arn) or is_new_role(arn)):
            raise KmsError("InvalidArnException", f"{arn} is not the ARN of a principal that exists")


def _check_operations(record: KeyRecord, operations: list[str]) -> None:
    if not operations:
        raise invalid("Operations must have at least one grant operation.")
    refused = sorted(set(operations) - _possible(record))
    if refused:
        raise invalid(f"{', '.join(refused)} is not possible with the key {record['Arn']} ({record['KeySpec']}).")


def _possible(record: KeyRecord) -> frozenset[str]:
    usage, spec = record["KeyUsage"], record["KeySpec"]
    own = _ALWAYS | _OF_USAGE[usage]
    if spec == SYMMETRIC:
        return own | _SYMMETRIC_ONLY
    return own if usage == "GENERATE_VERIFY_MAC" else own | {"GetPublicKey"}


def _check_constraints(record: KeyRecord, request: Request) -> None:
    constraints = request.get("Constraints") or {}
    contexts = [
        constraints[name] for name in ("EncryptionContextEquals", "EncryptionContextSubset") if name in constraints
    ]
    if contexts and record["KeySpec"] != SYMMETRIC:
        raise invalid(
            f"{record['Arn']} is not a symmetric encryption key, so no encryption context constrains its grants."
        )
    for context in contexts:
        if len(context) > MOST_PAIRS or any(len(text) > LONGEST_TEXT for pair in context.items() for text in pair):
            raise invalid(f"A grant constraint has at most {MOST_PAIRS} pairs of at most {LONGEST_TEXT} characters.")
