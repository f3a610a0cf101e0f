"""What a Distributed Map leaves in S3: what became of each child execution, by status, and a manifest.

A redrive writes into a folder of its own (seen in recordings of AWS, not on its page); its manifest also names the
files of what had succeeded before.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kms_patterns.local.server.emulator.emulator import STEP_FUNCTIONS, reach
from kms_patterns.local.server.services.map_items import MOST_INPUT, MapState, as_role
from kms_patterns.local.server.services.step_functions import failed

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
