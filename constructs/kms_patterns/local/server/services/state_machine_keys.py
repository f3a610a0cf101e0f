"""State machines under a customer key: who calls Step Functions, and the role of an execution, must be able to use it.

AWS names the errors of each operation and what the role needs, not every call of KMS: where a page is silent, both
``kms:Decrypt`` and ``kms:GenerateDataKey`` are asked. A caller is asked through the service, the role is not.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.emulator.acting import NotAssumable, acting, service_role
from kms_patterns.local.server.emulator.emulator import RESPONSES, STEP_FUNCTIONS, reach
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.services.service_keys import Use, ask
from kms_patterns.local.server.services.step_functions import STATES, error, failed

Handler = Callable[..., Awaitable[Response]]
_BOTH = ("Decrypt", "GenerateDataKey")
_CONFIGURING = ("DescribeKey", "GenerateDataKey")
_OPERATIONS = {
    **dict.fromkeys(("CreateStateMachine", "UpdateStateMachine"), _CONFIGURING),
    **dict.fromkeys(("StartExecution", "StartSyncExecution", "StopExecution", "RedriveExecution"), _BOTH),
    **dict.fromkeys((
        "DescribeExecution", "DescribeStateMachine", "DescribeStateMachineForExecution", "GetExecutionHistory",
    ), ("Decrypt",)),
}  # fmt: skip
_CODES = {"DisabledException": "KmsInvalidStateException", "KMSInvalidStateException": "KmsInvalidStateException"}


def asking_key(kms: KmsService, original: Handler) -> Handler:
    """Ask for the key of the state machine that a request is about, as its caller."""

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Response:
        operation, request = headers.get("x-amz-target", "").rpartition(".")[2], json.loads(body or b"{}")
        if operation in _OPERATIONS:
            machine = _machine(request.get("executionArn") or request.get("stateMachineArn"))
            try:
                for key, arn in _keys(request, machine, operation):
                    ask(kms, "states", caller_of(headers, query), _uses(_OPERATIONS[operation], key, arn))
                if operation == "RedriveExecution":
                    _as_role(kms, machine)
            except KmsError as refused:
                return error(_CODES.get(refused.code, "KmsAccessDeniedException"), refused.message)
        return await original(method, path, headers, body, query)

    return handle


def starting_under_key(kms: KmsService, original: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Ask for the key of a state machine that another one starts, as the role of the other."""

    def start(resource: str, request: Any) -> Any:
        machine, role = _machine((request or {}).get("StateMachineArn")), acting()
        for key, arn in _keys({}, machine, "StartExecution"):
            if role is None:
                raise failed("States.Runtime", "the embedded AWS does not know in whose name to use the key")
            try:
                ask(kms, "states", role.caller, _uses(_BOTH, key, arn))
            except KmsError as refused:
                raise failed("StepFunctions.KmsAccessDeniedException", refused.message) from refused
        return original(resource, request)

    return start


def under_key(kms: KmsService, original: Callable[[str], None]) -> Callable[[str], None]:
    """Fail an execution whose role may not use the key of its state machine."""

    def run(exec_arn: str) -> None:
        try:
            _as_role(kms, _machine(exec_arn))
        except KmsError as refused:
            execution = reach(STEP_FUNCTIONS, "_executions")[exec_arn]
            reach(STEP_FUNCTIONS, "_fail_execution")(execution, "States.Runtime", refused.message)
            return
        original(exec_arn)

    return run


def new_machine_uses(name: str, configuration: Mapping[str, Any]) -> Iterator[Use]:
    """Yield how a state machine that a stack makes or changes uses its key."""
    if configuration.get("KmsKeyId"):
        yield from _uses(_CONFIGURING, str(configuration["KmsKeyId"]), _arn(name))


def _as_role(kms: KmsService, machine: Mapping[str, Any]) -> None:
    key, arn = _key(machine), str(machine.get("stateMachineArn"))
    if not key:
        return
    try:
        role: Caller = service_role(str(machine.get("roleArn", "")), STATES, uuid4().hex).caller
    except NotAssumable:
        # What runs an execution says so.
        return
    for operation in _BOTH:
        kms.require(KmsCall(operation, {"KeyId": key, "EncryptionContext": _context(arn)}, role))


def _machine(arn: object) -> dict[str, Any]:
    executions, machines = reach(STEP_FUNCTIONS, "_executions"), reach(STEP_FUNCTIONS, "_state_machines")
    named = str((executions.get(arn) or {}).get("stateMachineArn") or arn).partition("/")[0]
    # A version or an alias has one part more.
    found: dict[str, Any] = machines.get(":".join(named.split(":")[:7])) or {}
    return found


def _keys(request: Mapping[str, Any], machine: Mapping[str, Any], operation: str) -> Iterator[tuple[str, str]]:
    arn = str(machine.get("stateMachineArn") or _arn(str(request.get("name"))))
    given = _key(request) if operation in {"CreateStateMachine", "UpdateStateMachine"} else None
    yield from ((key, arn) for key in (given, _key(machine)) if key)


def _key(holder: Mapping[str, Any]) -> str | None:
    configuration = holder.get("encryptionConfiguration")
    return configuration.get("kmsKeyId") if isinstance(configuration, dict) else None


def _uses(operations: tuple[str, ...], key: str, arn: str) -> Iterator[Use]:
    yield from (Use(it, key, {} if it == "DescribeKey" else _context(arn)) for it in operations)


def _context(arn: str) -> dict[str, str]:
    return {"aws:states:stateMachineArn": arn}


def _arn(name: str) -> str:
    here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
    return name if name.startswith("arn:") else f"arn:aws:states:{here}:stateMachine:{name}"
