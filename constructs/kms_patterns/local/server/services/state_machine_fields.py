"""Definitions of state machines are refused for a field that Amazon States Language does not have.

The emulator accepts a misspelt field and never reads it, so that a machine that AWS refuses would run without it.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from kms_patterns.local.server.emulator.acting import NotAssumable, NotPermitted, service_role
from kms_patterns.local.server.kms.kms_errors import Response


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MACHINE: Final = _names("Comment QueryLanguage StartAt States TimeoutSeconds Version")
_STATE: Final = _names("Type Comment QueryLanguage InputPath OutputPath Output Assign Next End")
_RETRIED: Final = _names("Retry Catch ResultPath ResultSelector Parameters Arguments")
_DISTRIBUTED: Final = _names("ItemReader ItemBatcher ResultWriter Label ToleratedFailureCount") | _names(
    "ToleratedFailureCountPath ToleratedFailurePercentage ToleratedFailurePercentagePath"
)
_OF_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "Pass": _names("Result ResultPath Parameters"),
    "Task": _RETRIED
    | _names("Resource Credentials TimeoutSeconds TimeoutSecondsPath HeartbeatSeconds HeartbeatSecondsPath"),
    "Choice": _names("Choices Default"),
    "Wait": _names("Seconds SecondsPath Timestamp TimestampPath"),
    "Succeed": frozenset(),
    "Fail": _names("Error ErrorPath Cause CausePath"),
    "Parallel": _RETRIED | _names("Branches"),
    "Map": _RETRIED
    | _DISTRIBUTED
    | _names("ItemProcessor Iterator ItemsPath Items ItemSelector MaxConcurrency MaxConcurrencyPath"),
}
_INNER: Final[Mapping[str, frozenset[str]]] = {
    "Retry": _names("ErrorEquals IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy Comment"),
    "Catch": _names("ErrorEquals Next ResultPath Output Assign Comment"),
    "ItemReader": _names("Resource ReaderConfig Parameters Arguments"),
    "ReaderConfig": _names("InputType CSVHeaderLocation CSVHeaders CSVDelimiter MaxItems MaxItemsPath ItemsPointer")
    | _names("Transformation ManifestType"),
    "ItemBatcher": _names("MaxItemsPerBatch MaxItemsPerBatchPath MaxInputBytesPerBatch MaxInputBytesPerBatchPath")
    | _names("BatchInput"),
    "ResultWriter": _names("Resource Parameters Arguments WriterConfig"),
    "WriterConfig": _names("Transformation OutputType"),
    "ProcessorConfig": _names("Mode ExecutionType"),
}
_ONE_OF: Final[Mapping[str, frozenset[str]]] = {
    "InputType": _names("CSV JSON JSONL PARQUET MANIFEST"),
    "ManifestType": _names("ATHENA_DATA S3_INVENTORY"),
    "CSVHeaderLocation": _names("FIRST_ROW GIVEN"),
    "CSVDelimiter": _names("COMMA PIPE SEMICOLON SPACE TAB"),
    "Transformation": _names("NONE LOAD_AND_FLATTEN COMPACT FLATTEN"),
    "OutputType": _names("JSON JSONL"),
    "Mode": _names("INLINE DISTRIBUTED"),
    "ExecutionType": _names("STANDARD EXPRESS"),
    "JitterStrategy": _names("FULL NONE"),
}
_PATHS: Final = _names("Input Output Result Items")
_MOST: Final = {"ToleratedFailurePercentage": 100, "MaxInputBytesPerBatch": 262_144, "MaxItems": 100_000_000}
_LABEL: Final = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,40}")
_PROCESSOR: Final = _MACHINE | {"ProcessorConfig"}


def problems(definition: str) -> Iterator[str]:
    """Yield each field that a definition has and the language does not, with its place."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        yield f"INVALID_JSON_DESCRIPTION: {error}"
        return
    try:
        yield from _machine(machine, "", _MACHINE)
        yield from _shadowing(machine, frozenset())
    except (AttributeError, TypeError) as error:
        yield f"SCHEMA_VALIDATION_FAILED: A value is of a type that its field does not take: {error}"


def _machine(machine: Any, place: str, known: frozenset[str]) -> Iterator[str]:
    if not isinstance(machine, Mapping) or not isinstance(machine.get("States"), Mapping):
        yield f"SCHEMA_VALIDATION_FAILED: These fields are required: [States] at {place or '/'}"
        return
    yield from _unknown(machine, place, known)
    if machine.get("StartAt") not in machine["States"]:
        yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {machine.get('StartAt')} at {place}/StartAt"
    yield from _nested(machine, place)
    for name, state in machine["States"].items():
        yield from _state(state, f"{place}/States/{name}", machine["States"])


