"""What Secrets Manager and Parameter Store keep and refuse, where the emulator does otherwise.

A version is written once: a client request token that a version has takes no other value. A staging label is of one
version. A secret that was created without a value has no version.

AWS: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.emulator.emulator import SECRETS_MANAGER, SSM, reach
from kms_patterns.local.server.kms.kms_call import Request
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response
from kms_patterns.local.server.requests.request_members import json_object

Handler = Callable[..., Awaitable[Response]]
Params = Mapping[str, Any]
Refusal = tuple[str, str]
_VALUES = ("SecretString", "SecretBinary")
_CURRENT = "AWSCURRENT"


def keeping(original: Handler) -> Handler:
    """Check a request against the versions that exist, then correct what the emulator stored and answers."""

    async def handle_request(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Any]
    ) -> Response:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        request = json_object(body)
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


def _parameter(params: Params) -> Iterator[Refusal]:
    name, value = str(params.get("Name", "")), str(params.get("Value", ""))
    kind, stored = params.get("Type"), reach(SSM, "_parameters").get(name) or {}
    if not re.fullmatch(r"(arn:[\w:-]+:parameter)?[\w./-]+", name, re.ASCII):
        allowed = "Only a mix of letters, numbers and the following 4 symbols .-_/ are allowed."
        yield "ValidationException", f"Parameter name: {allowed}"
    if name.count("/") > _MOST_LEVELS:
        yield "HierarchyLevelLimitExceededException", f"A parameter name has at most {_MOST_LEVELS} levels."
    if not value:
        failed = "failed to satisfy constraint: Member must have length greater than or equal to 1."
        yield "ValidationException", f"1 validation error detected: Value '' at 'value' {failed}"
    if params.get("KeyId") and (kind or stored.get("Type")) != "SecureString":
        yield "ValidationException", "KeyId is required for SecureString type parameter only."
    # The type of a name outside a hierarchy may change.
    if kind and stored and params.get("Overwrite") and "/" in name and kind != stored.get("Type"):
        yield "HierarchyTypeMismatchException", f"The parameter type cannot be changed from {stored.get('Type')}."
    yield from _tier(value, params, stored)
    pattern = str(params.get("AllowedPattern") or "")
    try:
        matched = not pattern or re.search(pattern, value) is not None
    except re.error:
        yield "InvalidAllowedPatternException", f"AllowedPattern {pattern} is not a regular expression."
        return
    if not matched:
        said = f"Parameter value, cannot be validated against allowedPattern: {pattern}"
        yield "ParameterPatternMismatchException", said


def _tier(value: str, params: Params, stored: Params) -> Iterator[Refusal]:
    if "{{" in value:
        yield "ValidationException", "Parameter value can't nest another parameter. Do not use {{}} in the value."
    if stored.get("Tier") == "Advanced" and params.get("Tier") == "Standard":
        yield "ValidationException", "This parameter uses the advanced-parameter tier. You can't downgrade it."
    if params.get("Policies") and params.get("Tier") != "Advanced" and stored.get("Tier") != "Advanced":
        yield "ValidationException", "Parameter policies are supported in the advanced-parameter tier only."
    advanced = params.get("Tier") in {"Advanced", "Intelligent-Tiering"} or stored.get("Tier") == "Advanced"
    most = 8192 if advanced else 4096
    if len(value.encode()) > most:
        tier = "Advanced" if advanced else "Standard"
        yield "ValidationException", f"{tier} tier parameters support a maximum parameter value of {most} characters."


_MOST_LEVELS, _MOST_LABELS, _MOST_TAGS = 15, 10, 50


def _labels(params: Params) -> Iterator[Refusal]:
    stored = reach(SSM, "_parameters").get(str(params.get("Name"))) or {}
    given = params.get("Labels") or []
    if len({*given, *(stored.get("Labels") or ())}) > _MOST_LABELS:
        yield "ParameterVersionLabelLimitExceeded", f"A parameter version has at most {_MOST_LABELS} labels."
    for label in given:
        if not re.fullmatch(r"(?!aws|ssm|\d)[\w.-]{1,100}", str(label), re.ASCII | re.IGNORECASE):
            yield "ValidationException", f"AWS would return {label} among InvalidLabels: it is not a label."


def _secret(params: Params) -> Iterator[Refusal]:
    if params.get("SecretString") is not None and params.get("SecretBinary") is not None:
        said = "You can't specify both a binary secret value and a string secret value in the same secret."
        yield "InvalidParameterException", said
    if len(params.get("Tags") or ()) > _MOST_TAGS:
        yield "InvalidParameterException", f"A secret has at most {_MOST_TAGS} tags."
    name = str(params.get("Name") or "x")
    if not re.fullmatch(r"[-/_+=.@!\w]+", name, re.ASCII):
        said = "Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
        yield "ValidationException", f"Invalid name. {said}"


def _secret_policy(params: Params) -> Iterator[Refusal]:
    if not params.get("BlockPublicPolicy"):
        return
    found = json.loads(params.get("ResourcePolicy") or "{}").get("Statement") or []
    for statement in found if isinstance(found, list) else [found]:
        everyone = statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        if everyone and statement.get("Effect") == "Allow" and not statement.get("Condition"):
            said = "You can't put a resource policy that allows public access to the secret."
            yield "PublicPolicyException", said


def drop_replicas(secret: str, old: Params, new: Params) -> None:
    """Delete the replicas that the template of a secret named and does not any more; the emulator keeps them."""
    found = reach(SECRETS_MANAGER, "_resolve")(secret)[1] or {}
    before, after = ({it.get("Region") for it in props.get("ReplicaRegions") or ()} for props in (old, new))
    gone = [it for it in found.get("ReplicationStatus") or () if it["Region"] in before - after]
    if gone:
        reach(SECRETS_MANAGER, "_delete_replicas")({**found, "ReplicationStatus": gone})
        found["ReplicationStatus"] = [it for it in found["ReplicationStatus"] if it not in gone]


STORED_RULES: Mapping[str, tuple[Callable[[Params], Iterator[Refusal]], ...]] = {
    "ssm:LabelParameterVersion": (_labels,),
    "ssm:PutParameter": (_parameter,),
    "secretsmanager:PutResourcePolicy": (_secret_policy,),
    **{f"secretsmanager:{name}": (_secret,) for name in ("CreateSecret", "PutSecretValue", "UpdateSecret")},
}
"""By action, what yields the refusals of a request."""
