"""Which keys DynamoDB uses for which operation: its tables, their copies and their streams.

AWS: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kms_patterns.local.server.emulator.emulator import DYNAMODB, DYNAMODB_STREAMS, RESPONSES, reach
from kms_patterns.local.server.kms.kms_call import Request
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.services.service_keys import Use

_GRANTED = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "RetireGrant", "DescribeKey"]


def records(request: Request) -> Iterator[Use]:
    """Yield the use for what a shard iterator leads to."""
    source = reach(DYNAMODB_STREAMS, "_decode_iterator")(str(request.get("ShardIterator") or "")) or {}
    yield from _table(str(source.get("t") or ""))


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
    yield from (use for table in sorted({_name(table) for table in _named(request)}) for use in _table(table))


def _statements(request: Request) -> Iterator[Use]:
    # PartiQL is not parsed: a statement is about no table but those whose names it contains; all must be allowed.
    text = json.dumps(request)
    yield from (use for table in sorted(reach(DYNAMODB, "_tables")) if table in text for use in _table(table))


def _restored(request: Request) -> Iterator[Use]:
    backup = reach(DYNAMODB, "_backups").get(request.get("BackupArn")) or {}
    source = request.get("SourceTableName") or request.get("SourceTableArn")
    key = _key(backup.get("SourceTableFeatureDetails")) or _key(reach(DYNAMODB, "_tables").get(_name(source)))
    if key or request.get("SSESpecificationOverride"):
        # The emulator's new table would have no key: it would look protected and not be.
        raise KmsError("ValidationException", "The embedded AWS does not restore a table under a KMS key.")
    yield from ()


def _table(name: str) -> Iterator[Use]:
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


BEFORE: Mapping[str, Callable[[Request], Iterable[Use]]] = {
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
