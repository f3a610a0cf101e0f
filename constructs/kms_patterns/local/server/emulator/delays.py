"""Delays of AWS, which are off unless a server is started with them: what was just made does not work at once.

A grant without its token, a new role that a service is given, the first events of a rule, and those of a bucket whose
notifications to EventBridge were just switched on, each for the same number of seconds. On AWS they differ, up to
minutes.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/grants.html (eventual consistency)
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html (changes are not always immediately visible)
https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-event-notifications-eventbridge.html
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from kms_patterns.local.layout import DELAY_VARIABLE
from kms_patterns.local.server.emulator.acting import acting
from kms_patterns.local.server.emulator.emulator import IAM, reach

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
    """Return whether services cannot assume a role yet."""
    if acting() is not None:
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
