"""The bad days of AWS on demand: requests throttled, failed, delayed, cut off or refused before the emulator sees them.

A fault is a JSON object: ``kind``; ``service`` (``kms``, ``s3``, …) and ``operation`` (``Decrypt``, ``UploadPart``,
``PUT``) that it is about, left out for all; ``probability`` of 0 to 1, left out for always; ``times`` at most;
``seconds`` of a delay; ``rate`` per second of a quota; ``name`` under which to count it, left out for its kind.

Delays of AWS are off unless a server is started with them. Then what was just made does not work yet: a grant without
its token, a role that a service is given, the events of a rule, and those of a bucket whose notifications to
EventBridge were switched on, each for the same number of seconds, where AWS takes up to minutes.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/grants.html (eventual consistency)
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html (changes are not always immediately visible)
https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-event-notifications-eventbridge.html
"""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kms_patterns.local.layout import DELAY_VARIABLE
from kms_patterns.local.server.emulator.acting import acting
from kms_patterns.local.server.emulator.emulator import IAM, reach

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Fault = MutableMapping[str, Any]

# By kind: status, error code of the JSON services, error code of S3.
REFUSALS: Mapping[str, tuple[int, str, str]] = {
    "throttle": (400, "ThrottlingException", "SlowDown"),
    "quota": (400, "ThrottlingException", "SlowDown"),
    "error": (500, "KMSInternalException", "InternalError"),
    "unavailable": (503, "DependencyTimeoutException", "ServiceUnavailable"),
    "expired credentials": (400, "ExpiredTokenException", "ExpiredToken"),
    "clock skew": (400, "RequestExpired", "RequestTimeTooSkewed"),
    "access denied": (400, "AccessDeniedException", "AccessDenied"),
    "disabled key": (400, "DisabledException", "KMS.DisabledException"),
}
LOST_ANSWER = "lost answer"
KINDS = frozenset({*REFUSALS, "delay", "reset", LOST_ANSWER})
_S3_STATUS = {"throttle": 503, "quota": 503, "expired credentials": 400, "clock skew": 403, "access denied": 403}


class ConnectionCut(Exception):
    """Raised to have the HTTP server close the connection."""


@dataclass
class FaultPlan:
    """The faults that are to come, those that came and to what, and how often clients tried again meanwhile."""

    faults: list[Fault] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    requests: list[dict[str, Any]] = field(default_factory=list)
    retries: int = 0
    chance: random.Random = field(default_factory=random.Random)

    def plan(self, faults: list[Fault], seed: int | None) -> None:
        """Replace the faults to come, and start counting anew.

        Raises:
            ValueError: A fault is of no known kind.
        """
        unknown = [fault.get("kind") for fault in faults if fault.get("kind") not in KINDS]
        if unknown:
            raise ValueError(f"no kind of fault: {unknown}; there are {sorted(KINDS)}")
        self.faults, self.chance = faults, random.Random(seed)  # noqa: S311 - to be repeatable, not secret
        self.injected.clear()
        self.requests.clear()
        self.retries = 0

    def take(self, service: str, operations: set[str], path: str = "") -> Fault | None:
        """Return the fault that is due for a request."""
        for fault in self.faults:
            if self._due(fault, service, operations):
                fault["times"] = fault["times"] - 1 if fault.get("times") is not None else None
                self.injected[fault.get("name", fault["kind"])] += 1
                self.requests.append({"kind": fault["kind"], "operations": sorted(operations), "path": path})
                return fault
        return None

    def _due(self, fault: Fault, service: str, operations: set[str]) -> bool:
        if fault.get("times") == 0 or fault.get("service", service) != service:
            return False
        if fault.get("operation") is not None and fault["operation"] not in operations:
            return False
        if fault["kind"] == "quota":
            return _exceeded(fault)
        return bool(self.chance.random() < fault.get("probability", 1))


def is_retry(scope: Mapping[str, Any]) -> bool:
    """Tell whether an HTTP request is a further attempt of an AWS SDK, which numbers its attempts."""
    return any(
        name == b"amz-sdk-request" and b"attempt=1" not in value.split(b"; ") for name, value in scope["headers"]
    )


