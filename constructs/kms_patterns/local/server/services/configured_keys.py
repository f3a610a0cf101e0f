"""Lambda and CloudWatch Logs take a key in a configuration and use it later, by a grant or as a service principal.

What they use it for is not modelled; whether they could is checked when the key is configured, as AWS does.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.authorization.policy_statements import Principal
from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.services.service_keys import require_symmetric

Handler = Callable[..., Awaitable[Response]]
_FUNCTIONS = "/functions"
_LOGS = ("CreateLogGroup", "AssociateKmsKey")
_NOT_ALLOWED = "The specified KMS key does not exist or is not allowed to be used with LogGroup '{arn}'"


class ServiceCaller(Caller):
    """An AWS service that calls KMS as itself."""

    @property
    def principal(self) -> Principal:
        """The service principal; identity policies say nothing of it."""
        return Principal(self.arn, self.arn, self.account, self.arn)


def function_key(kms: KmsService, caller: Caller, name: str, key: str) -> None:
    """Check that ``caller`` may configure a key for the environment of a function.

    Raises:
        KmsError: The key is not symmetric or not usable, or the caller lacks kms:CreateGrant or kms:Encrypt.
    """
    here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
    arn = name if name.startswith("arn:") else f"arn:aws:lambda:{here}:function:{name}"
    context = {"aws:lambda:FunctionArn": arn}
    grant = {"Operations": ["Encrypt", "Decrypt"], "GranteePrincipal": "lambda.amazonaws.com"}
    kms.require(KmsCall("CreateGrant", {"KeyId": key, **grant}, caller, via="lambda"))
    require_symmetric(key)
    kms.require(KmsCall("Encrypt", {"KeyId": key, "EncryptionContext": context}, caller, via="lambda"))


def log_group_key(kms: KmsService, name: str, key: str) -> None:
    """Check that the key's policy lets CloudWatch Logs use it for a log group.

    Raises:
        KmsError: InvalidParameterException, as Logs answers.
    """
    region, account = reach(RESPONSES, "get_region")(), reach(RESPONSES, "get_account_id")()
    arn = f"arn:aws:logs:{region}:{account}:log-group:{name}"
    service = f"logs.{region}.amazonaws.com"
    try:
        request = {"KeyId": key, "EncryptionContext": {"aws:logs:arn": arn}}
        kms.require(KmsCall("GenerateDataKey", request, ServiceCaller(service, "AWSService", account)))
    except KmsError as refused:
        raise KmsError("InvalidParameterException", _NOT_ALLOWED.format(arn=arn)) from refused


def configuring(kms: KmsService, *, logs: bool) -> Callable[[Handler], Handler]:
    """Return what makes the handler of Logs, or of Lambda, check a key that is configured."""

    def wrap(original: Handler) -> Handler:
        async def handle_request(
            method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
        ) -> Response:
            try:
                if logs:
                    _of_logs(kms, headers, _content(body))
                elif method in {"POST", "PUT"} and _FUNCTIONS in path:
                    _of_lambda(kms, path, caller_of(headers, query_params), _content(body))
            except KmsError as refused:
                return _refusal(refused, logs=logs)
            return await original(method, path, headers, body, query_params)

        return handle_request

    return wrap


def _of_logs(kms: KmsService, headers: Mapping[str, str], request: Mapping[str, Any]) -> None:
    key = request.get("kmsKeyId")
    if key and headers.get("x-amz-target", "").rpartition(".")[2] in _LOGS:
        log_group_key(kms, str(request.get("logGroupName") or "*"), str(key))


def _of_lambda(kms: KmsService, path: str, caller: Caller, request: Mapping[str, Any]) -> None:
    key = request.get("KMSKeyArn")
    if key:
        named = path.partition(f"{_FUNCTIONS}/")[2].partition("/")[0]
        function_key(kms, caller, str(request.get("FunctionName") or named), str(key))


def _refusal(refused: KmsError, *, logs: bool) -> Response:
    if logs:
        return error_response(refused)
    code = refused.code if refused.code == "AccessDeniedException" else "InvalidParameterValueException"
    status = 403 if code == "AccessDeniedException" else 400
    answer = {"Type": "User", "Message": refused.message, "message": refused.message}
    return status, {"Content-Type": "application/json", "x-amzn-errortype": code}, json.dumps(answer).encode()


def _content(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
