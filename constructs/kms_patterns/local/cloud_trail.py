"""KMS calls in the shape of CloudTrail events, for tools that read those.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_ACCOUNT = 4
_READS = ("Describe", "Get", "List")
_DATA = ("Encrypt", "Decrypt", "ReEncrypt", "Generate", "Sign", "Verify", "DeriveSharedSecret")


def event_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return one of ``LocalAws.kms_calls()`` as an event; what decided is in ``additionalEventData``.

    CloudTrail has one event for a ReEncrypt, of that name; here it has two, ReEncryptFrom and ReEncryptTo.
    """
    name = str(call["action"]).removeprefix("kms:")
    # A service that calls as itself has no account; the key's is told of the event.
    named = next(arn for arn in (call["principal"], call["keyArn"] or ":" * 5) if str(arn).count(":") > _ACCOUNT)
    account = str(named).split(":")[_ACCOUNT]
    event: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": _identity(str(call["principal"]), account, call["viaService"]),
        "eventTime": call["time"],
        "eventSource": "kms.amazonaws.com",
        "eventName": name,
        "awsRegion": str(call["keyArn"]).split(":")[3] if call["keyArn"] else None,
        "requestParameters": {"keyId": call["keyArn"], "encryptionContext": call["encryptionContext"]},
        "responseElements": None,
        "additionalEventData": {name: call[name] for name in ("decision", "reason", "statement")},
        "eventID": hashlib.sha256(repr(sorted(call.items())).encode()).hexdigest()[:32],
        "requestID": call.get("requestId"),
        "readOnly": name.startswith(_READS + _DATA),
        "resources": [{"accountId": account, "type": "AWS::KMS::Key", "ARN": call["keyArn"]}] if call["keyArn"] else [],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
    }
    return event | ({"errorCode": _shown(call["errorCode"])} if call["errorCode"] else {})


def _identity(arn: str, account: str, via: str | None) -> dict[str, Any]:
    identity: dict[str, Any] = {"type": _kind(arn), "arn": arn, "accountId": account}
    if ":assumed-role/" in arn:
        role = arn.split("/")[1]
        identity["sessionContext"] = {"sessionIssuer": {"type": "Role", "userName": role, "accountId": account}}
    if via:
        # CloudTrail names the service without its Region.
        identity["invokedBy"] = via.split(".")[0] + ".amazonaws.com"
    return identity


def looked_up(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call as LookupEvents returns it: the event as text, with the members that it is looked up by."""
    event = event_of(call)
    issuer = event["userIdentity"].get("sessionContext", {}).get("sessionIssuer", {})
    return {
        "EventId": event["eventID"],
        "EventName": event["eventName"],
        "EventSource": event["eventSource"],
        "EventTime": datetime.fromisoformat(event["eventTime"]).timestamp(),
        "ReadOnly": str(event["readOnly"]).lower(),
        "Username": str(call["principal"]).rpartition("/")[2] if issuer else event["userIdentity"]["arn"],
        "Resources": [{"ResourceType": one["type"], "ResourceName": one["ARN"]} for one in event["resources"]],
        "CloudTrailEvent": json.dumps(event),
    }


def _kind(arn: str) -> str:
    if not arn.startswith("arn:"):
        return "AWSService"
    return "AssumedRole" if ":assumed-role/" in arn else "IAMUser" if ":user/" in arn else "Root"


def _shown(code: str) -> str:
    return "AccessDenied" if code == "AccessDeniedException" else code