def request_of(scope: Mapping[str, Any]) -> tuple[str, set[str]]:
    """Return the service and the names of the operation of an HTTP request."""
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    credential = headers.get("authorization", "").partition("Credential=")[2].partition(",")[0].split("/")
    service = credential[-2] if len(credential) > 4 else "s3"  # noqa: PLR2004 - key/date/region/service/aws4_request
    names = {scope["method"], headers.get("x-amz-target", "").rpartition(".")[2]}
    query = scope.get("query_string", b"").decode("latin-1")
    return service, names | _of_upload(scope["method"], {part.partition("=")[0] for part in query.split("&")})


def _of_upload(method: str, parameters: set[str]) -> set[str]:
    if method == "POST" and "uploads" in parameters:
        return {"CreateMultipartUpload"}
    if "uploadId" not in parameters:
        return set()
    return {"AbortMultipartUpload"} if method == "DELETE" else {"UploadPart"} if "partNumber" in parameters else set()


async def inject(fault: Fault, service: str, method: str, send: Send, serve: Callable[[Send], Awaitable[None]]) -> None:
    """Do what the fault says to a request, which ``serve`` would serve.

    Raises:
        ConnectionCut: The connection is to be closed in the middle of the answer.
    """
    if fault["kind"] == "delay":
        await asyncio.sleep(fault.get("seconds", 1))
        await serve(send)
        return
    if fault["kind"] == LOST_ANSWER:
        await serve(_nowhere)
        raise ConnectionCut
    if fault["kind"] == "reset" and method == "HEAD":
        # Its headers are the whole response: after them nothing is left to cut.
        raise ConnectionCut
    if fault["kind"] == "reset":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionCut
    status, code, s3_code = REFUSALS[fault["kind"]]
    headers, body = [(b"content-type", b"application/x-amz-json-1.1")], json.dumps({"__type": code, "message": "fault"})
    if service == "s3":
        headers, status = [(b"content-type", b"application/xml")], _S3_STATUS.get(fault["kind"], status)
        body = f"<Error><Code>{s3_code}</Code><Message>fault</Message></Error>"
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


async def _nowhere(_message: MutableMapping[str, Any]) -> None:
    pass


def _exceeded(fault: Fault) -> bool:
    second = int(time.monotonic())
    if fault.get("_second") != second:
        fault.update({"_second": second, "_count": 0})
    fault["_count"] += 1
    return bool(fault["_count"] > fault["rate"])


_switched_on: dict[str, float] = {}


def seconds() -> float:
    """Return for how many seconds what was made does not work yet; 0 without delays."""
    return float(os.environ.get(DELAY_VARIABLE) or 0)


def is_new(made: float) -> bool:
    """Return whether something is too new to work, made at that time (seconds since 1970)."""
    return time.time() - made < seconds()


def is_pending_grant(grant: Mapping[str, Any], tokens: Iterable[str]) -> bool:
    """Return whether a grant does not work yet for a request with these grant tokens."""
    return is_new(float(grant.get("CreationDate") or 0)) and not set(tokens) & set(grant["_tokens"])


def is_new_role(arn: str) -> bool:
    """Return whether an ARN is of a role that services do not know yet: none can assume it, no policy can name it."""
    if ":role/" not in arn or acting() is not None:
        # CloudFormation and the other services that make a role wait for it.
        return False
    role = reach(IAM, "_roles").get(arn.rsplit("/", 1)[-1]) or {}
    made = str(role.get("CreateDate") or "")
    return bool(made) and is_new(datetime.fromisoformat(made.replace("Z", "+00:00")).timestamp())


def switching_on(original: Callable[..., Any]) -> Callable[..., Any]:
    """Note when a bucket's notifications to EventBridge are switched on."""

    def put(name: str, body: bytes, *rest: Any) -> Any:
        if b"EventBridgeConfiguration" in body:
            _switched_on.setdefault(name, time.time())
        else:
            _switched_on.pop(name, None)
        return original(name, body, *rest)

    return put


def is_early(event: Mapping[str, Any]) -> bool:
    """Return whether S3 does not send this event yet."""
    if event.get("Source") != "aws.s3" or not seconds():
        return False
    bucket = json.loads(event.get("Detail") or "{}").get("bucket", {}).get("name", "")
    return is_new(_switched_on.get(bucket, 0))
