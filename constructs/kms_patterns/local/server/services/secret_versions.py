"""Versions of a secret as Secrets Manager keeps them, where the emulator keeps them otherwise.

A version is written once: a client request token that a version has takes no other value. A staging label is of one
version. A secret that was created without a value has no version.

AWS: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.emulator.emulator import SECRETS_MANAGER, reach
from kms_patterns.local.server.kms.kms_call import Request
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response

Handler = Callable[..., Awaitable[Response]]
_VALUES = ("SecretString", "SecretBinary")
_CURRENT = "AWSCURRENT"


def keeping(original: Handler) -> Handler:
    """Check a request against the versions that exist, then correct what the emulator stored and answers."""

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Response:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            request = {}
        secret = reach(SECRETS_MANAGER, "_resolve")(request.get("SecretId") or request.get("Name"))[1]
        try:
            known = _refused(operation, request, secret) if secret else None
            status, answered, content = known or await original(method, path, headers, body, query_params)
            answer = json.loads(content or b"{}")
            if known is None and status == HTTPStatus.OK and operation in _AFTER:
                _AFTER[operation](request, answer, reach(SECRETS_MANAGER, "_resolve")(answer["ARN"])[1])
        except KmsError as refused:
            status, answered, content = error_response(refused)
            answer = json.loads(content)
        if "message" in answer:
            answer["Message"] = answer["message"]
        return status, answered, json.dumps(answer).encode()

    return handle_request


def _refused(operation: str, request: Request, secret: dict[str, Any]) -> Response | None:
    """Return the response to a request that was served before; None to serve it."""
    token, version = request.get("ClientRequestToken"), request.get("VersionId")
    if operation == "CreateSecret" and secret.get("DeletedDate"):
        said = "You can't create this secret because a secret with this name is already scheduled for deletion."
        raise KmsError("InvalidRequestException", said)
    if operation == "DeleteSecret" and secret.get("ReplicationStatus"):
        said = f"You can't delete secret {secret['Name']} that still has replica regions"
        raise KmsError("InvalidRequestException", said)
    if operation in {"PutSecretValue", "UpdateSecret", "RotateSecret"} and token in secret["Versions"]:
        existing = secret["Versions"][token]
        if operation == "RotateSecret" or any(existing.get(name) != request.get(name) for name in _VALUES):
            said = f"You can't use ClientRequestToken {token} because that value is already in use for a version of"
            raise KmsError("ResourceExistsException", f"{said} secret {secret['ARN']}.")
        answer = {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token, "VersionStages": existing["Stages"]}
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()
    stages = secret["Versions"].get(version, {}).get("Stages", ())
    if operation == "GetSecretValue" and stages and request.get("VersionStage", stages[0]) not in stages:
        said = "You provided a VersionStage that is not associated to the provided VersionId."
        raise KmsError("InvalidRequestException", said)
    if operation == "PutSecretValue" and not any(name in request for name in _VALUES):
        raise KmsError("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
    removed = secret["Versions"].get(request.get("RemoveFromVersionId"), {}).get("Stages", ())
    moves = operation == "UpdateSecretVersionStage" and request.get("VersionStage") == _CURRENT in removed
    if moves and not request.get("MoveToVersionId"):
        said = f"You can only move staging label {_CURRENT} to a different secret version. It can't be completely"
        raise KmsError("InvalidParameterException", f"{said} removed.")
    if operation == "RotateSecret" and not (request.get("RotationLambdaARN") or secret.get("RotationLambdaARN")):
        raise KmsError("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
    return None


def _created(request: Request, answer: dict[str, Any], secret: dict[str, Any]) -> None:
    if request.get("AddReplicaRegions"):
        members = ("AddReplicaRegions", "ForceOverwriteReplicaSecret")
        replicate = {"SecretId": answer["ARN"], **{name: request[name] for name in members if name in request}}
        status, _headers, content = reach(SECRETS_MANAGER, "_replicate_secret_to_regions")(replicate)
        replicated = json.loads(content)
        if status != HTTPStatus.OK:
            del reach(SECRETS_MANAGER, "_secrets")[secret["Name"]]
            raise KmsError(replicated["__type"], replicated["message"])
        answer["ReplicationStatus"] = replicated["ReplicationStatus"]
    if all(request.get(name) is None for name in _VALUES):
        secret["Versions"].clear()
        del answer["VersionId"]
    elif request.get("ClientRequestToken"):
        secret["Versions"] = {request["ClientRequestToken"]: secret["Versions"].pop(answer["VersionId"])}
        answer["VersionId"] = request["ClientRequestToken"]


def _put(request: Request, answer: dict[str, Any], secret: dict[str, Any]) -> None:
    stages = request.get("VersionStages") or [_CURRENT]
    for version, held in secret["Versions"].items():
        kept = [stage for stage in held["Stages"] if stage not in stages]
        held["Stages"] = [*kept, *stages] if version == answer["VersionId"] else kept
    answer["VersionStages"] = secret["Versions"][answer["VersionId"]]["Stages"]


def _listed(request: Request, answer: dict[str, Any], secret: dict[str, Any]) -> None:
    given = {it["VersionId"]: it for it in answer["Versions"]}
    key = [secret.get("KmsKeyId") or "DefaultEncryptionKey"]
    answer["Versions"] = [
        {**given[version], "KmsKeyIds": key}
        for version in secret["Versions"]
        if version in given and (request.get("IncludeDeprecated") or given[version]["VersionStages"])
    ]


def _described(_request: Request, answer: dict[str, Any], _secret: dict[str, Any]) -> None:
    for name in ("Description", "RotationEnabled", "Tags", "VersionIdsToStages"):
        if not answer[name]:
            del answer[name]


_AFTER = {
    "CreateSecret": _created, "PutSecretValue": _put, "ListSecretVersionIds": _listed, "DescribeSecret": _described,
}  # fmt: skip
