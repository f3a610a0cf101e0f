"""Invoking a deployed function, and turning its typed error into an exception."""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from demo.scenario import Stage


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


def own_calls(stage: Stage, before: int, stack: str) -> str:
    """Return the KMS calls since the first ``before`` that S3 did not make, with the function of ``stack`` that did."""
    outputs = stage.outputs[f"KmsPatterns-{stack}"]
    verbs = [verb for verb in ("Encrypt", "Decrypt") if f"{verb}RoleArn" in outputs]
    roles = {_role_name(outputs[f"{verb}RoleArn"]): verb.lower() for verb in verbs}
    calls = [call for call in stage.aws.kms_calls()[before:] if not call["viaService"]]
    return ", ".join(
        f"{call['action'][4:]} of the {roles.get(_role_name(call['principal']), '?')} function" for call in calls
    )


def _role_name(arn: str) -> str:
    """Return the name of a role from its ARN or from the ARN of a session of it."""
    return arn.split("/")[1] if ":assumed-role/" in arn else arn.rsplit("/", 1)[-1]
