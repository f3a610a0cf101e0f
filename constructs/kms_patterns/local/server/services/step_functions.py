"""State machines act as their role: every task, nested execution and item reader asks for the role's permissions.

The emulator calls other services inside, past their doors. Here a task goes through the same door as a client's
request, with the role's credentials, so that identity policies, KMS and iam:PassRole are asked.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.acting import (
    Acting,
    NotAssumable,
    NotPermitted,
    acting,
    acting_as,
    service_role,
)
from kms_patterns.local.server.emulator.emulator import APP, LAMBDA, RESPONSES, STEP_FUNCTIONS, reach
from kms_patterns.local.server.kms.kms_errors import Response

Task = Callable[[str, Any], Any]
_STATES = "states.amazonaws.com"
_TEXTS = ("MessageBody", "Message")


def running(original: Callable[[str], None]) -> Callable[[str], None]:
    """Run an execution as the role of its state machine."""

    def run(exec_arn: str) -> None:
        execution = reach(STEP_FUNCTIONS, "_executions").get(exec_arn)
        machine = reach(STEP_FUNCTIONS, "_state_machines").get((execution or {}).get("stateMachineArn"))
        if machine is None:
            original(exec_arn)
            return
        try:
            principal = service_role(machine.get("roleArn", ""), _STATES, uuid4().hex)
        except NotAssumable as refused:
            cause = f"Neither the global service principal {_STATES}, nor the regional one is authorized: {refused}"
            reach(STEP_FUNCTIONS, "_fail_execution")(execution, "States.Runtime", cause)
            return
        with acting_as(principal):
            original(exec_arn)

    return run


def testing(original: Callable[[Mapping[str, Any]], Response]) -> Callable[[Mapping[str, Any]], Response]:
    """Run TestState as the role that it names."""

    def test(data: Mapping[str, Any]) -> Response:
        try:
            principal = service_role(str(data.get("roleArn", "")), _STATES, "TestState")
        except NotAssumable as refused:
            body = {"__type": "InvalidArn", "message": str(refused)}
            return (
                int(HTTPStatus.BAD_REQUEST),
                {"Content-Type": "application/x-amz-json-1.0"},
                json.dumps(body).encode(),
            )
        with acting_as(principal):
            return original(data)

    return test


def calling(original: Callable[..., Response]) -> Callable[..., Response]:
    """Send what the emulator calls for an acting principal through the door of clients' requests."""

    def call(handler: Any, *request: Any, **more: Any) -> Response:
        principal, headers = acting(), request[2]
        if "authorization" not in headers:
            return original(handler, *request, **more)
        if principal is None:
            raise _failed("States.Runtime", "the embedded AWS does not know in whose name to call a service")
        method, path, _headers, body, query = request
        service = headers["authorization"].split("/")[3]
        own = {**headers, "authorization": _credential(principal, service)}
        return original(_through_the_door, method, path, own, body, query, **more)

    return call


async def _through_the_door(method: str, path: str, headers: Any, body: bytes | str, query: Any) -> Response:
    body = body.encode() if isinstance(body, str) else body
    found: Response = await reach(APP, "_dispatch_service_request")(method, path, headers, body, query, str(uuid4()))
    return found


def _credential(principal: Acting, service: str) -> str:
    region = reach(RESPONSES, "get_region")()
    return f"AWS4-HMAC-SHA256 Credential={principal.access_key}/20260101/{region}/{service}/aws4_request"


def dispatch(original: Mapping[str, Task]) -> dict[str, Task]:
    """Return the table of optimized integrations with those that go through the door, and a refusal of the rest."""
    return {name: _as_sdk_call if name.split(":")[5] in _SDK else _refused for name in original}


_SDK = frozenset({"dynamodb", "events", "sns", "sqs"})


def _as_sdk_call(resource: str, request: Any) -> Any:
    service, operation = resource.split(":")[5:7]
    sdk = {"events": "eventbridge"}.get(service, service)
    if isinstance(request, Mapping):
        request = {
            name: json.dumps(value) if name in _TEXTS and not isinstance(value, str) else value
            for name, value in request.items()
        }
    target = f"arn:aws:states:::aws-sdk:{sdk}:{operation.partition('.')[0]}"
    return reach(STEP_FUNCTIONS, "_invoke_aws_sdk_integration")(target, request)


