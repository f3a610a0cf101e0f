"""What the embedded AWS recorded, for people: calls in lines, and why one of them was denied."""

import html
import json
from collections.abc import Iterable, Mapping
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
