"""State machines under a customer key: who reads or makes them, and the role of an execution, must be able to use it.

A caller is asked through the service, the role of an execution is not.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html (Required permissions for API callers)
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.authorization.caller import caller_of
from kms_patterns.local.server.emulator.acting import NotAssumable, service_role
from kms_patterns.local.server.emulator.emulator import RESPONSES, STEP_FUNCTIONS, reach
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.requests.request_members import json_object
from kms_patterns.local.server.services.service_keys import Use, ask, require_symmetric
from kms_patterns.local.server.services.step_functions import STATES, error

Handler = Callable[..., Awaitable[Response]]
Start = Callable[[Mapping[str, Any]], Response]
_CONFIGURING = ("DescribeKey", "GenerateDataKey")
_OF_CALLER = {
    **dict.fromkeys(("CreateStateMachine", "UpdateStateMachine"), _CONFIGURING),
    **dict.fromkeys((
        "DescribeExecution", "DescribeStateMachine", "DescribeStateMachineForExecution", "GetExecutionHistory",
        "StartSyncExecution",
    ), ("Decrypt",)),
}  # fmt: skip
_TOLD = {"error", "cause"}
_OF_ROLE = ("Decrypt", "GenerateDataKey")
_DATA = ("cause", "definition", "error", "input", "inputDetails", "output", "outputDetails")
_CODES = {"DisabledException": "KmsInvalidStateException", "KMSInvalidStateException": "KmsInvalidStateException"}


def asking_key(kms: KmsService, original: Handler) -> Handler:
    """Ask for the key of the state machine that a request is about, as its caller; as the role, where AWS does."""

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Response:
        operation, request = headers.get("x-amz-target", "").rpartition(".")[2], json_object(body)
        named = str(request.get("executionArn") or request.get("stateMachineArn"))
        keys = list(_keys(request, named)) if operation in _OF_CALLER else []
        # The definition of a labelled Map is a part of the one that is encrypted.
        metadata = keys and request.get("includedData") == "METADATA_ONLY" and "/" not in named
        # The error and the cause of StopExecution are encrypted as the role of the execution.
        stops = operation == "StopExecution" and (request.get("error") or request.get("cause"))
        try:
            for key, arn in [] if metadata else keys:
                ask(kms, "states", caller_of(headers, query), _uses(_OF_CALLER[operation], key, arn))
            if stops or operation == "RedriveExecution":
                _as_role(kms, named)
            if operation == "SendTaskSuccess" or (operation == "SendTaskFailure" and _TOLD & request.keys()):
                for arn in _waiting():
                    _as_role(kms, arn)
        except KmsError as refused:
            return _refusal(refused)
        status, answered, content = await original(method, path, headers, body, query)
        if metadata and status == HTTPStatus.OK:
            told = {name: value for name, value in json.loads(content).items() if name not in _DATA}
            content = json.dumps(told).encode()
        return status, answered, content

    return handle


def starting_under_key(kms: KmsService, original: Start) -> Start:
    """Start no execution, also for another one, whose role may not use the key of its state machine."""

    def start(request: Mapping[str, Any]) -> Response:
        try:
            _as_role(kms, str(request.get("stateMachineArn")))
        except KmsError as refused:
            return _refusal(refused)
        return original(request)

    return start


def new_machine_uses(name: str, configuration: Mapping[str, Any]) -> Iterator[Use]:
    """Yield how a state machine that a stack makes or changes uses its key."""
    if configuration.get("KmsKeyId"):
        yield from _uses(_CONFIGURING, str(configuration["KmsKeyId"]), _arn(name))


def _waiting() -> list[str]:
    # A token does not say of which execution it is: every one that may wait for it must be able to use its key.
    executions = reach(STEP_FUNCTIONS, "_executions").items()
    return [arn for arn, it in executions if it["status"] == "RUNNING" and '.waitForTaskToken"' in _definition(it)]


def _definition(execution: Mapping[str, Any]) -> str:
    return str(_machine(str(execution.get("stateMachineArn"))).get("definition"))


def _refusal(refused: KmsError) -> Response:
    return error(_CODES.get(refused.code, "KmsAccessDeniedException"), refused.message)


def _as_role(kms: KmsService, named: str) -> None:
    for key, arn in _keys({}, named):
        try:
            role = service_role(str(_machine(named).get("roleArn", "")), STATES, uuid4().hex).caller
        except NotAssumable:
            # What runs an execution says so.
            return
        for operation in _OF_ROLE:
            kms.require(KmsCall(operation, {"KeyId": key, "EncryptionContext": _context(arn)}, role))
        require_symmetric(key)


def _held(store: str, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = reach(STEP_FUNCTIONS, store).get(arn) or {}
    return found


def _machine(named: str) -> dict[str, Any]:
    # A child execution names its machine with a label, a version or an alias has one part more.
    arn = str(_held("_executions", named).get("stateMachineArn") or named).partition("#")[0].partition("/")[0]
    return _held("_state_machines", ":".join(arn.split(":")[:7]))


def _keys(request: Mapping[str, Any], named: str) -> Iterator[tuple[str, str]]:
    """Yield the key that a request gives and that of what it names, each with the ARN of the state machine."""
    machine, execution, arn = _machine(named), _held("_executions", named), named.partition("#")[0]
    version = _held("_state_machine_versions", arn)
    if "encryptionConfiguration" in execution or version:
        # What was encrypted stays under the key that it was encrypted under.
        holders = [request, version or execution]
    else:
        aliased = str(reach(STEP_FUNCTIONS, "_execution_version_arn")(arn))
        holders = [request, machine, _held("_state_machine_versions", aliased)]
    keys = dict.fromkeys((it.get("encryptionConfiguration") or {}).get("kmsKeyId") for it in holders)
    yield from ((key, str(machine.get("stateMachineArn") or _arn(str(request.get("name"))))) for key in keys if key)


def _uses(operations: tuple[str, ...], key: str, arn: str) -> Iterator[Use]:
    yield from (Use(it, key, {} if it == "DescribeKey" else _context(arn)) for it in operations)


def _context(arn: str) -> dict[str, str]:
    return {"aws:states:stateMachineArn": arn}


def _arn(name: str) -> str:
    here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
    return name if name.startswith("arn:") else f"arn:aws:states:{here}:stateMachine:{name}"