def _refused(resource: str, _request: Any) -> Any:
    raise _failed("States.Runtime", f"{resource} is not supported by the embedded AWS: it would ask no permission")


def invoking(original: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Invoke a Lambda function with the role's permission."""

    def invoke(func_ref: str, event: Any) -> Any:
        config = reach(LAMBDA, "_get_func_record_for_ref")(func_ref)[1] or {}
        _require("Lambda.AWSLambdaException", "lambda:InvokeFunction", str(config.get("FunctionArn") or "*"))
        return original(func_ref, event)

    return invoke


def starting(original: Task) -> Task:
    """Start a nested execution with the role's permission."""

    def start(resource: str, request: Any) -> Any:
        machine = str((request or {}).get("StateMachineArn") or "*")
        _require("StepFunctions.AccessDeniedException", "states:StartExecution", machine)
        return original(resource, request)

    return start


def reading_object(original: Callable[[str, str], str]) -> Callable[[str, str], str]:
    """Read a Distributed Map's object as the role, which asks KMS as well."""

    def read(bucket: str, key: str) -> str:
        headers = {"host": "127.0.0.1", "authorization": "AWS4-HMAC-SHA256 Credential=of/the/acting/s3/principal"}
        send = reach(APP, "call_service_handler_sync")
        status, _headers, body = send(None, "GET", f"/{bucket}/{key}", headers, b"", {})
        if status == HTTPStatus.OK:
            return body.decode() if isinstance(body, bytes | bytearray) else str(body)
        if status == HTTPStatus.FORBIDDEN:
            raise _failed("States.ItemReaderFailed", f"Access Denied (Bucket: {bucket}, Key: {key})")
        return original(bucket, key)

    return read


def reading_items(original: Callable[..., Any]) -> Callable[..., Any]:
    """List a Distributed Map's bucket with the role's permission."""

    def read(reader: Mapping[str, Any], effective: Any, ctx: Any) -> Any:
        if str(reader.get("Resource", "")).endswith("s3:listObjectsV2"):
            raw = reader.get("Parameters") or reader.get("Arguments") or {}
            params = reach(STEP_FUNCTIONS, "_resolve_params_obj")(raw, effective, ctx)
            _require("States.ItemReaderFailed", "s3:ListBucket", f"arn:aws:s3:::{params.get('Bucket')}")
        return original(reader, effective, ctx)

    return read


def _require(error: str, action: str, resource: str) -> None:
    principal = acting()
    if principal is None:
        raise _failed(error, f"the embedded AWS does not know in whose name to call {action}")
    try:
        principal.require(action, resource)
    except NotPermitted as refused:
        raise _failed(error, str(refused)) from refused


def _failed(error: str, cause: str) -> Exception:
    failure: Exception = reach(STEP_FUNCTIONS, "_ExecutionError")(error, cause)
    return failure


_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")


def machine_refusals(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield code and message of what CreateStateMachine and UpdateStateMachine refuse.

    AWS: https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
    """
    if "name" in params and not _NAME.fullmatch(params["name"]):
        yield "InvalidName", f"Invalid Name: '{params['name']}'"
    if "definition" in params:
        yield from (("InvalidDefinition", f"Invalid State Machine Definition: '{it}'") for it in _faults(params))


def _faults(params: Mapping[str, Any]) -> Iterator[str]:
    try:
        definition = json.loads(params["definition"])
    except ValueError:
        yield "INVALID_JSON_DESCRIPTION: the definition is not JSON"
        return
    states = definition.get("States") if isinstance(definition, dict) else None
    if not isinstance(states, dict) or not states or not isinstance(definition.get("StartAt"), str):
        yield "SCHEMA_VALIDATION_FAILED: The required fields are StartAt and States at /"
        return
    wanted = {definition["StartAt"]}
    for state in states.values():
        choices = [state, *(state.get("Choices") or []), *(state.get("Catch") or [])]
        wanted |= {it[name] for it in choices for name in ("Next", "Default") if isinstance(it.get(name), str)}
    if wanted - set(states):
        yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {', '.join(sorted(wanted - set(states)))} at /States"


def input_refusals(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield code and message of what StartExecution refuses."""
    try:
        json.loads(params.get("input") or "{}")
    except ValueError as malformed:
        yield "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{malformed}'"
