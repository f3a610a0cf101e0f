"""Lambda and CloudWatch Logs take a key in a configuration and use it later, by a grant or as a service.

Lambda's own use by its grant is not modelled, but that no key is usable which is disabled or waits for deletion.
Logs is asked again whenever it writes or reads. What a service reads from S3 is read, and decrypted, as who asks it.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.authorization.policy_statements import Principal
from kms_patterns.local.server.emulator.acting import Acting, NotPermitted, acting, read_by_requester, requester
from kms_patterns.local.server.emulator.emulator import (
    LAMBDA,
    LOGS,
    RESPONSES,
    ROUTER,
    S3,
    reach,
)
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.kms.targets import alias_in
from kms_patterns.local.server.requests.request_members import json_object
from kms_patterns.local.server.s3.s3_encryption import open_data_key
from kms_patterns.local.server.services.service_keys import require_symmetric

Handler = Callable[..., Awaitable[Response]]
_FUNCTIONS = "/functions"
_LOGS = ("CreateLogGroup", "AssociateKmsKey")
_OF_EVENTS = frozenset({
    "FilterLogEvents", "GetLogEvents", "GetLogObject", "GetLogRecord", "PutLogEvents", "StartLiveTail", "StartQuery",
})  # fmt: skip
_MOST_SENT, _MOST_LATER = 6 << 20, 1 << 20
_TOO_LARGE = json.dumps({
    "errorType": "Function.ResponseSizeTooLarge",
    "errorMessage": f"Response payload size exceeded maximum allowed payload size ({_MOST_SENT} bytes).",
}).encode()  # fmt: skip
_INVOKING = re.compile(r"/functions/([^/]+)/(invocations|invoke-async|response-streaming-invocations)/?$")
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
                    _of_logs(kms, headers, json_object(body))
                elif method in {"POST", "PUT"}:
                    _of_lambda(kms, path, caller_of(headers, query_params), json_object(body))
                if not logs and _INVOKING.search(path):
                    _check_payload(headers, body)
                response = await original(method, path, headers, body, query_params)
                if not logs and _INVOKING.search(path) and len(response[2]) > _MOST_SENT:
                    return 200, {**response[1], "X-Amz-Function-Error": "Unhandled"}, _TOO_LARGE
            except KmsError as refused:
                return _refusal(refused, logs=logs)
            if not logs and b'"KMSKeyArn"' in response[2] and not _INVOKING.search(path):
                response = _with_permitted_variables(kms, response, caller_of(headers, query_params))
            reads = not logs and method == "GET" and b'"Tags"' in response[2]
            return _with_permitted_tags(response, headers, query_params) if reads else response

        return handle_request

    return wrap


def _with_permitted_tags(response: Response, headers: Mapping[str, str], query: Mapping[str, Any]) -> Response:
    # AWS: https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html (TagsError)
    answer = json_object(response[2])
    # Tags are the function's: a version or an alias that the ARN ends in has none.
    arn = ":".join(str((answer.get("Configuration") or {}).get("FunctionArn", "")).split(":")[:7])
    if not arn:
        return response
    try:
        Acting(reach(ROUTER, "extract_access_key_id")(headers, query)).require("lambda:ListTags", arn)
    except NotPermitted as refused:
        error = {"TagsError": {"ErrorCode": "AccessDeniedException", "Message": str(refused)}}
        kept = {name: value for name, value in answer.items() if name != "Tags"}
        return *response[:2], json.dumps(kept | error).encode()
    return response


def _check_payload(headers: Mapping[str, str], body: bytes) -> None:
    # AWS: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    most = _MOST_LATER if headers.get("x-amz-invocation-type") == "Event" else _MOST_SENT
    if len(body) > most:
        raise KmsError("RequestTooLargeException", f"{len(body)} byte payload is too large (limit {most} bytes)")
    try:
        json.loads(body or b"{}")
    except ValueError as malformed:
        raise KmsError(
            "InvalidRequestContentException", f"Could not parse request body into json: {malformed}"
        ) from malformed


def _with_permitted_variables(kms: KmsService, response: Response, caller: Caller) -> Response:
    # AWS: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
    answer = json_object(response[2])
    for config in (
        answer,
        answer.get("Configuration") or {},
        *(answer.get("Functions") or answer.get("Versions") or ()),
    ):
        if (config.get("Environment") or {}).get("Variables") and config.get("KMSKeyArn"):
            context = {"aws:lambda:FunctionArn": ":".join(config["FunctionArn"].split(":")[:7])}
            request = {"KeyId": config["KMSKeyArn"], "EncryptionContext": context}
            try:
                kms.require(KmsCall("Decrypt", request, caller, via="lambda"))
            except KmsError as refused:
                config["Environment"] = {"Error": {"ErrorCode": refused.code, "Message": refused.message}}
    return *response[:2], json.dumps(answer).encode()


def _of_logs(kms: KmsService, headers: Mapping[str, str], request: Mapping[str, Any]) -> None:
    key, operation = request.get("kmsKeyId"), headers.get("x-amz-target", "").rpartition(".")[2]
    if key and operation in _LOGS:
        if alias_in(str(key)):
            raise KmsError("InvalidParameterException", f"{key} is an alias: name the key by its ARN")
        log_group_key(kms, str(request.get("logGroupName") or "*"), str(key))
    named = [request.get("logGroupName"), request.get("logGroupIdentifier"), *(request.get("logGroupNames") or ())]
    for name in [str(it).rpartition("log-group:")[2] for it in named if it] if operation in _OF_EVENTS else ():
        stored = (reach(LOGS, "_log_groups").get(name) or {}).get("kmsKeyId")
        if stored:
            log_group_key(kms, name, stored)


def _of_lambda(kms: KmsService, path: str, caller: Caller, request: Mapping[str, Any]) -> None:
    invoked = _INVOKING.search(path)
    if invoked:
        refused = unusable_variables(reach(LAMBDA, "_get_func_record_for_ref")(unquote(invoked[1]))[1] or {})
        if refused is not None:
            raise refused
    if _FUNCTIONS not in path or invoked:
        return
    named = str(request.get("FunctionName") or unquote(path.partition(f"{_FUNCTIONS}/")[2].partition("/")[0]))
    stored = reach(LAMBDA, "_get_func_record_for_ref")(named)[1] or {} if request.get("Environment") else {}
    key = request.get("KMSKeyArn", stored.get("KMSKeyArn"))
    if key:
        function_key(kms, caller, named, str(key))


def unusable_variables(config: Mapping[str, Any]) -> KmsError | None:
    """Return why the variables of a function cannot be decrypted for its process; None if they can."""
    key = config.get("KMSKeyArn") if config.get("Environment") else None
    try:
        require_symmetric(str(key or ""))
    except KmsError as refused:
        said = "Lambda was unable to decrypt the environment variables because the KMS key is not usable"
        return KmsError(_OF_INVOCATION.get(refused.code, refused.code), f"{said}. KMS Message: {refused.message}")
    return None


_STATUS = {"AccessDeniedException": 403, "InvalidRequestContentException": 400, "RequestTooLargeException": 413}
_OF_INVOCATION = {"DisabledException": "KMSDisabledException"}


def _refusal(refused: KmsError, *, logs: bool) -> Response:
    if logs:
        return error_response(refused)
    own = refused.code in _STATUS or refused.code.startswith("KMS")
    code = refused.code if own else "InvalidParameterValueException"
    status = _STATUS.get(code, 502 if code.startswith("KMS") else 400)
    answer = {"Type": "User", "Message": refused.message, "message": refused.message}
    return status, {"Content-Type": "application/json", "x-amzn-errortype": code}, json.dumps(answer).encode()


def reading_objects(kms: KmsService, original: Callable[..., bytes | None]) -> Callable[..., bytes | None]:
    """Read an object for a service as who acts or, if the request names it, as who asks: code, templates."""

    def read(bucket: str, key: str, version_id: str | None = None) -> bytes | None:
        arn, principal = f"arn:aws:s3:::{bucket}/{key}", acting()
        if principal is None or arn in read_by_requester.get():
            principal = Acting(requester.get() or "")
        else:
            principal.require("s3:GetObjectVersion" if version_id else "s3:GetObject", arn)
        found = reach(S3, "_buckets").get(bucket, {"objects": {}})["objects"].get(key) or {}
        versions = reach(S3, "_object_versions").get((bucket, key), []) if version_id else []
        found = next((it["obj_record"] for it in versions if it["version_id"] == version_id), found)
        open_data_key(kms, lambda: principal.caller, found.get("preserved_headers", {}))
        return original(bucket, key, version_id)

    return read


def code_from_s3(_original: Callable[..., bytes | None]) -> Callable[..., bytes]:
    """Fetch the code of a function or a layer, or say why S3 does not give it."""

    def fetch(bucket: str, key: str, version_id: str | None = None) -> bytes:
        try:
            found: bytes | None = reach(S3, "_get_object_data")(bucket, key, version_id)
        except KmsError as refused:
            said = f"S3 Error Code: AccessDenied. S3 Error Message: {refused.message}"
            raise KmsError("AccessDeniedException", f"Your access has been denied by S3. {said}") from refused
        if found is None:
            said = "S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."
            raise KmsError("InvalidParameterValueException", f"Error occurred while GetObject. {said}")
        return found

    return fetch
