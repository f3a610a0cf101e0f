"""What the embedded AWS recorded: calls in lines, why one was denied, and CloudTrail's LookupEvents."""

import hashlib
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from kms_patterns.local.layout import Layout

Call = Mapping[str, Any]


def recorded_calls(layout: Layout) -> list[dict[str, Any]]:
    """Return what a server recorded so far, in order: KMS calls, and denials of other services."""
    return [json.loads(line) for line in layout.calls.read_text(encoding="utf-8").splitlines()]


def line_of(call: Call) -> str:
    """Return a call in one line: time, decision, who, what, on what, through which service, request id."""
    via = f" via {call['viaService']}" if call.get("viaService") else ""
    refused = f" ({call['errorCode']})" if call.get("errorCode") and call["decision"] == "allow" else ""
    return (
        f"{call['time'][11:19]} {call['decision'].upper():5} {_who(call)} {call['action']} {resource_of(call)}{via}"
        f"{refused} [{call.get('requestId') or '-'}]"
    )


def explained(call: Call) -> str:
    """Return who asked for what, which statement decided, and what would have to be added."""
    lines = [
        f"who        {call['principal']}",
        f"what       {call['action']} on {resource_of(call)}",
        *([f"through    {call['viaService']}"] if call.get("viaService") else []),
        *([f"context    {json.dumps(call['encryptionContext'])}"] if call.get("encryptionContext") else []),
        f"decision   {call['decision']}, {call['reason']}",
        f"statement  {_statement(call.get('statement'))}",
    ]
    if call.get("errorCode"):
        lines.append(f"error      {call['errorCode']}")
    if call["decision"] == "deny":
        lines.append(f"missing    {_missing(call)}")
    return "\n".join(lines)


def page_of(calls: Iterable[Call]) -> str:
    """Return a page of HTML with the calls, the newest first; it runs no script and changes nothing."""
    rows = "".join(
        f"<tr class={call['decision']}><td>{html.escape(line_of(call))}<pre>{html.escape(explained(call))}</pre></tr>"
        for call in reversed(list(calls))
    )
    style = "body{font:14px monospace;margin:1em}.deny{background:#fee}pre{margin:.3em 2em;white-space:pre-wrap}"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Calls of the embedded AWS</title>"
        f"<style>{style}</style><h1>Calls of the embedded AWS</h1><table>{rows}</table></html>"
    )


def resource_of(call: Call) -> str:
    """Return the ARN that policies were compared with; ``*`` where there is none."""
    return str(call.get("keyArn") or call.get("resource") or "*")


def _who(call: Call) -> str:
    return str(call["principal"]).rpartition(":")[2] or str(call["principal"])


def _statement(statement: Any) -> str:
    if not statement:
        return "none: nothing denied it, and not every policy that must allow it does"
    place = f", number {statement['position']}" if "position" in statement else ""
    sid = statement.get("sid") or "without a Sid"
    return f"{statement.get('effect', 'Deny')} {sid} of {statement['policy']}{place}"


def _missing(call: Call) -> str:
    if call.get("statement"):
        return "nothing can be added: change the statement that denies, or its condition"
    reason = str(call["reason"])
    for limit in ("permissions boundary", "session policy"):
        if limit in reason:
            return f"an Allow of {call['action']} on {resource_of(call)} in the {limit}"
    if "identity-based" in reason:
        return f"an Allow of {call['action']} on {resource_of(call)} in a policy of the principal"
    if "resource-based" in reason:
        return f"an Allow of {call['action']} for the principal, or for its account, in the key policy"
    return "the request was refused before it was authorized: correct the request"


_ACCOUNT = 4
_READS = ("Describe", "Get", "List")
_DATA = ("Enc", "Dec", "ReEncrypt", "Generate", "Sign", "Verify", "DeriveSharedSecret")


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
    if not call["errorCode"]:
        return event
    message = {"errorMessage": call["errorMessage"]} if call.get("errorMessage") else {}
    return event | {"errorCode": _shown(call["errorCode"]), **message}


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
    return {
        "EventId": event["eventID"],
        "EventName": event["eventName"],
        "EventSource": event["eventSource"],
        "EventTime": datetime.fromisoformat(event["eventTime"]).timestamp(),
        "ReadOnly": str(event["readOnly"]).lower(),
        "Username": str(call["principal"]).rpartition("/")[2] or event["userIdentity"]["arn"],
        "Resources": [{"ResourceType": one["type"], "ResourceName": one["ARN"]} for one in event["resources"]],
        "CloudTrailEvent": json.dumps(event),
    }


def _kind(arn: str) -> str:
    if not arn.startswith("arn:"):
        return "AWSService"
    return "AssumedRole" if ":assumed-role/" in arn else "IAMUser" if ":user/" in arn else "Root"


def _shown(code: str) -> str:
    return "AccessDenied" if code == "AccessDeniedException" else code


_LOOKUPS = frozenset({
    "AccessKeyId", "EventId", "EventName", "EventSource", "ReadOnly", "ResourceName", "ResourceType", "Username",
})  # fmt: skip
_MOST_EVENTS = 50


def lookup_refusals(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield code and message of what LookupEvents refuses.

    AWS: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    """
    given = params.get("LookupAttributes") or []
    if len(given) > 1 or any(it.get("AttributeKey") not in _LOOKUPS for it in given):
        yield "InvalidLookupAttributesException", "Occurs when a lookup attribute is specified that is not valid."
    if not 1 <= int(params.get("MaxResults") or _MOST_EVENTS) <= _MOST_EVENTS:
        yield "InvalidMaxResultsException", f"A maximum number of results of 1 to {_MOST_EVENTS} is valid."
    if (params.get("StartTime") or 0) > (params.get("EndTime") or float("inf")):
        yield "InvalidTimeRangeException", "The start time is after the end time."
