"""Invoking a deployed function, and turning its typed error into an exception."""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError


def invoke(lambda_client: Any, function_name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke a function and return its answer.

    Raises:
        ClientError: With the function's ``errorType`` as code, or Lambda's own refusal to invoke.
    """
    response = lambda_client.invoke(FunctionName=function_name, Payload=json.dumps(event).encode())
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        code, message = str(answer.get("errorType", "Unknown")), str(answer.get("errorMessage", ""))
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Invoke")
    return answer
