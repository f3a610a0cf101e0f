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
    KMS,
    LAMBDA,
    LOGS,
    S3,
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
    "AWS::SNS::Topic": ("TopicName", SNS, "_topics"),
    "AWS::SQS::Queue": ("QueueName", SQS, "_queue_name_to_url"),
    "AWS::SSM::Parameter": ("Name", SSM, "_parameters"),
}
_EXISTS = "Resource of type '{kind}' with identifier '{name}' already exists."
_NOT_EMPTY = "The bucket you tried to delete is not empty (Service: S3, Status Code: 409)"
_VERSIONS_LEFT = (
    "The bucket you tried to delete is not empty. You must delete all versions in the bucket. "
    "(Service: S3, Status Code: 409)"
)

REPLACING: Mapping[str, frozenset[str]] = {
    "AWS::KMS::Key": frozenset(),
    "AWS::KMS::Alias": frozenset({"AliasName"}),
    "AWS::KMS::ReplicaKey": frozenset({"PrimaryKeyArn"}),
    "AWS::S3::Bucket": frozenset({"BucketName", "ObjectLockEnabled"}),
    "AWS::S3::BucketPolicy": frozenset({"Bucket"}),
    "AWS::IAM::Policy": frozenset(),
    "AWS::SecretsManager::Secret": frozenset({"Name"}),
    "AWS::Logs::LogGroup": frozenset({"LogGroupName"}),
    "AWS::Events::Rule": frozenset({"Name", "EventBusName"}),
    "AWS::Lambda::Permission": frozenset({
        "Action", "EventSourceToken", "FunctionName", "FunctionUrlAuthType", "InvokedViaFunctionUrl", "Principal",
        "PrincipalOrgID", "SourceAccount", "SourceArn",
    }),
    "AWS::Lambda::Url": frozenset({"TargetFunctionArn", "Qualifier"}),
    "AWS::Lambda::EventSourceMapping": frozenset({"EventSourceArn", "StartingPosition", "StartingPositionTimestamp"}),
    "AWS::SNS::Subscription": frozenset({"Endpoint", "Protocol", "TopicArn"}),
    "AWS::SQS::QueuePolicy": frozenset(),
    "AWS::SNS::TopicPolicy": frozenset(),
}  # fmt: skip
"""By type, the properties whose change replaces the resource ("Update requires" in AWS's template reference)."""


def creation(kind: str, props: Properties) -> str | None:
    """Return why a service refuses to create a resource; None if it does not."""
    if kind in _CREATIONS:
        return _CREATIONS[kind](props)
    if kind not in _TABLES:
        return None
    member, module, table = _TABLES[kind]
    name = props.get(member)
    named = (re.split("[:/]", it)[-1] if it.startswith("arn:") else it for it in reach(module, table))
    return _EXISTS.format(kind=kind, name=name) if isinstance(name, str) and name in named else None


def _alias(props: Properties) -> str | None:
    arn = reach(KMS, "_alias_arn")(str(props.get("AliasName") or ""))
    taken = arn in reach(KMS, "_aliases")
    return f"An alias with the name {arn} already exists (Service: Kms, Status Code: 400)" if taken else None


def _secret(props: Properties) -> str | None:
    name = props.get("Name")
    taken = bool(name) and reach(SECRETS_MANAGER, "_resolve")(name)[1] is not None
    return f"The operation failed because the secret {name} already exists." if taken else None


def _rule(props: Properties) -> str | None:
    name, bus = str(props.get("Name")), str(props.get("EventBusName") or "default").rpartition("/")[2]
    taken = reach(EVENTS, "_rule_key")(name, bus) in reach(EVENTS, "_rules")
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


_CREATIONS: Mapping[str, Callable[[Properties], str | None]] = {
    "AWS::Events::Rule": _rule, "AWS::KMS::Alias": _alias, "AWS::KMS::Key": _key,
    "AWS::SecretsManager::Secret": _secret, "AWS::StepFunctions::StateMachine": _state_machine,
}  # fmt: skip


def deletion(kind: str, physical_id: str, props: Properties) -> str | None:
    """Return why a service refuses to delete a resource; None if it does not."""
    if kind == "AWS::S3::Bucket":
        return _bucket(physical_id)
    if kind == "AWS::ECR::Repository":
        return _repository(physical_id)
    return _managed_policy(physical_id, props) if kind == "AWS::IAM::ManagedPolicy" else None


def _bucket(name: str) -> str | None:
    bucket = reach(S3, "_buckets").get(name)
    if bucket is None:
        return None
    if bucket["objects"]:
        return _NOT_EMPTY
    return _VERSIONS_LEFT if reach(S3, "_bucket_has_versions")(name) else None


def _repository(name: str) -> str | None:
    images = reach(ECR, "_images").get(name)
    refused = f"The repository with name '{name}' cannot be deleted because it still contains images"
    return refused if images else None


def _managed_policy(arn: str, props: Properties) -> str | None:
    # CloudFormation detaches the policy from the roles of the template, and from no other.
    attached = {name for name, role in reach(IAM, "_roles").items() if arn in role.get("AttachedPolicies", [])}
    roles = attached - set(props.get("Roles") or [])
    return f"Cannot delete a policy attached to entities: {', '.join(sorted(roles))}" if roles else None


class ResourceFailed(Exception):
    """CloudFormation reports the text as the reason why a resource failed."""


def text_of(refused: Exception) -> str:
    """Return the message of a refusal."""
    return refused.message if isinstance(refused, KmsError) else str(refused)


def handler_code(refused: Exception) -> str:
    """Return CloudFormation's code for a refusal: of permissions, or of a service for another reason."""
    denied = not isinstance(refused, KmsError) or refused.code == "AccessDeniedException"
    return "AccessDenied" if denied else "GeneralServiceException"


def handler_message(reason: str, code: str) -> str:
    """Return what CloudFormation says of a resource whose handler failed with ``reason``."""
    return f'Resource handler returned message: "{reason}" (RequestToken: {uuid4()}, HandlerErrorCode: {code})'
