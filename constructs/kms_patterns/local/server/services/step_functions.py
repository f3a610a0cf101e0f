"""State machines act as their role: every task, nested execution and item reader asks for the role's permissions.

The emulator calls other services inside, past their doors. Here a task goes through the same door as a client's
request, with the role's credentials, so that identity policies, KMS and iam:PassRole are asked.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.acting import (
    NotAssumable,
    NotPermitted,
    acting,
    acting_as,
    service_role,
)
from kms_patterns.local.server.emulator.emulator import APP, LAMBDA, STEP_FUNCTIONS, reach
from kms_patterns.local.server.kms.kms_errors import Response

Task = Callable[[str, Any], Any]
STATES = "states.amazonaws.com"
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
            principal = service_role(machine.get("roleArn", ""), STATES, uuid4().hex)
        except NotAssumable as refused:
            cause = f"Neither the global service principal {STATES}, nor the regional one is authorized: {refused}"
            reach(STEP_FUNCTIONS, "_fail_execution")(execution, "States.Runtime", cause)
            return
        with acting_as(principal):
            original(exec_arn)

    return run


def testing(original: Callable[[Mapping[str, Any]], Response]) -> Callable[[Mapping[str, Any]], Response]:
    """Run TestState as the role that it names."""

    def test(data: Mapping[str, Any]) -> Response:
        try:
            principal = service_role(str(data.get("roleArn", "")), STATES, "TestState")
        except NotAssumable as refused:
            return error("InvalidArn", str(refused))
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
            raise failed("States.Runtime", "the embedded AWS does not know in whose name to call a service")
        method, path, _headers, body, query = request
        service = headers["authorization"].split("/")[3]
        own = {**headers, "authorization": principal.credential(service)}
        return original(_through_the_door, method, path, own, body, query, **more)

    return call


async def _through_the_door(method: str, path: str, headers: Any, body: bytes | str, query: Any) -> Response:
    body = body.encode() if isinstance(body, str) else body
    found: Response = await reach(APP, "_dispatch_service_request")(method, path, headers, body, query, str(uuid4()))
    return found


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
    raise failed("States.Runtime", f"{resource} is not supported by the embedded AWS: it would ask no permission")


def invoking(original: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Invoke a Lambda function with the role's permission."""

    def invoke(func_ref: str, event: Any) -> Any:
        config = reach(LAMBDA, "_get_func_record_for_ref")(func_ref)[1] or {}
        require("Lambda.AWSLambdaException", "lambda:InvokeFunction", str(config.get("FunctionArn") or "*"))
        return original(func_ref, event)

    return invoke


def starting(original: Task) -> Task:
    """Start a nested execution with the role's permission."""

    def start(resource: str, request: Any) -> Any:
        machine = str((request or {}).get("StateMachineArn") or "*")
        require("StepFunctions.AccessDeniedException", "states:StartExecution", machine)
        return original(resource, request)

    return start


def named(original: Callable[..., str]) -> Callable[..., str]:
    """Compare policies with the ARN of the Map Run that a request is about."""

    def read(service: str, method: str, path: str, headers: Any, body: Any, *more: Any, **named_more: Any) -> str:
        found = original(service, method, path, headers, body, *more, **named_more)
        if service == "states" and found == "*" and b"mapRunArn" in (body.encode() if isinstance(body, str) else body):
            return str(json.loads(body).get("mapRunArn") or found)
        return found

    return read


def require(error: str, action: str, resource: str) -> None:
    """Check a permission of the acting role; ``error`` is what the state fails with otherwise."""
    principal = acting()
    if principal is None:
        raise failed(error, f"the embedded AWS does not know in whose name to call {action}")
    try:
        principal.require(action, resource)
    except NotPermitted as refused:
        raise failed(error, str(refused)) from refused


def failed(error: str, cause: str) -> Exception:
    """Return the failure of a state."""
    failure: Exception = reach(STEP_FUNCTIONS, "_ExecutionError")(error, cause)
    return failure


def error(code: str, message: str) -> Response:
    """Return a refusal as Step Functions writes it."""
    return answer(HTTPStatus.BAD_REQUEST, {"__type": code, "message": message})


def answer(status: HTTPStatus, body: Mapping[str, Any]) -> Response:
    """Return a response as Step Functions writes it."""
    return int(status), {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(body).encode()


_ENDS = ("Succeed", "Fail")
_WITH_EXECUTION = ("Task", "Parallel", "Map")


def walk(states: Mapping[str, Any], name: str | None, given: Any, execution: Any, context: Any) -> Any:
    """Run an execution from the state ``name`` with the input ``given`` to its end, and return its output."""
    event = reach(STEP_FUNCTIONS, "_add_event")
    while name and execution["status"] == "RUNNING":
        state, entered = states[name], {"name": name, "input": json.dumps(given)}
        kind, context["State"] = state["Type"], {"Name": name, "EnteredTime": now(), "RetryCount": 0}
        event(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": entered})
        if kind in _ENDS:
            return reach(STEP_FUNCTIONS, "_run_sub_machine")({name: state}, name, given, execution, context)
        more = (execution, context) if kind in _WITH_EXECUTION else (context,)
        left = name
        given, name = reach(STEP_FUNCTIONS, f"_execute_{kind.lower()}")(state, given, *more)
        execution.pop("_redriving", None)
        event(execution, f"{kind}StateExited", {"stateExitedEventDetails": {"name": left, "output": json.dumps(given)}})
    return given


def last_state(execution: Mapping[str, Any]) -> tuple[str, Any]:
    """Return name and input of the state that an execution entered last, from which a redrive goes on."""
    entered = [it["stateEnteredEventDetails"] for it in execution["events"] if "stateEnteredEventDetails" in it][-1]
    return entered["name"], json.loads(entered["input"])


def now() -> str:
    """Return the time as the emulator writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def scoped(original: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the variables of a branch, and of an item of an inline Map, to itself; it reads those outside.

    AWS: https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html (scope)
    """

    def run(states: Any, start_at: str, given: Any, execution: Any, context: Mapping[str, Any]) -> Any:
        inner = {**context, "variables": dict(context.get("variables") or {}), "_inner": True}
        return original(states, start_at, given, execution, inner)

    return run


def naming(original: Callable[[Mapping[str, Any]], Response]) -> Callable[[Mapping[str, Any]], Response]:
    """Return the running execution of the same name and input, as AWS does, instead of a refusal.

    AWS: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """

    def start(request: Mapping[str, Any]) -> Response:
        refused = original(request)
        if b"ExecutionAlreadyExists" not in refused[2]:
            return refused
        known = reach(STEP_FUNCTIONS, "_executions")[json.loads(refused[2])["message"].split("'")[1]]
        if known["status"] != "RUNNING" or json.loads(known["input"]) != json.loads(request.get("input") or "{}"):
            return refused
        return answer(HTTPStatus.OK, {name: known[name] for name in ("executionArn", "startDate")})

    return start


REPLACED: Mapping[str, Callable[[Any], object]] = {
    "_run_execution": running, "_test_state": testing, "_SERVICE_DISPATCH": dispatch, "_call_lambda": invoking,
    "_invoke_nested_start_execution": starting, "_invoke_nested_start_execution_sync": starting,
    "_start_execution": naming, "_run_sub_machine": scoped,
}  # fmt: skip
"""What of the emulator's Step Functions these functions stand in for."""
