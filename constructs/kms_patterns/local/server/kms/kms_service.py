"""One KMS call from request to members: find the key, authorize, execute, write it to the call log."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.authorization.authorization import ROOT, authorize_identity, authorize_key
from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.authorization.decision import Decision
from kms_patterns.local.server.kms import grants
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.condition_values import condition_values, is_known
from kms_patterns.local.server.kms.control_plane import key_states
from kms_patterns.local.server.kms.control_plane.grant_requests import check_retired
from kms_patterns.local.server.kms.control_plane.key_states import record_use
from kms_patterns.local.server.kms.key_records import (
    KeyRecord,
    find_key,
    keep_managed_key,
    require_usable,
    require_usage,
)
from kms_patterns.local.server.kms.kms_call import KmsCall, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import (
    JSON_TYPE,
    KmsError,
    Response,
    access_denied,
    error_response,
    invalid_ciphertext,
    unsupported,
)
from kms_patterns.local.server.kms.operations.operations import DATA_PLANE, ON_ACCOUNT, ON_KEYS, re_encrypt
from kms_patterns.local.server.kms.permissions import PERMISSIONS
from kms_patterns.local.server.kms.service_model import operation_of, parsed, validated
from kms_patterns.local.server.kms.targets import Target, alias_in, not_found, targets_of

Emulator = Callable[[bytes], Awaitable[Response]]
_ANONYMOUS = Caller("anonymous", "Anonymous", "")
_UNDETERMINED = (
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
    "or you are not allowed to access."
)


@dataclass
class _Outcome:
    """What a call came to, for the log."""

    decisions: list[tuple[Target, Decision]] = field(default_factory=list)
    error: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class KmsService:
    """KMS in front of the emulator's: authorization and the data plane are ours, the rest is theirs."""

    log: CallLog

    def perform(self, call: KmsCall) -> ResponseMembers:
        """Authorize and execute a data plane call that an AWS service makes for a caller.

        Raises:
            KmsError: Refused, with the code that AWS gives.
        """
        with self._logged(call) as outcome:
            checked = replace(call, request=validated(call.operation, call.request))
            members = _execute(checked, _authorize(checked, outcome))
            if members is None:
                raise unsupported(f"{call.operation} is not possible with this key.")
            return members

    def require(self, call: KmsCall) -> None:
        """Authorize a call that an AWS service makes for a caller, and check the key, without executing it.

        Raises:
            KmsError: Refused, with the code that AWS gives.
        """
        with self._logged(call) as outcome:
            for target in _authorize(_by_key_arn(call), outcome):
                if target.key is not None and call.operation in DATA_PLANE:
                    require_usable(target.key)
                    require_usage(target.key, call.operation, "ENCRYPT_DECRYPT", symmetric=True)

    async def respond(
        self, headers: Mapping[str, str], query: Mapping[str, Any], body: bytes, emulator: Emulator
    ) -> Response:
        """Return the response to a KMS request over HTTP; ``emulator`` executes, once authorized, what is not ours."""
        named, caller = headers.get("x-amz-target", ""), _ANONYMOUS
        try:
            operation, caller = operation_of(named), caller_of(headers, query)
            call = KmsCall(operation, parsed(body), caller)
        except KmsError as refused:
            self.log.write(KmsCall(named.rpartition(".")[2], {}, caller), (), refused.code)
            return error_response(refused)
        try:
            return await self.serve(call, emulator)
        except KmsError as refused:
            return error_response(refused)

    async def serve(self, call: KmsCall, emulator: Emulator) -> Response:
        """Return the response to a call of a known caller.

        Raises:
            KmsError: Refused, with the code that AWS gives.
        """
        with self._logged(call) as outcome:
            checked = replace(call, request=validated(call.operation, call.request))
            members = _execute(checked, _authorize(checked, outcome))
            if members is not None:
                return 200, {"Content-Type": JSON_TYPE}, json.dumps(members).encode()
            response = await emulator(json.dumps(checked.request).encode())
            outcome.error = _error_code(response)
            return response

    @contextmanager
    def _logged(self, call: KmsCall) -> Iterator[_Outcome]:
        outcome = _Outcome()
        try:
            yield outcome
        except KmsError as refused:
            outcome.error, outcome.message = refused.code, refused.message
            raise
        finally:
            self.log.write(call, outcome.decisions, outcome.error, outcome.message)


