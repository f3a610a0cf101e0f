"""ReplicateKey and UpdatePrimaryRegion.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
"""

import json
from functools import cache

from kms_patterns.local.server.emulator.emulator import KMS, RESPONSES, reach
from kms_patterns.local.server.kms.control_plane.tags import check_tags
from kms_patterns.local.server.kms.keys import KeyRecord
from kms_patterns.local.server.kms.kms_errors import KmsError, invalid, unsupported
from kms_patterns.local.server.kms.members import Request, ResponseMembers


def replicate_key(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to ReplicateKey; the replica is usable at once, where AWS's is Creating for minutes."""
    check_tags(request)
    _require_primary(record)
    _require_region(request["ReplicaRegion"])
    if request["ReplicaRegion"] in record["_mrk_regions"]:
        raise KmsError("AlreadyExistsException", f"{record['Arn']} exists in {request['ReplicaRegion']}.")
    _status, _headers, body = reach(KMS, "_replicate_key")(dict(request))
    response: ResponseMembers = json.loads(body)
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
    for member_region, member in reach(KMS, "_mrk_members")(record):
        member |= {"_mrk_primary_region": region, "_mrk_type": "PRIMARY" if member_region == region else "REPLICA"}
    return {}


def _require_primary(record: KeyRecord) -> None:
    if record.get("_mrk_type") != "PRIMARY" or record["_mrk_primary_region"] != reach(RESPONSES, "get_region")():
        raise unsupported(f"{record['Arn']} is not a multi-region primary key.")


def _require_region(region: str) -> None:
    # A Region that does not exist would hold a key that nothing can reach.
    if region not in _regions():
        raise invalid(f"{region} is not a Region of this partition with AWS KMS.")


@cache
def _regions() -> frozenset[str]:
    # Imported only here: the session with all that it brings would be a third of the server's start.
    from botocore.session import get_session  # noqa: PLC0415

    return frozenset(get_session().get_available_regions("kms"))
