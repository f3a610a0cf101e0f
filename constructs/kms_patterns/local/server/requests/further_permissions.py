"""Permissions that a request needs besides its own: for roles that it passes, tags that it sets, code that it reads.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.local.server.emulator.acting import trusts
from kms_patterns.local.server.emulator.emulator import IAM, RESPONSES, S3, reach
from kms_patterns.local.server.faults import is_new_role
from kms_patterns.local.server.requests.request_members import Members, Served, json_object, members_of

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
_NO_PASSING = frozenset({"sts", "iam", "kms", "sqs", "sns", "tagging", "resource-groups"})


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
    reads = action.partition(":")[2].startswith(("Get", "List", "Lookup", "Describe"))
    subscribes = action in {"sns:Subscribe", "sns:SetSubscriptionAttributes"}
    none = (service in _NO_PASSING and not subscribes) or reads or (service == "s3" and request.is_object)
    return [] if none else _found(request.members())


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
    "acm": "acm:AddTagsToCertificate", "backup": "backup:TagResource",
    "cloudformation": "cloudformation:TagResource", "cloudwatch": "cloudwatch:TagResource",
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
_CREATING = ("Create", "Put", "Register", "Request", "Run", "UpdateStack")
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


_READING = ("s3:GetObject", "s3:GetObjectVersion")
_READING_CODE = frozenset({"lambda:CreateFunction", "lambda:PublishLayerVersion", "lambda:UpdateFunctionCode"})
_URL = re.compile(
    r"https?://(?:([\w.-]+)\.s3[\w.-]*\.amazonaws\.com|(?:s3[\w.-]*\.amazonaws\.com|[\w.-]+:\d+)/([\w.-]+))/(.+)"
)


def read_objects(action: str, params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the objects that a service reads for its caller, code and templates: the action, and the object's ARN."""
    if action in _READING_CODE:
        code = params.get("Code") or params.get("Content") or params
        code = code if isinstance(code, Mapping) else {}
        named = f"arn:aws:s3:::{code.get('S3Bucket')}/{code.get('S3Key')}"
        return [(_READING[bool(code.get("S3ObjectVersion"))], named)] if code.get("S3Bucket") else []
    found = [_URL.fullmatch(str(params.get(name) or "")) for name in ("TemplateURL", "StackPolicyURL")]
    urls = found if action.startswith("cloudformation:") else []
    return [
        (_READING["versionId=" in it[3]], f"arn:aws:s3:::{it[1] or it[2]}/{it[3].partition('?')[0]}")
        for it in urls
        if it
    ]


# By action: a header, or its beginning, and the action that it needs besides.
_FURTHER = {
    "s3:PutObject": (
        ("x-amz-tagging", "s3:PutObjectTagging"), ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
        ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"), ("x-amz-acl", "s3:PutObjectAcl"),
        ("x-amz-grant-", "s3:PutObjectAcl"),
    ),
    "s3:CreateBucket": (
        ("x-amz-acl", "s3:PutBucketAcl"), ("x-amz-grant-", "s3:PutBucketAcl"),
        ("x-amz-bucket-object-lock-enabled", "s3:PutBucketObjectLockConfiguration"),
        ("x-amz-bucket-object-lock-enabled", "s3:PutBucketVersioning"),
        ("x-amz-object-ownership", "s3:PutBucketOwnershipControls"),
    ),
}  # fmt: skip


def of_headers(action: str, headers: Mapping[str, str]) -> list[str]:
    """Return the actions that a request needs besides its own, for what its headers set.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (Permissions)
    """
    if action == "s3:UpdateObjectEncryption":
        # AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/update-sse-encryption.html (Required permissions)
        return ["s3:PutObject"]
    return sorted(
        needed
        for header, needed in _FURTHER.get(action, ())
        if any(name == header or (header.endswith("-") and name.startswith(header)) for name in headers)
    )


def copied_tags(request: Served) -> list[tuple[str, str | None]]:
    """Return the actions, with their resources, for the tags that a copy takes along; None for the copy itself.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html (Permissions)
    """
    source, version = request.source
    bucket, _, key = source.partition("/")
    # The parts of an upload take no tags along.
    if not source or "uploadId" in request.query or request.fields.get("x-amz-tagging-directive", "COPY") != "COPY":
        return []
    if not reach(S3, "object_tags_for_condition")(bucket, key, {"versionId": [version]}):
        return []
    reading = "s3:GetObjectVersionTagging" if version else "s3:GetObjectTagging"
    return [(reading, f"arn:aws:s3:::{source}"), ("s3:PutObjectTagging", None)]


_STATEMENT = re.compile(
    r"\b(?:(SELECT)\b.*?\bFROM|(INSERT)\s+INTO|(UPDATE)|(DELETE)\s+FROM)"
    r"\s+\"?([\w-]+(?:\.[\w-]+)*)\"?(?:\s*\.\s*\"([\w.-]+)\")?",
    re.IGNORECASE | re.DOTALL,
)


def partiql(service: str, body: bytes) -> tuple[str | None, str]:
    """Return the action and the table, or its index, of the first statement of PartiQL in a request to DynamoDB."""
    found = next(_statements(json_object(body)), None) if service == "dynamodb" and b"tatement" in body else None
    return found or (None, "")


def _statements(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the action and the table, or its index, of each statement of PartiQL.

    AWS: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
    """
    several = [it for name in ("Statements", "TransactStatements") for it in params.get(name) or ()]
    for text in (params.get("Statement"), *(it.get("Statement") for it in several if isinstance(it, Mapping))):
        for verbs in _STATEMENT.findall(text if isinstance(text, str) else ""):
            verb = next(filter(None, verbs[:4])).capitalize()
            yield f"dynamodb:PartiQL{verb}", f"{verbs[4]}/index/{verbs[5]}" if verbs[5] else verbs[4]


def of_statements(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the actions, with the ARNs of the tables or indexes, of all statements of PartiQL of a request."""
    here = f"arn:aws:dynamodb:{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}:table"
    return [(action, f"{here}/{table}") for action, table in _statements(params)]
