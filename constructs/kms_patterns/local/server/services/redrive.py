"""RedriveExecution: an execution goes on from the state that it failed in, a Map Run with what did not succeed.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from copy import deepcopy
from http import HTTPStatus
from threading import Thread
from typing import Any, Final

from kms_patterns.local.server.emulator.emulator import STEP_FUNCTIONS, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.services import distributed_map
from kms_patterns.local.server.services.state_machine_fields import validating
from kms_patterns.local.server.services.step_functions import answer, error, last_state, now, running, walk

_REDRIVABLE: Final = ("FAILED", "ABORTED", "TIMED_OUT")


def redriving(original: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Answer RedriveExecution, which the emulator has not."""

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Response:
        if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
            return _redrive(json.loads(body or b"{}"))
        return await original(method, path, headers, body, query)

    return handle


def _redrive(request: Mapping[str, Any]) -> Response:
    execution = reach(STEP_FUNCTIONS, "_executions").get(request.get("executionArn"))
    if execution is None:
        return error("ExecutionDoesNotExist", f"Execution Does Not Exist: '{request.get('executionArn')}'")
    if execution["status"] not in _REDRIVABLE or "mapRunArn" in execution:
        why = f"Execution is {execution['status']} and cannot be redriven"
        return error("ExecutionNotRedrivable", f"The execution {execution['executionArn']} cannot be redriven: {why}")
    for gone in ("error", "cause"):
        execution.pop(gone, None)
    count = execution.get("redriveCount", 0) + 1
    execution |= {"status": "RUNNING", "stopDate": None, "output": None, "redriveCount": count, "redriveDate": now()}
    details = {"executionRedrivenEventDetails": {"redriveCount": count}}
    reach(STEP_FUNCTIONS, "_add_event")(execution, "ExecutionRedriven", details)
    resume = running(_resume)
    Thread(target=copy_context().run, args=(resume, execution["executionArn"]), daemon=True).start()
    return answer(HTTPStatus.OK, {"redriveDate": execution["redriveDate"]})


def _resume(execution_arn: str) -> None:
    """Go on with an execution from the state that it ended in, with the input that this state had."""
    execution = reach(STEP_FUNCTIONS, "_executions")[execution_arn]
    machine = reach(STEP_FUNCTIONS, "_state_machines")[execution["stateMachineArn"]]
    definition = json.loads(machine["definition"])
    name, given = last_state(execution)
    context = {
        "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
        "Execution": {
            "Id": execution_arn,
            "Input": json.loads(execution["input"]),
            "Name": execution["name"],
            "StartTime": execution["startDate"],
            "RedriveCount": execution["redriveCount"],
            "RedriveTime": execution["redriveDate"],
        },
        "StateMachine": {"Id": machine["stateMachineArn"], "Name": machine["name"]},
        "variables": deepcopy(execution.get("_variables", {})),
    }
    execution["_redriving"] = True
    try:
        output = walk(definition["States"], name, given, execution, context)
    except Exception as error:  # noqa: BLE001 - whatever ends an execution is told by it
        name, cause = getattr(error, "error", "States.Runtime"), getattr(error, "cause", str(error))
        reach(STEP_FUNCTIONS, "_fail_execution")(execution, name, cause)
        return
    if execution["status"] == "RUNNING":
        execution |= {"status": "SUCCEEDED", "output": json.dumps(output), "stopDate": now()}
        details = {"executionSucceededEventDetails": {"output": execution["output"]}}
        reach(STEP_FUNCTIONS, "_add_event")(execution, "ExecutionSucceeded", details)
        reach(STEP_FUNCTIONS, "_emit_execution_status_event")(execution)


def remembering(original: Callable[..., None]) -> Callable[..., None]:
    """Keep the variables that a state assigned in the record of its execution, from which a redrive takes them."""

    def assign(state: Any, raw_input: Any, context: Any, *given: Any, **more: Any) -> None:
        original(state, raw_input, context, *given, **more)
        own = (context or {}).get("Execution", {}).get("Id")
        if execution := reach(STEP_FUNCTIONS, "_executions").get(own):
            execution["_variables"] = deepcopy(context.get("variables", {}))

    return assign


def describing(original: Callable[[Mapping[str, Any]], Response]) -> Callable[[Mapping[str, Any]], Response]:
    """Tell of an execution whether it can be redriven, and how often it was."""

    def describe(data: Mapping[str, Any]) -> Response:
        status, headers, body = original(data)
        execution = reach(STEP_FUNCTIONS, "_executions").get(data.get("executionArn"))
        if status != HTTPStatus.OK or execution is None:
            return status, headers, body
        told = json.loads(body)
        redrivable = told["status"] in _REDRIVABLE and "mapRunArn" not in told
        told |= {"redriveCount": execution.get("redriveCount", 0)}
        told |= {"redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE"}
        told |= {"redriveDate": execution["redriveDate"]} if "redriveDate" in execution else {}
        return status, headers, json.dumps(told).encode()

    return describe


REPLACED: Final[Mapping[str, Callable[..., Any]]] = {
    "handle_request": redriving,
    "_describe_execution": describing,
    "_run_distributed_map": distributed_map.running,
    "_apply_state_assign": remembering,
    "_validate_state_machine_definition": validating,
}
"""What of the emulator's Step Functions is replaced, besides what makes it act as a role."""
