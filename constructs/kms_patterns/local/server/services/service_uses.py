"""Which keys the emulator's services use for which operation, and in which encryption context: one row per service.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kms_patterns.local.server.emulator.emulator import (
    DYNAMODB,
    DYNAMODB_STREAMS,
    RESPONSES,
    SECRETS_MANAGER,
    SNS,
    SQS,
    SSM,
    reach,
)
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.services.service_keys import DYNAMODB_USES, Service, Use, stream_uses

_STANDARD_PARAMETER = 4096
# What Secrets Manager names while it checks that its caller may use a key at all.
_VALIDATION = "RequestToValidateKeyAccess"
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


def _read_parameters(request: Request, answer: ResponseMembers) -> Iterator[Use]:
    if not request.get("WithDecryption"):
        return
    one = answer.get("Parameter")
    for found in [one] if one else answer.get("Parameters", []):
        if found.get("Type") == "SecureString":
            name, stored = reach(SSM, "_lookup_parameter")(found["Name"])
            versions = [stored or {}, *reach(SSM, "_parameter_history").get(name, [])]
            # Each version may have a key of its own. One that is not found leaves the key undetermined: refused.
            key = next((str(one.get("KeyId") or "") for one in versions if one.get("Version") == found["Version"]), "")
            yield Use("Decrypt", key, {"PARAMETER_ARN": str((stored or {}).get("ARN"))})


def _secret(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = reach(SECRETS_MANAGER, "_resolve")(request.get("SecretId") or request.get("Name"))[1] or {}
    return found


def _secret_key(secret: Mapping[str, Any]) -> str:
    return secret.get("KmsKeyId") or "alias/aws/secretsmanager"


def _secret_created(_request: Request, answer: ResponseMembers) -> Iterator[Use]:
    secret = _secret({"SecretId": answer["ARN"]})
    yield from _validated(_secret_key(secret), answer["ARN"])
    if "VersionId" in answer:
        yield Use("GenerateDataKey", _secret_key(secret), _secret_context(answer["ARN"], answer["VersionId"]))


def new_secret_uses(name: str, key: object, replicas: Any = ()) -> Iterator[Use]:
    """Yield how a secret that a stack makes uses its keys; the six characters that its ARN ends in stand for any."""
    yield from _validated(_secret_key({"KmsKeyId": key}), f"{secret_uses(name)[0]}-000000")
    yield from _secret_named({"Name": name, "AddReplicaRegions": replicas})


def replicated_uses(secret_id: str, replicas: Any) -> Iterator[Use]:
    """Yield how a secret that exists and its new replicas use their keys."""
    yield from _secret_replicated({"SecretId": secret_id, "AddReplicaRegions": replicas})


def changed_secret_uses(request: Request) -> list[Use]:
    """Return how UpdateSecret uses the keys of a secret."""
    return list(_secret_changed(request))


def _secret_changed(request: Request) -> Iterator[Use]:
    secret = _secret(request)
    if not secret:
        return
    if "KmsKeyId" in request:
        # The versions that exist change to the new key: what the caller cannot decrypt, it cannot take along.
        yield Use("Decrypt", _secret_key(secret), _secret_context(secret["ARN"], _VALIDATION))
        yield from _validated(_secret_key(request), secret["ARN"])
    if request.get("SecretString") is not None or request.get("SecretBinary") is not None:
        key = _secret_key(request if "KmsKeyId" in request else secret)
        version = str(request.get("ClientRequestToken") or _VALIDATION)
        yield Use("GenerateDataKey", key, _secret_context(secret["ARN"], version))


def _secret_replicated(request: Request) -> Iterator[Use]:
    secret = _secret(request)
    if not secret:
        return
    yield Use("Decrypt", _secret_key(secret), _secret_context(secret["ARN"], _VALIDATION))
    yield from _replicas(secret["ARN"], request.get("AddReplicaRegions"))


def _secret_named(request: Request) -> Iterator[Use]:
    yield from _replicas(f"{secret_uses(str(request.get('Name')))[0]}-000000", request.get("AddReplicaRegions"))


def _replicas(secret_arn: str, regions: Any) -> Iterator[Use]:
    for replica in regions or ():
        region, arn = str(replica.get("Region")), secret_arn.split(":")
        uses = _validated(_secret_key(replica), ":".join([*arn[:3], region, *arn[4:]]))
        yield from (replace(use, region=region) for use in uses)


def _uncreate(request: Request) -> None:
    secrets, account = reach(SECRETS_MANAGER, "_secrets"), reach(RESPONSES, "get_account_id")()
    secret = secrets.pop(request.get("Name"), None) or {}
    for replica in secret.get("ReplicationStatus", ()):
        secrets.pop_scoped(account, replica["Region"], secret["Name"], None)


def _secret_read(_request: Request, answer: ResponseMembers) -> Iterator[Use]:
    for value in answer.get("SecretValues", [answer]):
        if "ARN" in value:
            key = _secret_key(_secret({"SecretId": value["ARN"]}))
            yield Use("Decrypt", key, _secret_context(value["ARN"], value["VersionId"]))


def secret_uses(secret_id: str) -> tuple[str, list[Use]]:
    """Return a secret's ARN, and the use of its key that reading its current value takes.

    A secret that does not exist has the ARN that it would have, and uses no key.
    """
    secret = _secret({"SecretId": secret_id})
    if not secret:
        here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
        return secret_id if secret_id.startswith("arn:") else f"arn:aws:secretsmanager:{here}:secret:{secret_id}", []
    return secret["ARN"], [Use("Decrypt", _secret_key(secret), _secret_context(secret["ARN"], _VALIDATION))]


def _validated(key: str, arn: str) -> Iterator[Use]:
    for operation in ("GenerateDataKey", "Decrypt"):
        yield Use(operation, key, _secret_context(arn, _VALIDATION))


def _secret_context(arn: str, version: str) -> dict[str, str]:
    return {"SecretARN": arn, "SecretVersionId": version}


def _queue(*operations: str) -> Any:
    def uses(request: Request) -> Iterator[Use]:
        try:
            queue = reach(SQS, "_get_q")(str(request.get("QueueUrl") or ""))
        except reach(SQS, "_Err"):
            return
        yield from message_uses(queue, operations)

    return uses


def message_uses(queue: Mapping[str, Any], operations: Iterable[str] = ("Decrypt",)) -> Iterator[Use]:
    """Yield how a queue's key is used, and the keys of the queues that its dead letters came from."""
    attributes = queue["attributes"]
    keys = {(attributes.get("KmsMasterKeyId"), attributes.get("QueueArn", ""))}
    if "GenerateDataKey" not in operations:
        keys |= {(key, arn) for key, arn in (it["kms"] for it in queue["messages"] if "kms" in it)}
    for key, arn in sorted((key, arn) for key, arn in keys if key):
        yield from (Use(operation, key, {"aws:sqs:arn": arn}) for operation in operations)


