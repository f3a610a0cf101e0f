"""Permissions that a request needs besides its own: for roles that it passes, tags that it sets, code that it reads.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.local.server.emulator.acting import trusts
from kms_patterns.local.server.emulator.emulator import IAM, RESPONSES, reach
from kms_patterns.local.server.faults import is_new_role
from kms_patterns.local.server.requests.request_members import Members, Served, members_of

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
# A role in these is named as a principal or a resource, or assumed: it is not handed over.
_NOT_PASSED = re.compile(r"principal|resource|grantee|user|policyarn|sourcearn|retiring", re.IGNORECASE)
# By the name of a service here, or in CloudFormation's types: its principal, where that is another word.
_PRINCIPALS = {
    "ecs": "ecs-tasks", "efs": "elasticfilesystem", "iam": "ec2", "kinesisfirehose": "firehose",
    "monitoring": "cloudwatch", "msk": "kafka", "stepfunctions": "states",
}  # fmt: skip
# By principal: the refusal of a role that does not trust a service which tries it at once.
_ASSUMED_AT_ONCE = {
    "lambda": ("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."),
    "states": (
        "AccessDeniedException",
        "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the "
        "provided role.",
    ),
    "scheduler": (
        "ValidationException",
        "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
    ),
    "pipes": ("ValidationException", "{role} must allow pipes.amazonaws.com to assume the role."),
}
_NO_PASSING = frozenset({"sts", "iam", "kms", "sqs", "sns", "tagging", "resource-groups", "cloudtrail"})


def passed_to(service: str, action: str = "") -> str:
    """Return the service principal that a role is passed to: iam:PassedToService."""
    if action == "s3:CreateJob":
        return "batchoperations.s3.amazonaws.com"
    return f"{_PRINCIPALS.get(service, service)}.amazonaws.com"


def passed_by(service: str, action: str, request: Served) -> list[str]:
    """Return the ARNs of the roles that a request hands to a service."""
    if action == "iam:AddRoleToInstanceProfile":
        names = {value for name, value in request.members() if name == "RoleName"}
        return [_role_arn(name) for name in sorted(names)]
    if service == "ec2":
        return [*_found(request.members()), *_of_profiles(request)]
    return [] if service in _NO_PASSING or (service == "s3" and request.is_object) else _found(request.members())


def unusable(service: str, role: str) -> tuple[str, str] | None:
    """Return code and message of the refusal of a role that the service may not assume; None if it may."""
    principal = passed_to(service)
    refusal = _ASSUMED_AT_ONCE.get(principal.partition(".")[0])
    usable = trusts(role, principal) and not is_new_role(role)
    return None if refusal is None or usable else (refusal[0], refusal[1].format(role=role))


def passed_roles(properties: Any) -> list[str]:
    """Return the ARNs of the roles in the properties of a CloudFormation resource."""
    return _found(members_of(properties))


def _found(members: Members) -> list[str]:
    # A template holds roles as text of its own: CloudFormation asks when it hands them on.
    roles = {value for name, value in members if _ROLE.fullmatch(value) and not _NOT_PASSED.search(name)}
    return sorted(roles)


def _of_profiles(request: Served) -> Iterator[str]:
    profiles = reach(IAM, "_instance_profiles")
    for name, value in request.members():
        if name in {"Name", "Arn"} or name.startswith("IamInstanceProfile"):
            profile = profiles.get(value.rsplit("/", 1)[-1]) or {}
            for role in profile.get("Roles", []):
                yield _role_arn(role if isinstance(role, str) else str(role.get("RoleName")))


def _role_arn(name: str) -> str:
    role = reach(IAM, "_roles").get(name) or {}
    return str(role.get("Arn") or f"arn:aws:iam::{reach(RESPONSES, 'get_account_id')()}:role/{name}")


# By service: the action that an operation which creates with tags needs as well, or the first of several, one of which
# is enough. Services that are not here check the condition keys of the tags only.
_TAGGING = {
    "acm": "acm:AddTagsToCertificate", "backup": "backup:TagResource", "cloudwatch": "cloudwatch:TagResource",
    "dynamodb": "dynamodb:TagResource", "ecr": "ecr:TagResource", "ecs": "ecs:TagResource", "eks": "eks:TagResource",
    "events": "events:TagResource", "firehose": "firehose:TagDeliveryStream", "glue": "glue:TagResource",
    "kinesis": "kinesis:AddTagsToStream", "lambda": "lambda:TagResource", "logs": "logs:TagResource|logs:TagLogGroup",
    "rds": "rds:AddTagsToResource", "scheduler": "scheduler:TagResource",
    "secretsmanager": "secretsmanager:TagResource", "sns": "sns:TagResource", "sqs": "sqs:TagQueue",
    "ssm": "ssm:AddTagsToResource", "states": "states:TagResource",
}  # fmt: skip
_OF_IAM = {
    "CreateInstanceProfile": "TagInstanceProfile", "CreateOpenIDConnectProvider": "TagOpenIDConnectProvider",
    "CreatePolicy": "TagPolicy", "CreateRole": "TagRole", "CreateSAMLProvider": "TagSAMLProvider",
    "CreateUser": "TagUser", "CreateVirtualMFADevice": "TagMFADevice",
    "UploadServerCertificate": "TagServerCertificate",
}  # fmt: skip
_CREATING = ("Create", "Put", "Register", "Request", "Run")
_PUBLISHING = frozenset({"states:CreateStateMachine", "states:UpdateStateMachine"})


def creating(action: str, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the actions, on the resource of the request itself, that it needs for what it creates along.

    Actions with ``|`` between them are alternatives.

    Args:
        action: Its own action.
        params: Its members; those of the query protocol are flat.
    """
    service, _, operation = action.partition(":")
    tagged = any(
        name.lower() == "tags" or name.startswith(("Tags.member.", "Tag.")) for name, value in params.items() if value
    )
    if tagged and service == "iam" and operation in _OF_IAM:
        yield f"iam:{_OF_IAM[operation]}"
    if tagged and service in _TAGGING and operation.startswith(_CREATING):
        yield "kinesis:TagResource" if action == "kinesis:RegisterStreamConsumer" else _TAGGING[service]
    if service == "logs" and params.get("unmask"):
        yield "logs:Unmask"
    if action in _PUBLISHING and params.get("publish"):
        yield "states:PublishStateMachineVersion"
    if action == "secretsmanager:CreateSecret" and params.get("AddReplicaRegions"):
        yield "secretsmanager:ReplicateSecretToRegions"


_READING_CODE = frozenset({"lambda:CreateFunction", "lambda:PublishLayerVersion", "lambda:UpdateFunctionCode"})
_URL = re.compile(
    r"https?://(?:([\w.-]+)\.s3[\w.-]*\.amazonaws\.com|(?:s3[\w.-]*\.amazonaws\.com|[\w.-]+:\d+)/([\w.-]+))/(.+)"
)


def read_objects(action: str, params: Mapping[str, Any]) -> list[str]:
    """Return the ARNs of the objects that a service reads for its caller: code of functions, templates."""
    if action in _READING_CODE:
        code = params.get("Code") or params.get("Content") or params
        named = (code.get("S3Bucket"), code.get("S3Key")) if isinstance(code, Mapping) else (None, None)
        return [f"arn:aws:s3:::{named[0]}/{named[1]}"] if all(named) else []
    found = [_URL.fullmatch(str(params.get(name) or "")) for name in ("TemplateURL", "StackPolicyURL")]
    urls = found if action.startswith("cloudformation:") else []
    return [f"arn:aws:s3:::{it[1] or it[2]}/{it[3].partition('?')[0]}" for it in urls if it]
