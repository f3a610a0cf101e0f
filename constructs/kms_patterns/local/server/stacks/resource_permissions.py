"""What CloudFormation needs permission for to create, update and delete a resource with the properties of a template.

A type that ``resource_types`` does not list needs ``<service>:Create<Type>``, ``Update<Type>`` and ``Delete<Type>`` on
every resource; KMS's types are not among them, because KMS itself decides about them.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-template.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.stacks.resource_types import TYPES, ResourceType

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """What CloudFormation is about to do with a resource.

    Args:
        kind: The resource's type, ``AWS::S3::Bucket``.
        action: create, update or delete.
        name: Its physical name, or, if that is not known yet, what it will begin with.
        props: Its resolved properties.
        old: Those before an update.
    """

    kind: str
    action: str
    name: str
    props: Properties
    old: Properties = field(default_factory=dict)

    def sets(self, member: str) -> bool:
        """Return whether the step gives a property a value that it did not have."""
        return bool(self.props.get(member)) and self.props[member] != self.old.get(member)


@dataclass(frozen=True)
class Permission:
    """One permission that a step of CloudFormation needs."""

    action: str
    resource: str
    conditions: Mapping[str, Any] = field(default_factory=dict)


# These set what the creating action does not: an AssumeRolePolicyDocument or a boundary comes with CreateRole itself.
_WITH_CREATE = frozenset({"AssumeRolePolicyDocument", "PermissionsBoundary"})
# Inline policies stand in the principals that they are written into.
_INLINE = {
    "AWS::IAM::Policy": (
        ("Roles", "role", "RolePolicy"), ("Users", "user", "UserPolicy"), ("Groups", "group", "GroupPolicy"),
    ),
    "AWS::IAM::RolePolicy": (("RoleName", "role", "RolePolicy"),),
    "AWS::IAM::UserPolicy": (("UserName", "user", "UserPolicy"),),
    "AWS::IAM::GroupPolicy": (("GroupName", "group", "GroupPolicy"),),
}  # fmt: skip
_SERVICES = {"IAM": "iam", "StepFunctions": "states", "CertificateManager": "acm", "Cognito": "cognito-idp"}


def permissions(step: Step) -> Iterator[Permission]:
    """Yield what a step needs."""
    kind, props = step.kind, step.props
    if kind in _INLINE:
        yield from _inline(step)
        return
    row = TYPES.get(kind)
    if row is None:
        _aws, service, noun = kind.split("::", 2)
        prefix = _SERVICES.get(service, service.lower())
        yield Permission(f"{prefix}:{step.action.title()}{noun.replace('::', '')}", "*")
        return
    if step.action == "update" and props.get(row.name) != step.old.get(row.name):
        # Another name makes another resource, for some types within the emulator's update.
        step = Step(kind, "create", re.split("[:/]", step.name)[-1], props)
    prefix = _SERVICES.get(kind.split("::")[1], kind.split("::")[1].lower())
    resource, conditions = _arn(row, step), _conditions(props)
    for action in {"create": row.create, "update": row.update, "delete": row.delete}[step.action]:
        yield Permission(f"{prefix}:{action}", resource, conditions)
    if step.action != "delete":
        for action in sorted(_of_properties(row, step)):
            yield from _each(Permission(f"{prefix}:{action}", resource, conditions), action, props)
    if kind == "AWS::IAM::ManagedPolicy" and step.action != "delete":
        yield from _attached(resource, props)


Requests = Iterator[tuple[str, Mapping[str, Any]]]


def as_requests(step: Step) -> Requests:
    """Yield the requests that CloudFormation makes for a resource, so that the service's own rules refuse it."""
    kind, name, props = step.kind, step.name, step.props
    # A mapping and a subscription that exist would be refused as second ones.
    if kind in _AS_GIVEN and (step.action == "create" or kind not in _ONCE):
        yield _AS_GIVEN[kind], {"Name": name, **props}
    if kind == "AWS::Events::Rule":
        yield "events:PutRule", props
    if kind == "AWS::SQS::Queue":
        attributes = {it: value if isinstance(value, str) else json.dumps(value) for it, value in props.items()}
        queue = attributes.pop("QueueName", None)
        attributes.pop("Tags", None)
        yield "sqs:CreateQueue", {"Attributes": attributes, "QueueUrl": name} | ({"QueueName": queue} if queue else {})
    if kind == "AWS::IAM::ManagedPolicy":
        yield "iam:CreatePolicy", {"PolicyDocument": json.dumps(props.get("PolicyDocument"))}
    if kind in {"AWS::IAM::Role", "AWS::IAM::User"}:
        who = kind.rpartition("::")[2]
        attached = props.get("ManagedPolicyArns") or ()
        for arn in attached:
            yield f"iam:Attach{who}Policy", {"PolicyArn": arn, f"{who}Name": name, "_attached": len(attached)}
        inline = "".join(json.dumps(it.get("PolicyDocument")) for it in props.get("Policies") or ())
        yield f"iam:Put{who}Policy", {f"{who}Name": name, "PolicyDocument": inline}


