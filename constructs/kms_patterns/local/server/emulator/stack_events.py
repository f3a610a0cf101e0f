"""CloudFormation tells EventBridge when the status of a stack changes, which the emulator's does not.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/event-detail-stack-status-change.html
"""

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.emulator import EVENTS, RESPONSES, reach

_STACK = "AWS::CloudFormation::Stack"


def record_event(original: Callable[..., None]) -> Callable[..., None]:
    """Put what is recorded about a stack as a whole onto the default event bus as well."""

    def record(
        stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, *rest: Any, **named: Any
    ) -> None:
        original(stack_id, stack_name, logical_id, resource_type, status, *rest, **named)
        if resource_type == _STACK and logical_id == stack_name:
            reach(EVENTS, "_dispatch_event")(_event(stack_id, status))

    return record


def _event(stack_id: str, status: str) -> dict[str, Any]:
    token = str(uuid4())
    detail = {
        "stack-id": stack_id,
        "status-details": {"status": status, "status-reason": ""},
        "client-request-token": token,
    }
    return {
        "EventId": token,
        "Source": "aws.cloudformation",
        "DetailType": "CloudFormation Stack Status Change",
        "Detail": json.dumps(detail),
        "EventBusName": "default",
        "Time": int(time.time()),
        "Resources": [stack_id],
        "Account": reach(RESPONSES, "get_account_id")(),
        "Region": reach(RESPONSES, "get_region")(),
    }
