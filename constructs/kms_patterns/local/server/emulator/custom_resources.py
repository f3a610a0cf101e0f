"""Custom resources whose function fails without an answer: the resource fails at once, with the function's error.

CloudFormation on AWS waits for the time that the resource gives, an hour by default. Here nothing can come any more:
the function has ended.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-custom-resources.html
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from kms_patterns.local.server.emulator.emulator import CUSTOM_RESOURCES, reach


def execute(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Answer for a function that was called for a custom resource and ended with an error."""

    def run(func: object, event: object) -> dict[str, Any]:
        result = original(func, event)
        url = event.get("ResponseURL") if isinstance(event, Mapping) else None
        if url and result.get("error"):
            token = str(url).rpartition("/")[2]
            pending = reach(CUSTOM_RESOURCES, "_pending").get(token)
            if pending is not None and pending["result"] is None:
                reach(CUSTOM_RESOURCES, "deliver_response")(token, {"Status": "FAILED", "Reason": _reason(result)})
        return result

    return run


def _reason(result: Mapping[str, Any]) -> str:
    body = result.get("body")
    if isinstance(body, Mapping):
        said = f"{body.get('errorType', 'Error')}: {body.get('errorMessage', '')}".strip(": ")
    else:
        said = json.dumps(body) if body is not None else "it ended without a result"
    return f"The function of the custom resource failed before it answered: {said}"