def _by_key_arn(call: KmsCall) -> KmsCall:
    # A service looks an alias up once, then names the key by its ARN.
    named = str(call.request.get("KeyId") or "")
    key = find_key(named) if alias_in(named) and not PERMISSIONS[call.operation][0].aliases else None
    return replace(call, request={**call.request, "KeyId": key["Arn"]}) if key else call


def _authorize(call: KmsCall, outcome: _Outcome) -> list[Target]:
    if call.operation == "RetireGrant":
        check_retired(call.request)
    grants.check_tokens(call.request)
    targets = targets_of(call.operation, call.request)
    for target in targets:
        decision = decide_target(call, target)
        outcome.decisions.append((target, decision))
        if not decision.allowed:
            raise access_denied(_denial(call.caller, target, decision))
        if target.key is None and not target.keyless:
            raise not_found(target.reference) if target.reference else invalid_ciphertext()
    return [replace(it, key=keep_managed_key(it.key)) if it.new and it.key else it for it in targets]


def decide_target(call: KmsCall, target: Target) -> Decision:
    """Return whether the caller of ``call`` has the permission that ``target`` describes."""
    if call.caller.is_root and not (target.key or {}).get("_managed"):
        return ROOT
    values = condition_values(call, target)
    if target.key is not None:
        return _on_key(call, target, target.key, values)
    if not target.keyless and not target.reference:
        return Decision(allowed=False, reason="because the key could not be determined")
    return authorize_identity(call.caller, target.action, target.resource, values, partial(is_known, target.action))


def _on_key(call: KmsCall, target: Target, key: KeyRecord, values: Mapping[str, Any]) -> Decision:
    known = partial(is_known, target.action)
    if target.action == "kms:RetireGrant":
        # The grant decides, and the account that made it by its identity policies; key policies have no effect on it.
        # AWS: https://docs.aws.amazon.com/kms/latest/developerguide/grant-delete.html
        decision = authorize_identity(call.caller, target.action, key["Arn"], values, known)
    else:
        decision = authorize_key(call.caller, target.action, key, values, known)
    if decision.allowed or decision.statement is not None:
        return decision
    # A grant allows what no policy allows, and nothing that one denies.
    if target.action == "kms:RetireGrant":
        return grants.may_retire(call.caller, key["Arn"], call.request) or decision
    return grants.granted(call.caller, target.action, key["Arn"], target.context, call.request) or decision


def _denial(caller: Caller, target: Target, decision: Decision) -> str:
    if target.key is None and not target.keyless and not target.reference:
        return _UNDETERMINED
    denied = f"User: {caller.arn} is not authorized to perform: {target.action} on resource: {target.resource}"
    return f"{denied} {decision.reason}"


def _execute(call: KmsCall, targets: list[Target]) -> ResponseMembers | None:
    """Return the response; None if the emulator is to execute the call."""
    key_states.check_policy(call.operation, call.request, call.caller)
    for target in targets:
        if target.key is not None:
            key_states.check_state(call.operation, target.key)
    if call.operation in ON_ACCOUNT:
        return ON_ACCOUNT[call.operation](call.request)
    key = targets[0].key
    if call.operation == "ReEncrypt":
        destination = targets[1].key
        members = re_encrypt(key, destination, call.request) if key and destination else None
    else:
        members = ON_KEYS[call.operation](key, call.request) if key and call.operation in ON_KEYS else None
    for target in targets:
        if target.key is not None and (call.operation in DATA_PLANE or call.operation == "ReEncrypt"):
            record_use(target.key, call.operation)
    return members


def _error_code(response: Response) -> str | None:
    status, headers, body = response
    if status < HTTPStatus.BAD_REQUEST:
        return None
    return headers.get("x-amzn-errortype") or str(json.loads(body or b"{}").get("__type"))
