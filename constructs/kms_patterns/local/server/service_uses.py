"""Which keys the emulator's services use for which operation, and in which encryption context: one row per service.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
"""

import json
from collections.abc import Iterator
from typing import Any

from kms_patterns.local.server.emulator import DYNAMODB, RESPONSES, SECRETS_MANAGER, SNS, SQS, SSM, reach
from kms_patterns.local.server.members import Answer, Request
from kms_patterns.local.server.service_keys import Service, Use

_STANDARD_PARAMETER = 4096
# What Secrets Manager names while it checks that its caller may use a key at all.
_VALIDATION = "RequestToValidateKeyAccess"
_TABLE_GRANT = ["Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "RetireGrant", "DescribeKey"]
_CODE_OF = {
    "AccessDeniedException": "AccessDenied", "DisabledException": "Disabled", "NotFoundException": "NotFound",
    "KMSInvalidStateException": "InvalidState", "InvalidKeyUsageException": "InvalidKeyUsage",
}  # fmt: skip


def _put_parameter(request: Request) -> Iterator[Use]:
    name = str(request.get("Name") or "")
    existing = reach(SSM, "_lookup_parameter")(name)[1] or {}
    if (request.get("Type") or existing.get("Type")) != "SecureString":
        return
    large = len(str(request.get("Value") or "").encode()) > _STANDARD_PARAMETER
    operation = "GenerateDataKey" if large or request.get("Tier") == "Advanced" else "Encrypt"
    arn = existing.get("ARN") or reach(SSM, "_param_arn")(name)
    yield Use(operation, request.get("KeyId") or "alias/aws/ssm", {"PARAMETER_ARN": arn})


def _read_parameters(request: Request, answer: Answer) -> Iterator[Use]:
    if not request.get("WithDecryption"):
        return
    one = answer.get("Parameter")
    for found in [one] if one else answer.get("Parameters", []):
        if found.get("Type") == "SecureString":
            stored = reach(SSM, "_lookup_parameter")(found["Name"])[1] or {}
            # Each version may have a key of its own. One that is not found leaves the key undetermined: refused.
            key = str(found.get("KeyId") or stored.get("KeyId") or "")
            yield Use("Decrypt", key, {"PARAMETER_ARN": str(stored.get("ARN"))})


def _secret(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = reach(SECRETS_MANAGER, "_resolve")(request.get("SecretId") or request.get("Name"))[1] or {}
    return found


def _secret_key(secret: dict[str, Any]) -> str:
    return secret.get("KmsKeyId") or "alias/aws/secretsmanager"


def _secret_created(_request: Request, answer: Answer) -> Iterator[Use]:
    secret = _secret({"SecretId": answer["ARN"]})
    yield from _validated(_secret_key(secret), answer["ARN"])
    yield Use("GenerateDataKey", _secret_key(secret), _secret_context(answer["ARN"], answer["VersionId"]))


def _secret_changed(request: Request) -> Iterator[Use]:
    secret = _secret(request)
    if not secret:
        return
    if request.get("KmsKeyId"):
        yield from _validated(request["KmsKeyId"], secret["ARN"])
    if request.get("SecretString") is not None or request.get("SecretBinary") is not None:
        key = request.get("KmsKeyId") or _secret_key(secret)
        version = str(request.get("ClientRequestToken") or _VALIDATION)
        yield Use("GenerateDataKey", key, _secret_context(secret["ARN"], version))


def _secret_read(_request: Request, answer: Answer) -> Iterator[Use]:
    for value in answer.get("SecretValues", [answer]):
        if "ARN" in value:
            key = _secret_key(_secret({"SecretId": value["ARN"]}))
            yield Use("Decrypt", key, _secret_context(value["ARN"], value["VersionId"]))


def _validated(key: str, arn: str) -> Iterator[Use]:
    for operation in ("GenerateDataKey", "Decrypt"):
        yield Use(operation, key, _secret_context(arn, _VALIDATION))


def _secret_context(arn: str, version: str) -> dict[str, str]:
    return {"SecretARN": arn, "SecretVersionId": version}


def _queue(*operations: str) -> Any:
    def uses(request: Request) -> Iterator[Use]:
        try:
            attributes = reach(SQS, "_get_q")(str(request.get("QueueUrl") or ""))["attributes"]
        except reach(SQS, "_Err"):
            return
        key, context = attributes.get("KmsMasterKeyId"), {"aws:sqs:arn": attributes.get("QueueArn", "")}
        yield from (Use(operation, key, context) for operation in operations if key)

    return uses


def _published(request: Request) -> Iterator[Use]:
    topic = reach(SNS, "_topics").get(str(request.get("TopicArn") or request.get("TargetArn") or ""))
    if topic and topic["attributes"].get("KmsMasterKeyId"):
        for operation in ("GenerateDataKey", "Decrypt"):
            yield Use(operation, topic["attributes"]["KmsMasterKeyId"], {"aws:sns:topicArn": topic["arn"]})


def _table_made(request: Request) -> Iterator[Use]:
    wanted = request.get("SSESpecification") or {}
    if not wanted.get("Enabled"):
        return
    key = str(wanted.get("KMSMasterKeyId") or "alias/aws/dynamodb")
    context = _table_context(_name(request.get("TableName")))
    grantee = f"dynamodb.{reach(RESPONSES, 'get_region')()}.amazonaws.com"
    more = {"GranteePrincipal": grantee, "RetiringPrincipal": grantee, "Operations": _TABLE_GRANT}
    yield Use("DescribeKey", key, {})
    yield Use("CreateGrant", key, {}, more | {"Constraints": {"EncryptionContextSubset": context}})


def _tables(request: Request) -> Iterator[str]:
    yield from [request["TableName"]] if request.get("TableName") else []
    yield from request.get("RequestItems") or {}
    for item in request.get("TransactItems") or []:
        yield from (action.get("TableName", "") for action in item.values())


def _items(request: Request) -> Iterator[Use]:
    yield from (use for table in sorted({_name(table) for table in _tables(request)}) for use in _table(table))


def _statements(request: Request) -> Iterator[Use]:
    # PartiQL is not parsed: a statement is about no table but those whose names it contains; all must be allowed.
    text = json.dumps(request)
    yield from (use for table in sorted(reach(DYNAMODB, "_tables")) if table in text for use in _table(table))


def _table(name: str) -> Iterator[Use]:
    key = ((reach(DYNAMODB, "_tables").get(name) or {}).get("SSEDescription") or {}).get("KMSMasterKeyArn")
    if key:
        yield Use("Decrypt", key, _table_context(name))


def _name(table: object) -> str:
    return str(table or "").rpartition("table/")[2]


def _table_context(name: str) -> dict[str, str]:
    return {"aws:dynamodb:tableName": name, "aws:dynamodb:subscriberId": reach(RESPONSES, "get_account_id")()}


_ITEM_OPERATIONS = (
    "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem",
    "TransactGetItems", "TransactWriteItems",
)  # fmt: skip

SERVICES = (
    Service(
        SSM, "ssm",
        before={"PutParameter": _put_parameter},
        after=dict.fromkeys(
            ("GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory"), _read_parameters
        ),
        codes={"AccessDeniedException": "AccessDeniedException"}, other_code="InvalidKeyId",
    ),
    Service(
        SECRETS_MANAGER, "secretsmanager",
        before={"PutSecretValue": _secret_changed, "UpdateSecret": _secret_changed},
        after={"CreateSecret": _secret_created, "GetSecretValue": _secret_read, "BatchGetSecretValue": _secret_read},
        undo={"CreateSecret": lambda request: reach(SECRETS_MANAGER, "_secrets").pop(request.get("Name"), None)},
        codes={"AccessDeniedException": "AccessDeniedException"}, other_code="EncryptionFailure",
    ),
    Service(
        SQS, "sqs",
        before={
            **dict.fromkeys(("SendMessage", "SendMessageBatch"), _queue("GenerateDataKey", "Decrypt")),
            "ReceiveMessage": _queue("Decrypt"),
        },
        codes={code: f"Kms{name}" for code, name in _CODE_OF.items()}, xml="_xml_err_resp",
    ),
    Service(
        SNS, "sns",
        before={"Publish": _published, "PublishBatch": _published},
        codes={code: f"KMS{name}" for code, name in _CODE_OF.items()}, xml="_error",
    ),
    Service(
        DYNAMODB, "dynamodb",
        before={
            "CreateTable": _table_made, "UpdateTable": _table_made, **dict.fromkeys(_ITEM_OPERATIONS, _items),
            **dict.fromkeys(("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"), _statements),
        },
    ),
)  # fmt: skip
