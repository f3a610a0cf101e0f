"""Every KMS call as a line of JSON: who, what, on which key, in which context, through which service, decided how.

Denials of other services stand in the same file.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kms_patterns.local.server.authorization.decision import Decision
from kms_patterns.local.server.emulator.acting import request_id
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.targets import Target


class CallLog:
    """Appends to one file. A line is one permission asked for: ReEncrypt writes two, From and To."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("a", encoding="utf-8", buffering=1)
        self.told: list[Callable[[Sequence[Mapping[str, Any]]], None]] = []
        """Who is told of each call, with its lines and KMS's message, after they were written."""

    def write(
        self,
        call: KmsCall,
        decisions: Sequence[tuple[Target, Decision]],
        error_code: str | None,
        error_message: str | None = None,
    ) -> None:
        """Write what was decided on each target of ``call``; that it was refused before, if nothing was decided."""
        records = [_of(target, decision) for target, decision in decisions]
        common = {
            "viaService": call.via_service,
            "errorCode": error_code,
            "requestId": request_id.get(),
        }
        lines = [
            {
                "time": datetime.now(UTC).isoformat(timespec="microseconds"),
                "principal": call.caller.arn,
                **record,
                **common,
            }
            for record in records or [_undecided(call)]
        ]
        for line in lines:
            self._file.write(json.dumps(line) + "\n")
        for tell in self.told:
            tell([{**line, "errorMessage": error_message} for line in lines])

    def read(self) -> list[dict[str, Any]]:
        """Return every KMS call so far, in order."""
        lines = map(json.loads, self._path.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["action"].startswith("kms:")]

    def write_denial(self, action: str, resource: str, denied: Any, reason: str) -> None:
        """Write that another service's permission was denied, by the emulator's decision ``denied`` for ``reason``."""
        explicit = denied.decision == "Deny"
        statement = {"policy": reason.rpartition(" in ")[2], "sid": denied.matched_sid} if explicit else None
        self.write_refusal(denied.principal_arn, action, resource, reason, statement=statement)

    def write_refusal(
        self,
        principal: str,
        action: str,
        resource: str,
        reason: str,
        *,
        code: str = "AccessDenied",
        statement: Mapping[str, Any] | None = None,
    ) -> None:
        """Write that another service refused a request, with its error code and what it said."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "principal": principal,
            "action": action,
            "keyArn": None,
            "resource": resource,
            "encryptionContext": {},
            "decision": "deny",
            "reason": reason,
            "statement": statement,
            "viaService": None,
            "errorCode": code,
            "requestId": request_id.get(),
        }
        self._file.write(json.dumps(line) + "\n")


def _of(target: Target, decision: Decision) -> dict[str, object]:
    return {
        "action": target.action,
        "keyArn": target.key["Arn"] if target.key else None,
        **({} if target.key else {"resource": target.resource}),
        "encryptionContext": dict(target.context or {}),
        "decision": "allow" if decision.allowed else "deny",
        "reason": decision.reason,
        "statement": decision.statement.described if decision.statement else None,
    }


def _undecided(call: KmsCall) -> dict[str, object]:
    named = call.request.get("AliasName") or call.request.get("KeyId")
    return {
        "action": f"kms:{call.operation}",
        "keyArn": None,
        "resource": named if isinstance(named, str) else "*",
        "encryptionContext": {},
        "decision": "deny",
        "reason": "refused before it was authorized",
        "statement": None,
    }