def _state(state: Any, place: str, states: Mapping[str, Any]) -> Iterator[str]:
    kind = str(state.get("Type") if isinstance(state, Mapping) else None)
    if kind not in _OF_TYPE:
        yield f"SCHEMA_VALIDATION_FAILED: Value is not a valid state type: {kind} at {place}/Type"
        return
    yield from _unknown(state, place, _STATE | _OF_TYPE[kind] - _of_children(state))
    for one in (state, *(state.get("Choices") or []), *(state.get("Catch") or [])):
        for name in {"Next", "Default"} & one.keys():
            if one[name] not in states:
                yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {one[name]} at {place}/{name}"
    for name in ("Retry", "Catch"):
        for number, one in enumerate(state.get(name) or []):
            yield from _unknown(one, f"{place}/{name}[{number}]", _INNER[name])
    yield from _nested(state, place)
    for number, branch in enumerate(state.get("Branches") or []):
        yield from _machine(branch, f"{place}/Branches[{number}]", _MACHINE)
    for name in ("ItemProcessor", "Iterator"):
        if name in state:
            yield from _machine(state[name], f"{place}/{name}", _PROCESSOR)


def _shadowing(machine: Any, outer: frozenset[str]) -> Iterator[str]:
    """Yield the variables of Parallel and inline Map states that a state outside assigns as well.

    AWS: https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html (scope)
    """
    states = (machine.get("States") or {}).values()
    holders = [one for state in states for one in (state, *(state.get("Choices") or []), *(state.get("Catch") or []))]
    own = frozenset(name.removesuffix(".$") for one in holders for name in one.get("Assign") or {})
    for name in sorted(own & outer):
        yield f"SCHEMA_VALIDATION_FAILED: The variable '{name}' is assigned in an outer scope as well"
    for state in states:
        # Child executions have a scope of their own.
        inner = [] if not _of_children(state) else [state.get("ItemProcessor") or state.get("Iterator") or {}]
        for one in (*inner, *(state.get("Branches") or [])):
            yield from _shadowing(one, outer | own)


def _of_children(state: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields of child executions, which a Map state without them does not have."""
    config: Any = state
    for name in ("ItemProcessor", "ProcessorConfig"):
        config = config.get(name) or {}
        if not isinstance(config, Mapping):
            return frozenset()
    return frozenset() if config.get("Mode") == "DISTRIBUTED" else _DISTRIBUTED


def _nested(given: Any, place: str) -> Iterator[str]:
    for name in _INNER.keys() & given.keys() - {"Retry", "Catch"} if isinstance(given, Mapping) else ():
        yield from _unknown(given[name], f"{place}/{name}", _INNER[name])
        yield from _nested(given[name], f"{place}/{name}")


def _unknown(given: Any, place: str, known: frozenset[str]) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"SCHEMA_VALIDATION_FAILED: The value is not an object at {place}"
        return
    for name in sorted(set(given) - known):
        yield f"SCHEMA_VALIDATION_FAILED: Field '{name}' is not supported at {place or '/'}"
    yield from (
        f"SCHEMA_VALIDATION_FAILED: The value {value!r} is not valid at {place}/{name}"
        for name, value in given.items()
        if not _valid(name, value) or (f"{name}Path" in given and name not in _PATHS)
    )


def _valid(name: str, value: Any) -> bool:
    if isinstance(value, str):
        labels = name != "Label" or _LABEL.fullmatch(value)
        return value.startswith("{%") or bool(labels and value in _ONE_OF.get(name, {value}))
    return not isinstance(value, int | float) or name in _PATHS or 0 <= value <= _MOST.get(name, value)


def validating(_original: Callable[[Mapping[str, Any]], Response]) -> Callable[[Mapping[str, Any]], Response]:
    """Answer ValidateStateMachineDefinition by the same rules."""

    def validate(data: Mapping[str, Any]) -> Response:
        told = [
            {"severity": "ERROR", "code": text.partition(":")[0], "message": text.partition(": ")[2]}
            for text in problems(str(data.get("definition", "")))
        ]
        answer = {"result": "FAIL" if told else "OK", "diagnostics": told, "truncated": False}
        return int(HTTPStatus.OK), {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(answer).encode()

    return validate


_CHANGED = {"definition", "encryptionConfiguration", "loggingConfiguration", "roleArn", "tracingConfiguration"}
_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")


def machine_refusals(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield code and message of what CreateStateMachine and UpdateStateMachine refuse.

    AWS: https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
    """
    if "name" in params and not _NAME.fullmatch(params["name"]):
        yield "InvalidName", f"Invalid Name: '{params['name']}'"
    if "stateMachineArn" in params and not _CHANGED & params.keys():
        said = "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration"
        yield "MissingRequiredParameter", f"{said} must be specified"
    if (params.get("loggingConfiguration") or {}).get("destinations") and params.get("roleArn"):
        try:
            service_role(str(params["roleArn"]), "states.amazonaws.com", "logs").require("logs:CreateLogDelivery")
        except (NotAssumable, NotPermitted):
            said = "The state machine IAM Role is not authorized to access the Log Destination"
            yield "AccessDeniedException", said
    if "definition" in params:
        yield from (
            ("InvalidDefinition", f"Invalid State Machine Definition: '{it}'") for it in problems(params["definition"])
        )


def input_refusals(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield code and message of what StartExecution refuses."""
    if "name" in params and not _NAME.fullmatch(params["name"]):
        yield "InvalidName", f"Invalid Name: '{params['name']}'"
    try:
        json.loads(params.get("input") or "{}")
    except ValueError as malformed:
        yield "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{malformed}'"
