"""SSM, Secrets Manager, SQS, SNS and DynamoDB ask KMS as their caller, as S3 does; ``service_uses`` says for what.

What is stored is not encrypted: what is proved is who may use the key. KMS is asked at every request, where AWS reuses
an answer for minutes, so that no refusal hides in a cache.

DynamoDB's uses of the keys of tables, their copies and their streams stand here.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/service-integration.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.emulator.emulator import DYNAMODB, DYNAMODB_STREAMS, RESPONSES, reach
from kms_patterns.local.server.kms.key_records import find_key, managed_key, require_usable, require_usage
from kms_patterns.local.server.kms.kms_call import KmsCall, Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.requests.request_members import json_object

Handler = Callable[..., Awaitable[Response]]


@dataclass(frozen=True)
class Use:
    """A use of a key that a service makes for its caller; ``key`` is as the resource in ``region`` or here names it."""

    operation: str
    key: str
    context: Mapping[str, str]
    more: Mapping[str, Any] = field(default_factory=dict)
    region: str | None = None


@dataclass(frozen=True)
class Service:
    """One service of the emulator.

    Args:
        module: Its module.
        host: The first label of its ``kms:ViaService``.
        before: By operation, the uses that must be allowed before it runs.
        after: By operation, the uses that must be allowed before its answer is given.
        undo: By operation, how to take back what it did when a use ``after`` it is refused.
        codes: Its error codes for KMS's; ``other_code`` for the rest, KMS's own where left out.
        target: With what ``X-Amz-Target`` begins; None if it has the query protocol only.
        xml: Answers to requests of the query protocol, which are XML; None if it has JSON only.
        located: Puts what the path says into a request that does not say it itself.
    """

    module: str
    host: str
    before: Mapping[str, Callable[[Request], Iterable[Use]]] = field(default_factory=dict)
    after: Mapping[str, Callable[[Request, ResponseMembers], Iterable[Use]]] = field(default_factory=dict)
    undo: Mapping[str, Callable[[Request], object]] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    other_code: str | None = None
    target: str | None = ""
    xml: str | None = None
    located: Callable[[Request, str], Request] = lambda request, _path: request

    def is_query(self, headers: Mapping[str, str]) -> bool:
        """Return whether the emulator takes a request for one of the query protocol."""
        target = headers.get("x-amz-target", "")
        return self.xml is not None and (self.target is None or not target.startswith(self.target))

    def refusal(self, refused: KmsError, *, query_protocol: bool) -> Response:
        """Return the service's answer to a refusal by KMS."""
        code = self.codes.get(refused.code, self.other_code or refused.code)
        if query_protocol and self.xml:
            response: Response = reach(self.module, self.xml)(code, refused.message, 400)
            return response
        return error_response(KmsError(code, refused.message))


def asking(kms: KmsService, service: Service) -> Callable[[Handler], Handler]:
    """Return what makes the service's handler ask KMS."""

    def wrap(original: Handler) -> Handler:
        async def handle_request(
            method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
        ) -> Response:
            query_protocol = service.is_query(headers)
            sent = _form(method, body, query_params) if query_protocol else _json(headers, body)
            operation, request = sent[0], service.located(sent[1], path)
            try:
                if operation in service.before:
                    ask(kms, service.host, caller_of(headers, query_params), service.before[operation](request))
                response = await original(method, path, headers, body, query_params)
                if operation in service.after and response[0] == HTTPStatus.OK:
                    used = service.after[operation](request, json.loads(response[2]))
                    try:
                        ask(kms, service.host, caller_of(headers, query_params), used)
                    except KmsError:
                        if operation in service.undo:
                            service.undo[operation](request)
                        raise
            except KmsError as refused:
                return service.refusal(refused, query_protocol=query_protocol)
            return response

        return handle_request

    return wrap


def ask(kms: KmsService, host: str, caller: Caller, uses: Iterable[Use]) -> None:
    """Ask KMS for every use, as ``caller``, through the service whose host begins with ``host``.

    Raises:
        KmsError: KMS refused one, or the key is not one that a service takes.
    """
    for use in uses:
        # Only around the call: a generator that is left halfway would keep its Region for what follows.
        account = reach(RESPONSES, "get_account_id")()
        with reach(RESPONSES, "request_scope")(account, use.region) if use.region else nullcontext():
            request = {"KeyId": _key_of(use, host), "EncryptionContext": dict(use.context), **use.more}
            kms.require(KmsCall(use.operation, request, caller, via=host))
            require_symmetric(str(request["KeyId"]))


def require_symmetric(reference: str) -> None:
    """Refuse a key that is not a usable symmetric encryption key: services at rest take no other.

    Raises:
        KmsError: InvalidKeyUsageException, DisabledException or KMSInvalidStateException.
    """
    record = find_key(reference)
    if record is not None:
        require_usable(record)
        require_usage(record, "GenerateDataKey", "ENCRYPT_DECRYPT", symmetric=True)


def _key_of(use: Use, host: str) -> str:
    """Return the key that a service asks for; the one that AWS manages is made when it is first used."""
    return str(managed_key(host)["Arn"]) if f"alias/aws/{host}" in use.key else use.key


# A request is read here exactly as the emulator reads it: another reading would be a way past KMS.
def _json(headers: Mapping[str, str], body: bytes) -> tuple[str, Request]:
    return headers.get("x-amz-target", "").rpartition(".")[2], json_object(body)


def _form(method: str, body: bytes, query: Mapping[str, Any]) -> tuple[str, Request]:
    form = {name: values if isinstance(values, list) else [values] for name, values in query.items()}
    sent = parse_qs(body.decode("utf-8", "replace")) if method == "POST" else {}
    members = {name: values[0] for name, values in (form | sent).items() if values}
    return str(members.get("Action", "")), members


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


def _unmade(_request: Request) -> Iterator[Use]:
    # The emulator's new table would have no key, and it asks for no permission to read or write objects.
    raise KmsError("ValidationException", "The embedded AWS does not export, import or restore tables.")
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
    **dict.fromkeys((
        "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "SearchVectors", "BatchGetItem",
        "BatchWriteItem", "TransactGetItems", "TransactWriteItems", "CreateBackup",
    ), _items),
    **dict.fromkeys((
        "ExportTableToPointInTime", "ImportTable", "RestoreTableFromBackup", "RestoreTableToPointInTime",
    ), _unmade),
    **dict.fromkeys(("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"), _statements),
}  # fmt: skip
"""Operations of DynamoDB with the uses that must be allowed before they run."""
