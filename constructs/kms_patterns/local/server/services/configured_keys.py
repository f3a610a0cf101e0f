"""Lambda, CloudWatch Logs and DynamoDB take a key in a configuration and use it later, by a grant or as a service.

What Lambda and Logs use it for is not modelled; whether they could is checked when the key is configured, as AWS does.
Of DynamoDB, which keys it uses for which operation: its tables, their copies and their streams.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.authorization.policy_statements import Principal
from kms_patterns.local.server.emulator.acting import Acting, NotPermitted
from kms_patterns.local.server.emulator.emulator import DYNAMODB, DYNAMODB_STREAMS, RESPONSES, ROUTER, reach
from kms_patterns.local.server.kms.kms_call import KmsCall, Request
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.services.service_keys import Use, require_symmetric

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


def keep_table_key(name: str, props: Mapping[str, Any]) -> None:
    """Give the table ``name`` the key of a template, which the emulator drops."""
    key = table_key(props)
    if key is not None:
        described = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}
        reach(DYNAMODB, "_tables")[name]["SSEDescription"] = described


def table_key(props: Mapping[str, Any]) -> str | None:
    """Return the key of a table, or of a global table's replica in this Region; None if it has none of KMS."""
    given = props.get("SSESpecification") or {}
    if not given.get("SSEEnabled"):
        return None
    here = [it for it in props.get("Replicas") or () if it.get("Region") == reach(RESPONSES, "get_region")()]
    of_replica = here[0].get("SSESpecification") or {} if here else {}
    return str(given.get("KMSMasterKeyId") or of_replica.get("KMSMasterKeyId") or "alias/aws/dynamodb")


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
            response = await original(method, path, headers, body, query_params)
            reads = not logs and method == "GET" and b'"Tags"' in response[2]
            return _with_permitted_tags(response, headers, query_params) if reads else response

        return handle_request

    return wrap


def _with_permitted_tags(response: Response, headers: Mapping[str, str], query: Mapping[str, Any]) -> Response:
    # AWS: https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html (TagsError)
    answer = _content(response[2])
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


_GRANTED = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "RetireGrant", "DescribeKey"]


def stream_uses(request: Request) -> Iterator[Use]:
    """Yield the use for what a shard iterator leads to."""
    source = reach(DYNAMODB_STREAMS, "_decode_iterator")(str(request.get("ShardIterator") or "")) or {}
    yield from table_uses(str(source.get("t") or ""))


def _made(request: Request) -> Iterator[Use]:
    wanted = request.get("SSESpecification") or {}
    if not wanted.get("Enabled"):
        return
    key = str(wanted.get("KMSMasterKeyId") or "alias/aws/dynamodb")
    context = _context(_name(request.get("TableName")))
    grantee = f"dynamodb.{reach(RESPONSES, 'get_region')()}.amazonaws.com"
    more = {"GranteePrincipal": grantee, "RetiringPrincipal": grantee, "Operations": _GRANTED}
    yield Use("DescribeKey", key, {})
    yield Use("CreateGrant", key, {}, more | {"Constraints": {"EncryptionContextSubset": context}})


def _imported(request: Request) -> Iterator[Use]:
    yield from _made(request.get("TableCreationParameters") or {})


def _named(request: Request) -> Iterator[str]:
    yield from (request[member] for member in ("TableName", "TableArn") if request.get(member))
    yield from request.get("RequestItems") or {}
    for item in request.get("TransactItems") or []:
        yield from (action.get("TableName", "") for action in item.values())


def _items(request: Request) -> Iterator[Use]:
    yield from (use for table in sorted({_name(table) for table in _named(request)}) for use in table_uses(table))


def _statements(request: Request) -> Iterator[Use]:
    # PartiQL is not parsed: a statement is about no table but those whose names it contains; all must be allowed.
    text = json.dumps(request)
    yield from (use for table in sorted(reach(DYNAMODB, "_tables")) if table in text for use in table_uses(table))


def _restored(request: Request) -> Iterator[Use]:
    backup = reach(DYNAMODB, "_backups").get(request.get("BackupArn")) or {}
    source = request.get("SourceTableName") or request.get("SourceTableArn")
    key = _key(backup.get("SourceTableFeatureDetails")) or _key(reach(DYNAMODB, "_tables").get(_name(source)))
    if key or request.get("SSESpecificationOverride"):
        # The emulator's new table would have no key: it would look protected and not be.
        raise KmsError("ValidationException", "The embedded AWS does not restore a table under a KMS key.")
    yield from ()


def table_uses(name: str) -> Iterator[Use]:
    """Yield the use of a table's key that reading or writing it, or its stream, takes."""
    key = _key(reach(DYNAMODB, "_tables").get(name))
    if key:
        yield Use("Decrypt", key, _context(name))


def _key(described: Mapping[str, Any] | None) -> str | None:
    key: str | None = ((described or {}).get("SSEDescription") or {}).get("KMSMasterKeyArn")
    return key


def _name(table: object) -> str:
    return str(table or "").rpartition("table/")[2]


def _context(name: str) -> dict[str, str]:
    return {"aws:dynamodb:tableName": name, "aws:dynamodb:subscriberId": reach(RESPONSES, "get_account_id")()}


DYNAMODB_USES: Mapping[str, Callable[[Request], Iterable[Use]]] = {
    **dict.fromkeys(("CreateTable", "UpdateTable"), _made),
    "ImportTable": _imported,
    **dict.fromkeys((
        "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "SearchVectors", "BatchGetItem",
        "BatchWriteItem", "TransactGetItems", "TransactWriteItems", "CreateBackup", "ExportTableToPointInTime",
    ), _items),
    **dict.fromkeys(("RestoreTableFromBackup", "RestoreTableToPointInTime"), _restored),
    **dict.fromkeys(("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"), _statements),
}  # fmt: skip
"""Operations of DynamoDB with the uses that must be allowed before they run."""
