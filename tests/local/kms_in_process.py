"""Our KMS and the emulator's in this process, without a server: thousands of requests a second."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ministack.core import iam_evaluator
from ministack.core.responses import request_scope
from ministack.services import kms as emulated

from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.authorization.policy_statements import parse
from kms_patterns.local.server.emulator import seam
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.control_plane import key_creation, rotation
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response
from kms_patterns.local.server.kms.kms_service import KmsService

# As in test_policies.py, whose simulator is asked about these requests.
ACCOUNT, REGION = "123456789012", "us-east-1"
USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def policy(*statements: dict[str, Any]) -> str:
    """Return the JSON of a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any = "kms:*", resource: Any = "*", **conditions: Any) -> dict[str, Any]:
    """Return an Allow of an identity policy."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": conditions} if conditions else {})


def deny(action: Any = "kms:*", **conditions: Any) -> dict[str, Any]:
    """Return a Deny of an identity policy on everything."""
    return allow(action, **conditions) | {"Effect": "Deny"}


def caller(*statements: dict[str, Any], kind: str = "User", arn: str = USER) -> Caller:
    """Return a principal with one identity policy; without statements the account root."""
    if not statements:
        return Caller(ROOT, "Root", ACCOUNT)
    return Caller(arn, kind, ACCOUNT, parse({"Version": "2012-10-17", "Statement": list(statements)}, "policy"))


@dataclass
class KmsInProcess:
    """Calls KMS as the account root, or as the principal ``by``, or through the AWS service ``via``."""

    service: KmsService

    def status(self, operation: str, request: Any, by: Caller | None = None, via: str | None = None) -> Response:
        """Return status, headers and body as the server does."""

        async def by_emulator(body: bytes) -> Response:
            headers = {"x-amz-target": f"TrentService.{operation}"}
            response: Response = await emulated.handle_request("POST", "/", headers, body, {})
            return response

        call = self.service.serve(KmsCall(operation, request, by or caller(), via), by_emulator)
        try:
            call.send(None)
        except StopIteration as done:
            response: Response = done.value
            return response
        raise AssertionError("neither our KMS nor the emulator's waits for anything")

    def answer(
        self, operation: str, by: Caller | None = None, via: str | None = None, **request: Any
    ) -> dict[str, Any]:
        """Return the response's members.

        Raises:
            KmsError: Refused, by us or by the emulator.
        """
        status, _headers, body = self.status(operation, request, by, via)
        answer: dict[str, Any] = json.loads(body or b"{}")
        assert status in {200, 400}, status
        if status != 200:
            raise KmsError(answer["__type"], answer.get("message", ""))
        return answer

    def code(self, operation: str, by: Caller | None = None, via: str | None = None, **request: Any) -> str:
        """Return the code of the refusal, ``OK`` if there is none."""
        try:
            self.answer(operation, by, via, **request)
        except KmsError as refused:
            return refused.code
        return "OK"

    def key(self, **request: Any) -> str:
        """Make a key and return its ARN."""
        return str(self.answer("CreateKey", **request)["KeyMetadata"]["Arn"])


@contextmanager
def kms_in_process(log: Path) -> Iterator[KmsInProcess]:
    """Put our KMS in front of the emulator's in this process, and take it away again with all keys."""
    with pytest.MonkeyPatch.context() as patch, request_scope(ACCOUNT, REGION):
        patch.setattr(emulated, "_create_key", key_creation.create_key(emulated._create_key))
        patch.setattr(emulated, "_key_metadata", key_creation.key_metadata(emulated._key_metadata))
        fields = (*emulated._KEY_MATERIAL_FIELDS, *rotation.SHARED)
        patch.setattr(emulated, "_KEY_MATERIAL_FIELDS", fields)
        resolve = seam.resolve_condition_key(iam_evaluator._resolve_condition_key)
        patch.setattr(iam_evaluator, "_resolve_condition_key", resolve)
        yield KmsInProcess(KmsService(CallLog(log)))
        emulated.reset()
