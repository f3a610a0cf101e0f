"""How executions end and go on: what a Distributed Map leaves in S3 of its children, and RedriveExecution.

A redrive writes into a folder of its own (seen in recordings of AWS, not on its page); its manifest also names the
files of what had succeeded before.

An execution goes on from the state that it failed in, a Map Run with what did not succeed.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import copy_context
from copy import deepcopy
from http import HTTPStatus
from threading import Thread
from typing import Any, Final

from kms_patterns.local.server.emulator.emulator import STEP_FUNCTIONS, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_members import json_object
from kms_patterns.local.server.services.map_items import MOST_INPUT, MapState, as_role
from kms_patterns.local.server.services.state_machine_fields import validating
from kms_patterns.local.server.services.step_functions import answer, error, failed, last_state, now, running, walk

_TOO_LARGE: Final = "States.DataLimitExceeded"
_WRITER_FAILED: Final = "States.ResultWriterFailed"
_NOT_REDRIVABLE: Final = {
    "RedriveStatus": "NOT_REDRIVABLE",
    "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
}


def write(state: MapState, record: dict[str, Any], children: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Write the results of a Map Run in the name of the state machine's role, and return where the manifest is.

    Raises:
        Exception: ``States.ResultWriterFailed``: the bucket does not exist, or S3 or KMS denies the role.
    """
    writer = state.state["ResultWriter"]
    named = state.template(writer.get("Parameters") or writer.get("Arguments") or {})
    config = writer.get("WriterConfig") or {}
    bucket, prefix = str(named["Bucket"]), str(named.get("Prefix", "")).strip("/")
    redriven = f"Redrive-{record['redriveCount']}" if record["redriveCount"] else ""
    folder = "/".join(part for part in (prefix, record["_id"], redriven) if part)
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": [*record["_succeeded"]]}
    fresh = [child for child in children if not child.get("_written")]
    try:
        for status, told in _by_status(record, fresh, config):
            lines = [json.dumps(one) for one in told]
            if lines:
                form = config.get("OutputType", "JSON")
                text = "\n".join(lines) + "\n" if form == "JSONL" else f"[{','.join(lines)}]"
                key = f"{folder}/{status}_0.{form.lower()}"
                as_role("PUT", f"/{bucket}/{key}", {}, text.encode())
                files[status].append({"Key": key, "Size": len(text.encode())})
        manifest = {"DestinationBucket": bucket, "MapRunArn": record["mapRunArn"], "ResultFiles": files}
        as_role("PUT", f"/{bucket}/{folder}/manifest.json", {}, json.dumps(manifest).encode())
    except (PermissionError, LookupError) as refused:
        raise failed(_WRITER_FAILED, f"{refused} (Bucket: {bucket}, Prefix: {prefix})") from refused
    record["_succeeded"] = files["SUCCEEDED"]
    for child in fresh:
        child["_written"] = child["status"] == "SUCCEEDED"
    for counts in (record["itemCounts"], record["executionCounts"]):
        counts["resultsWritten"] = counts["succeeded"] + counts["failed"]
    return {"Bucket": bucket, "Key": f"{folder}/manifest.json"}


def _by_status(
    record: Mapping[str, Any], children: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> Iterator[tuple[str, Iterable[Any]]]:
    transformation = str(config.get("Transformation", "NONE"))
    for status, succeeded in (("SUCCEEDED", True), ("FAILED", False)):
        yield status, _formatted([it for it in children if (it["status"] == "SUCCEEDED") is succeeded], transformation)
    pending = {"InputDetails": {"Included": True}, "Status": "PENDING"}
    yield "PENDING", ({"Input": json.dumps(given), **pending} for given, _number in record["_waiting"])


def gathered(state: MapState, children: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the results of child executions as the output of a Map state that exports none to S3."""
    config = (state.state.get("ResultWriter") or {}).get("WriterConfig") or {}
    return list(_formatted(children, str(config.get("Transformation", "COMPACT"))))


def _formatted(children: Sequence[Mapping[str, Any]], transformation: str) -> Iterator[Any]:
    for child in children:
        if transformation == "NONE" or child["status"] != "SUCCEEDED":
            yield _told(child)
        else:
            output = json.loads(child["output"])
            yield from output if transformation == "FLATTEN" and isinstance(output, list) else [output]


def _told(child: Mapping[str, Any]) -> dict[str, Any]:
    succeeded = child["status"] == "SUCCEEDED"
    outcome = (
        {"Output": child["output"], "OutputDetails": {"Included": True}}
        if succeeded
        else {"Cause": child.get("cause", ""), "Error": child.get("error", "")}
    )
    return {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        **outcome,
        "RedriveCount": child["redriveCount"],
        **(_NOT_REDRIVABLE if succeeded else {"RedriveStatus": "REDRIVABLE_BY_MAP_RUN"}),
        "StartDate": child["startDate"],
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": child["stopDate"],
    }


def state_output(state: MapState, result: Any) -> Any:
    """Return the output of the Map state whose Map Run has ``result``.

    Raises:
        Exception: ``States.DataLimitExceeded``: the result is too long without a ResultWriter.
    """
    if len(json.dumps(result)) > MOST_INPUT:
        cause = f"The output of the Map state is longer than {MOST_INPUT} bytes: give it a ResultWriter"
        raise failed(_TOO_LARGE, cause)
    if state.is_jsonata:
        given = reach(STEP_FUNCTIONS, "_apply_jsonata_output")
        output = given(state.state, state.raw_input, state.context, result=result, default=result)
        reach(STEP_FUNCTIONS, "_apply_state_assign")(state.state, state.raw_input, state.context, result=result)
        return output
    chosen = reach(STEP_FUNCTIONS, "_apply_result_selector")(state.state, result)
    placed = reach(STEP_FUNCTIONS, "_apply_result_path")(state.state, state.raw_input, chosen)
    return reach(STEP_FUNCTIONS, "_apply_output_path")(state.state, placed, state.context)


def check_length(what: str, text: str) -> None:
    """Refuse the ``what`` of a child execution that is longer than AWS takes."""
    if len(text) > MOST_INPUT:
        raise failed(_TOO_LARGE, f"The {what} of a child execution is longer than {MOST_INPUT} bytes")


_REDRIVABLE: Final = ("FAILED", "ABORTED", "TIMED_OUT")


def redriving(original: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Answer RedriveExecution, which the emulator has not."""

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Response:
        if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
            return _redrive(json_object(body))
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
        inner = (context or {}).get("_inner")
        if not inner and (execution := reach(STEP_FUNCTIONS, "_executions").get(own)):
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
    "_apply_state_assign": remembering,
    "_validate_state_machine_definition": validating,
}
"""What of the emulator's Step Functions is replaced, besides what makes it act as a role."""
