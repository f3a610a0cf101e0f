"""What the services refuse a stack: names that are taken, buckets that are not empty, malformed definitions.

The emulator's provisioners do what the services would refuse.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.emulator import (
    CLOUD_WATCH,
    DYNAMODB,
    ECR,
    EVENTS,
    IAM,
    KINESIS,
    LAMBDA,
    LOGS,
    S3,
    SCHEDULER,
    SECRETS_MANAGER,
    SNS,
    SQS,
    SSM,
    STEP_FUNCTIONS,
    reach,
)
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.services.state_machine_fields import problems

Properties = Mapping[str, Any]

# By type: the property that names a resource, and the emulator's table of those that exist, by name or ARN.
_TABLES = {
    "AWS::CloudWatch::Alarm": ("AlarmName", CLOUD_WATCH, "_alarms"),
    "AWS::DynamoDB::Table": ("TableName", DYNAMODB, "_tables"),
    "AWS::ECR::Repository": ("RepositoryName", ECR, "_repositories"),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", IAM, "_policies"),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName", IAM, "_instance_profiles"),
    "AWS::IAM::Role": ("RoleName", IAM, "_roles"),
    "AWS::IAM::User": ("UserName", IAM, "_users"),
    "AWS::Kinesis::Stream": ("Name", KINESIS, "_streams"),
    "AWS::Lambda::Function": ("FunctionName", LAMBDA, "_functions"),
    "AWS::Logs::LogGroup": ("LogGroupName", LOGS, "_log_groups"),
    "AWS::S3::Bucket": ("BucketName", S3, "_buckets"),
    "AWS::Scheduler::Schedule": ("Name", SCHEDULER, "_schedules"),
    "AWS::SNS::Topic": ("TopicName", SNS, "_topics"),
    "AWS::SQS::Queue": ("QueueName", SQS, "_queue_name_to_url"),
    "AWS::SSM::Parameter": ("Name", SSM, "_parameters"),
}
_EXISTS = "Resource of type '{kind}' with identifier '{name}' already exists."
_IN_USE, _OF_IAM = "Cannot delete entity,", "(Service: Iam, Status Code: 409)"
_NOT_EMPTY = "The bucket you tried to delete is not empty (Service: S3, Status Code: 409)"
_VERSIONS_LEFT = (
    "The bucket you tried to delete is not empty. You must delete all versions in the bucket. "
    "(Service: S3, Status Code: 409)"
)


def creation(kind: str, props: Properties) -> str | None:
    """Return why a service refuses to create a resource; None if it does not."""
    if kind in _CREATIONS:
        return _CREATIONS[kind](props)
    if kind not in _TABLES:
        return None
    member, module, table = _TABLES[kind]
    name = props.get(member)
    if kind == "AWS::S3::Bucket" and name is not None and not 3 <= len(str(name)) <= 63:  # noqa: PLR2004 - S3's limits
        return f"Bucket name {name} should be between 3 and 63 characters long"
    # A log group has slashes in its name; before that of a schedule stands its group.
    paths = kind == "AWS::Scheduler::Schedule"
    named = (re.split("[:/]", it)[-1] if paths or it.startswith("arn:") else it for it in reach(module, table))
    return _EXISTS.format(kind=kind, name=name) if isinstance(name, str) and name in named else None


def _secret(props: Properties) -> str | None:
    name = props.get("Name")
    taken = bool(name) and reach(SECRETS_MANAGER, "_resolve")(name)[1] is not None
    return f"The operation failed because the secret {name} already exists." if taken else None


def _bus(props: Properties) -> str:
    return str(props.get("EventBusName") or "default").rpartition("/")[2]


def _rule(props: Properties) -> str | None:
    name = str(props.get("Name"))
    taken = reach(EVENTS, "_rule_key")(name, _bus(props)) in reach(EVENTS, "_rules")
    return _EXISTS.format(kind="AWS::Events::Rule", name=name) if taken else None


def _state_machine(props: Properties) -> str | None:
    name = props.get("StateMachineName")
    if name and any(arn.endswith(f":stateMachine:{name}") for arn in reach(STEP_FUNCTIONS, "_state_machines")):
        return _EXISTS.format(kind="AWS::StepFunctions::StateMachine", name=name)
    text = props.get("DefinitionString") or (json.dumps(props["Definition"]) if "Definition" in props else None)
    found = next(problems(text), None) if isinstance(text, str) else None
    return found and f"Invalid State Machine Definition: '{found}' (Service: AWSStepFunctions; Status Code: 400)"


def _key(props: Properties) -> str | None:
    days = props.get("PendingWindowInDays")
    if days is not None and not 7 <= int(days) <= 30:  # noqa: PLR2004 - the limits of ScheduleKeyDeletion
        return f"PendingWindowInDays must be between 7 and 30, not {days}."
    rotates = str(props.get("EnableKeyRotation", False)).lower() == "true"
    symmetric = props.get("KeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"
    if rotates and not (symmetric and props.get("Origin", "AWS_KMS") == "AWS_KMS"):
        return "You cannot set the EnableKeyRotation property to true on asymmetric, HMAC or external keys."
    return None


def _permission(props: Properties) -> str | None:
    function = str(props.get("FunctionName")).rpartition(":function:")[2] or str(props.get("FunctionName"))
    known = function.partition(":")[0] in reach(LAMBDA, "_functions")
    return None if known else f"Function not found: {function} (Service: Lambda, Status Code: 404)"


_CREATIONS: Mapping[str, Callable[[Properties], str | None]] = {
    "AWS::Events::Rule": _rule, "AWS::KMS::Key": _key,
    "AWS::Lambda::Permission": _permission, "AWS::SecretsManager::Secret": _secret,
    "AWS::StepFunctions::StateMachine": _state_machine,
}  # fmt: skip


def deletion(kind: str, physical_id: str, props: Properties) -> str | None:
    """Return why a service refuses to delete a resource, such as for what was attached outside of its stack."""
    check = _DELETIONS.get(kind)
    return check(physical_id, props) if check else None


def _bucket(name: str, _props: Properties) -> str | None:
    bucket = reach(S3, "_buckets").get(name)
    if bucket is None:
        return None
    if bucket["objects"]:
        return _NOT_EMPTY
    return _VERSIONS_LEFT if reach(S3, "_bucket_has_versions")(name) else None


def _repository(name: str, _props: Properties) -> str | None:
    images = reach(ECR, "_images").get(name)
    refused = f"The repository with name '{name}' cannot be deleted because it still contains images"
    return refused if images else None


def _principal(kind: str) -> Callable[[str, Properties], str | None]:
    def check(name: str, props: Properties) -> str | None:
        found = reach(IAM, f"_{kind}s").get(name) or {}
        inline = found.get("InlinePolicies") or reach(IAM, "_user_inline_policies").get(name) or ()
        own = {it.get("PolicyName") for it in props.get("Policies") or ()}
        if set(found.get("AttachedPolicies") or ()) - set(props.get("ManagedPolicyArns") or ()):
            return f"{_IN_USE} must detach all policies first. {_OF_IAM}"
        if set(inline) - own:
            return f"{_IN_USE} must delete policies first. {_OF_IAM}"
        profiles = reach(IAM, "_instance_profiles").values() if kind == "role" else ()
        profiled = any(name in (it.get("Roles") or ()) for it in profiles)
        return f"{_IN_USE} must remove roles from instance profile first. {_OF_IAM}" if profiled else None

    return check


def _managed_policy(arn: str, props: Properties) -> str | None:
    # CloudFormation detaches the policy from the principals of the template, and from no other.
    bound = [it for kind in ("user", "role") for it in reach(IAM, f"_{kind}s").values()]
    if any(arn == it.get("PermissionsBoundary") for it in bound):
        return f"{_IN_USE} it is a permissions boundary. {_OF_IAM}"
    for member, table in (("Roles", "_roles"), ("Users", "_users"), ("Groups", "_groups")):
        attached = {name for name, it in reach(IAM, table).items() if arn in it.get("AttachedPolicies", [])}
        if others := attached - set(props.get(member) or []):
            return f"Cannot delete a policy attached to entities: {', '.join(sorted(others))}"
    return None


def _table(name: str, _props: Properties) -> str | None:
    protected = (reach(DYNAMODB, "_tables").get(name) or {}).get("DeletionProtectionEnabled")
    said = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first"
    return said if protected else None


def _rule_of_targets(name: str, props: Properties) -> str | None:
    key = reach(EVENTS, "_rule_key")(name.rpartition("|")[2].rpartition("/")[2], _bus(props))
    others = {it.get("Id") for it in reach(EVENTS, "_targets").get(key) or ()}
    others -= {it.get("Id") for it in props.get("Targets") or ()}
    return "Rule can't be deleted since it has targets." if others else None


def _replicated(secret: str, props: Properties) -> str | None:
    found = reach(SECRETS_MANAGER, "_resolve")(secret)[1] or {}
    others = {it.get("Region") for it in found.get("ReplicationStatus") or ()}
    others -= {it.get("Region") for it in props.get("ReplicaRegions") or ()}
    return f"You can't delete secret {secret} that still has replica regions {sorted(others)}" if others else None


_DELETIONS: Mapping[str, Callable[[str, Properties], str | None]] = {
    "AWS::DynamoDB::Table": _table, "AWS::ECR::Repository": _repository, "AWS::Events::Rule": _rule_of_targets,
    "AWS::IAM::ManagedPolicy": _managed_policy, "AWS::IAM::Role": _principal("role"),
    "AWS::IAM::User": _principal("user"), "AWS::S3::Bucket": _bucket, "AWS::SecretsManager::Secret": _replicated,
}  # fmt: skip


_LONGEST_ANSWER = 4096


def answering(original: Callable[[str, dict[str, Any]], bool]) -> Callable[[str, dict[str, Any]], bool]:
    """Fail a custom resource whose answer CloudFormation does not take.

    AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
    """

    def deliver(token: str, response: dict[str, Any]) -> bool:
        reason = _untaken(response)
        return original(token, {"Status": "FAILED", "Reason": reason} if reason else response)

    return deliver


def _untaken(response: Properties) -> str | None:
    if len(json.dumps(response, ensure_ascii=False, separators=(",", ":")).encode()) > _LONGEST_ANSWER:
        return "Response object is too long."
    if response.get("Status") not in {"SUCCESS", "FAILED"}:
        return "Invalid response object: Value of property Status must be SUCCESS or FAILED"
    if not isinstance(response.get("Data") or {}, Mapping):
        return "Invalid response object: Value of property Data must be an object"
    unnamed = response["Status"] == "SUCCESS" and not response.get("PhysicalResourceId")
    return "Invalid PhysicalResourceId" if unnamed else None


class ResourceFailed(Exception):
    """CloudFormation reports the text as the reason why a resource failed."""


def text_of(refused: Exception) -> str:
    """Return the message of a refusal."""
    return refused.message if isinstance(refused, KmsError) else str(refused)


def handler_code(refused: Exception) -> str:
    """Return CloudFormation's code for a refusal: of permissions, or of a service for another reason."""
    if isinstance(refused, KmsError) and refused.code == "AlreadyExistsException":
        return "AlreadyExists"
    denied = not isinstance(refused, KmsError) or refused.code == "AccessDeniedException"
    return "AccessDenied" if denied else "GeneralServiceException"


def handler_message(reason: str, code: str) -> str:
    """Return what CloudFormation says of a resource whose handler failed with ``reason``."""
    return f'Resource handler returned message: "{reason}" (RequestToken: {uuid4()}, HandlerErrorCode: {code})'