_ONCE = frozenset({"AWS::Lambda::EventSourceMapping", "AWS::SNS::Subscription"})
_AS_GIVEN = {
    "AWS::Events::Rule": "events:PutTargets", "AWS::Lambda::EventSourceMapping": "lambda:CreateEventSourceMapping",
    "AWS::Lambda::Function": "lambda:CreateFunction", "AWS::SNS::Subscription": "sns:Subscribe",
    "AWS::SSM::Parameter": "ssm:PutParameter",
}  # fmt: skip


def _of_properties(row: ResourceType, step: Step) -> set[str]:
    if step.action == "create":
        # What a creating action takes along needs no further one; what it does not, does.
        made = {"Code", *[name for name, action in row.properties.items() if action == "UpdateFunctionConfiguration"]}
        made |= _WITH_CREATE
        given = {name for name in step.props if name != "Tags" or _own_tags(step.props)}
        return {action for name, action in row.properties.items() if name in given and name not in made}
    changed = {name for name in row.properties if name != "Tags" and step.props.get(name) != step.old.get(name)}
    return {row.properties[name] for name in changed} | _of_tags(row.properties.get("Tags"), step)


def _of_tags(tags: str | None, step: Step) -> set[str]:
    if tags is None:
        return set()
    old, new = dict(_own_tags(step.old)), dict(_own_tags(step.props))
    untags = tags.replace("AddTagsTo", "RemoveTagsFrom") if tags.startswith("Add") else re.sub("^Tag", "Untag", tags)
    given = {tags} if any(name not in old or old[name] != new[name] for name in new) else set()
    return given | ({untags} if old.keys() - new.keys() else set())


def _own_tags(props: Properties) -> list[tuple[Any, Any]]:
    """Return the tags of a template, without those that CloudFormation adds by itself."""
    tags = props.get("Tags") or []
    listed = [(tag.get("Key"), tag) if isinstance(tag, Mapping) else (tag, None) for tag in tags]
    pairs = list(tags.items()) if isinstance(tags, Mapping) else listed
    return [(name, value) for name, value in pairs if not str(name).startswith("aws:")]


def _each(permission: Permission, action: str, props: Properties) -> Iterator[Permission]:
    # iam:PolicyARN says which policy is attached, one at a time.
    if not (action.startswith("Attach") and action.endswith("Policy")):
        yield permission
        return
    for arn in props.get("ManagedPolicyArns") or []:
        yield Permission(permission.action, permission.resource, {**permission.conditions, "iam:PolicyARN": arn})


def _attached(policy_arn: str, props: Properties) -> Iterator[Permission]:
    for member, kind in (("Roles", "Role"), ("Users", "User"), ("Groups", "Group")):
        for name in props.get(member) or []:
            arn = f"arn:aws:iam::{reach(RESPONSES, 'get_account_id')()}:{kind.lower()}/{name}"
            yield Permission(f"iam:Attach{kind}Policy", arn, {"iam:PolicyARN": policy_arn})


def _inline(step: Step) -> Iterator[Permission]:
    verb = "Delete" if step.action == "delete" else "Put"
    for member, noun, action in _INLINE[step.kind]:
        names = step.props.get(member) or []
        for name in [names] if isinstance(names, str) else names:
            arn = f"arn:aws:iam::{reach(RESPONSES, 'get_account_id')()}:{noun}/{name}"
            yield Permission(f"iam:{verb}{action}", arn)


def _conditions(props: Properties) -> dict[str, Any]:
    boundary = props.get("PermissionsBoundary")
    return {"iam:PermissionsBoundary": boundary} if isinstance(boundary, str) else {}


def _arn(row: ResourceType, step: Step) -> str:
    name, props = step.name, step.props
    if "{name}" in row.arn and step.action != "create":
        # The physical id of some types is the resource's ARN, that of a queue its URL.
        if name.startswith("arn:"):
            return name
        name = name.rpartition("/")[2] if "://" in name else name
    values = {key: _last(value) for key, value in props.items() if isinstance(value, str)}
    values |= {
        "name": str(props[row.name] if isinstance(props.get(row.name), str) else name).lstrip("/"),
        "path": str(props.get("Path") or "/"),
        "region": reach(RESPONSES, "get_region")(),
        "account": reach(RESPONSES, "get_account_id")(),
    }
    return row.arn.format_map(_Known(values))


def _last(value: str) -> str:
    return value.partition(":function:")[2] or value


class _Known(dict[str, str]):
    def __missing__(self, _name: str) -> str:
        return "*"
