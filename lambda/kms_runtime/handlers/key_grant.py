"""Creates and revokes KMS grants as a custom resource of CloudFormation, for the ``KeyGrant`` construct.

Deployed inline in the template, so it imports nothing but boto3 and stays under 4,096 characters.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

import json
import time
from typing import Any
from urllib.request import Request, urlopen

import boto3
from botocore.exceptions import ClientError

# A role that was just made is not known everywhere yet, neither as the grantee nor as this function's own.
NOT_KNOWN_YET = {"InvalidArnException", "AccessDeniedException", "DependencyTimeoutException", "KMSInternalException"}
PATIENCE = 120
"""Seconds for which a grant is tried again."""
NOTHING_CREATED = "no grant was created"


def handle(event: dict[str, Any], _context: object) -> None:
    """Create, replace or revoke the grant that ``event`` describes, and tell CloudFormation how it went."""
    physical_id = event.get("PhysicalResourceId", NOTHING_CREATED)
    outcome = {"Status": "SUCCESS", "PhysicalResourceId": physical_id}
    try:
        if event["RequestType"] == "Delete":
            _revoke(event["ResourceProperties"]["Grant"]["KeyId"], physical_id)
        else:
            grant_id = _create(event["ResourceProperties"]["Grant"])
            outcome |= {"PhysicalResourceId": grant_id, "Data": {"GrantId": grant_id}}
    except Exception as error:  # noqa: BLE001 - without a response the stack would wait for an hour
        outcome |= {"Status": "FAILED", "Reason": f"{type(error).__name__}: {error}"[:1024]}
    print(json.dumps({"request": event["RequestType"], **outcome}))
    _respond(event, outcome)


def _create(grant: dict[str, Any]) -> str:
    kms, end = boto3.client("kms"), time.monotonic() + PATIENCE
    while True:
        try:
            # The name makes the call idempotent: the same grant again gives the id that it has.
            return str(kms.create_grant(**grant)["GrantId"])
        except ClientError as error:
            if error.response["Error"]["Code"] not in NOT_KNOWN_YET or time.monotonic() > end:
                raise
            time.sleep(5)


def _revoke(key: str, grant_id: str) -> None:
    if grant_id == NOTHING_CREATED:
        return
    try:
        boto3.client("kms").revoke_grant(KeyId=key, GrantId=grant_id)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise


def _respond(event: dict[str, Any], outcome: dict[str, Any]) -> None:
    names = ("StackId", "RequestId", "LogicalResourceId")
    body = json.dumps({**outcome, **{name: event[name] for name in names}}).encode()
    request = Request(event["ResponseURL"], body, {"Content-Type": ""}, method="PUT")  # noqa: S310 - CloudFormation's
    urlopen(request, timeout=30).close()  # noqa: S310