def refuse_new_queue_key(url: str, key: object) -> None:
    """Refuse another key, or none, for a queue that holds messages: on AWS they stay under the key before.

    Raises:
        KmsError: InvalidAttributeValue: the emulator's messages carry no key, so the old one would not be asked for.
    """
    try:
        queue = reach(SQS, "_get_q")(url)
    except reach(SQS, "_Err"):
        return
    before = queue["attributes"].get("KmsMasterKeyId") or ""
    if before and queue["messages"] and str(key or "") != before:
        raise KmsError(
            "InvalidAttributeValue",
            "The embedded AWS does not change the key of a queue that holds messages: receive and delete them first.",
        )


def _queue_changed(request: Request) -> Iterator[Use]:
    attributes = request.get("Attributes") or {
        request[name]: request.get(name.replace(".Name", ".Value")) for name in request if name.endswith(".Name")
    }
    if "KmsMasterKeyId" in attributes or str(attributes.get("SqsManagedSseEnabled")).lower() == "true":
        refuse_new_queue_key(str(request.get("QueueUrl") or ""), attributes.get("KmsMasterKeyId"))
    yield from ()


def _queue_located(request: Request, path: str) -> Request:
    return request if request.get("QueueUrl") else {**request, "QueueUrl": reach(SQS, "_url_from_path")(path)}


def _published(request: Request) -> Iterator[Use]:
    topic, _missing = reach(SNS, "_get_topic")(str(request.get("TopicArn") or request.get("TargetArn") or ""))
    if topic and topic["attributes"].get("KmsMasterKeyId"):
        for operation in ("GenerateDataKey", "Decrypt"):
            yield Use(operation, topic["attributes"]["KmsMasterKeyId"], {"aws:sns:topicArn": topic["arn"]})


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
        before={
            "CreateSecret": _secret_named, "PutSecretValue": _secret_changed,
            "ReplicateSecretToRegions": _secret_replicated, "UpdateSecret": _secret_changed,
        },
        after={"CreateSecret": _secret_created, "GetSecretValue": _secret_read, "BatchGetSecretValue": _secret_read},
        undo={"CreateSecret": _uncreate},
        codes={"AccessDeniedException": "AccessDeniedException"}, other_code="EncryptionFailure",
    ),
    Service(
        SQS, "sqs",
        before={
            **dict.fromkeys(("SendMessage", "SendMessageBatch"), _queue("GenerateDataKey", "Decrypt")),
            "ReceiveMessage": _queue("Decrypt"),
            "SetQueueAttributes": _queue_changed,
        },
        codes={code: f"Kms{name}" for code, name in _CODE_OF.items()},
        target="AmazonSQS.", xml="_xml_err_resp", located=_queue_located,
    ),
    Service(
        SNS, "sns",
        before={"Publish": _published, "PublishBatch": _published},
        codes={code: f"KMS{name}" for code, name in _CODE_OF.items()}, target=None, xml="_error",
    ),
    Service(DYNAMODB, "dynamodb", before=DYNAMODB_USES),
    Service(DYNAMODB_STREAMS, "dynamodb", before={"GetRecords": stream_uses}),
)  # fmt: skip
