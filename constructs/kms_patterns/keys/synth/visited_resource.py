"""A resource as an aspect visits it: its properties as they are given, and as they resolve."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import Any, Final

from aws_cdk import Annotations, CfnResource, DefaultTokenResolver, Reference, Stack, StringConcat, Tokenization
from constructs import IConstruct

from kms_patterns.keys.environment import home_of, is_unresolved, stack_of
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.policy.actions import DECRYPT, ENCRYPT, GENERATE_DATA_KEY
from kms_patterns.policy.conditions import as_list

_ANY_TYPE: Final = "aws-cdk-lib.CfnResource"
_PARTS: Final = 3
_GLOBAL_TABLE: Final = "aws-cdk-lib.aws_dynamodb.CfnGlobalTable"
NOTIFICATIONS: Final = "Custom::S3BucketNotifications"
"""What the AWS CDK makes of the event notifications of a bucket."""
CUSTOM: Final = (NOTIFICATIONS, "Custom::CDKBucketDeployment")
"""Custom resources of the AWS CDK that name keys, or what is under one."""
_IMPORTED: Final[Mapping[str, tuple[str, str, str]]] = {
    "aws-cdk-lib.aws_s3.BucketBase": ("s3", "bucket_arn", "encryption_key"),
    "aws-cdk-lib.aws_sns.TopicBase": ("sns", "topic_arn", "master_key"),
    "aws-cdk-lib.aws_sqs.QueueBase": ("sqs", "queue_arn", "encryption_master_key"),
}
"""Class of what an app imports -> row of its service, and its properties that hold its ARN and its key."""


class _ByPath(DefaultTokenResolver):
    """Resolves a reference to the construct path of its resource: the app's references have no names before synth."""

    def resolve_token(self, token: Any, context: Any, post_processor: Any) -> Any:
        """Return the path behind a reference, and of any other token what a template would show."""
        if Reference.is_reference(token):
            return token.target.node.path
        return super().resolve_token(token, context, post_processor)


def resolved_by_path(value: Any, stack: Stack) -> Any:
    """Return ``value`` with construct paths for references."""
    return Tokenization.resolve(value, scope=stack, resolver=_ByPath(StringConcat()), preparing=False)


def imported(node: IConstruct) -> tuple[str, str, str, str] | None:
    """Return row of the service, ARN, given and resolved ARN of the key of an imported topic, queue or bucket.

    None for other constructs, and where the app does not say under which key it is.
    """
    service, arn, key = _IMPORTED.get(getattr(type(node), "__jsii_type__", ""), ("", "", ""))
    given = getattr(node, key).key_arn if service and getattr(node, key) is not None else None
    if given is None:
        return None
    found = [resolved_by_path(it, stack_of(node)) for it in (getattr(node, arn), given)]
    target, name = (it if isinstance(it, str) else json.dumps(it, sort_keys=True) for it in found)
    return service, target, given, name


def class_of(kind: str) -> str:
    """Return the L1 class of a CloudFormation type."""
    _, service, name = kind.split("::")
    return f"aws-cdk-lib.aws_{service.lower()}.Cfn{name}"


class VisitedResource:
    """A resource, of which the CDK's process is asked once, and only for what matters."""

    def __init__(self, node: CfnResource, kind: str) -> None:
        self.node, self.kind = node, kind
        self.given: Mapping[str, Any] = node._cfn_properties  # noqa: SLF001 -- the one way to any resource's properties

    @cached_property
    def path(self) -> str:
        """Its construct path."""
        return str(self.node.node.path)

    @cached_property
    def stack(self) -> Stack:
        """Its stack."""
        return self.node.stack

    @cached_property
    def type(self) -> str:
        """Its CloudFormation type."""
        return self.node.cfn_resource_type

    @cached_property
    def resolved(self) -> Mapping[str, Any]:
        """Its properties, resolved."""
        found: Mapping[str, Any] = self.stack.resolve(self.given) or {}
        return found


def at(resolved: Any, where: Sequence[str]) -> Any:
    """Return what stands at the place of properties that were given, in all members of lists on the way.

    A plain ``CfnResource`` has the spelling of the template: SSESpecification where the L1 class has sseSpecification.
    """
    for name in where:
        if isinstance(resolved, list):
            resolved = [_member(it, name) for it in resolved if isinstance(it, dict)]
        else:
            resolved = _member(resolved, name) if isinstance(resolved, dict) else None
    return resolved


def _member(properties: Mapping[str, Any], name: str) -> Any:
    return next((value for given, value in properties.items() if given.lower() == name.lower()), None)


def class_of_resource(resource: CfnResource) -> str:
    """Return the L1 class of a resource, also of one that the app wrote as a ``CfnResource`` of some type.

    A type that is not AWS's is returned itself.
    """
    kind = str(getattr(type(resource), "__jsii_type__", ""))
    title = resource.cfn_resource_type if kind == _ANY_TYPE else ""
    known = title.startswith("AWS::") and len(title.split("::")) == _PARTS
    return class_of(title) if known else title or kind


def leaves(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what stands in properties, and where; members of one list at one place."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, (*where, name))
    elif isinstance(value, list) and not any(str(member).startswith("#{Token[") for member in value):
        for member in value:
            yield from leaves(member, where)
    elif value is not None and not isinstance(value, bool | int | float):
        yield where, value


def names(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the texts and references in a resolved value, and where."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        if len(value) == 1:
            yield where, json.dumps(value, sort_keys=True)
        for name, member in value.items():
            yield from names(member, (*where, name))
    elif isinstance(value, list):
        for member in value:
            yield from names(member, where)


def parsed(text: str) -> Any:
    """Return what :func:`names` yields as it stood in the resolved value; that of an input transformer is not JSON."""
    try:
        return json.loads(text) if text.startswith("{") else text
    except ValueError:
        return text


def joined(argument: Any) -> dict[str, Any]:
    """Return what Fn::Sub does with a text, or with a text and values of its own, as Fn::Join."""
    text, values = argument if isinstance(argument, list) else (argument, {})
    # Texts and names in turn; ${!Name} is the text ${Name}.
    parts: list[Any] = re.split(r"\$\{([^!}][^}]*)\}", text)
    for number, name in enumerate(parts[1::2]):
        reference = {"Fn::GetAtt": name.split(".", 1)} if "." in name else {"Ref": name}
        parts[2 * number + 1] = values.get(name, reference)
    return {"Fn::Join": ["", parts]}


def is_granted_to_its_role(key: GrantTarget, visited: VisitedResource) -> bool:
    """Return whether the key policy lets a role that the resource names encrypt or decrypt."""
    policy = allowed(key, {DECRYPT, ENCRYPT, GENERATE_DATA_KEY})
    given = names(resolved_by_path(visited.given, visited.stack))
    roles = {text for where, text in given if where and "role" in where[-1].lower()}
    return any(text in policy for role in roles for text in (f'"{role}"', f'/{_role_name(visited, role)}"'))


def allowed(key: GrantTarget, actions: Set[str]) -> str:
    """Return the Allow statements of a key policy about one of ``actions``, as text."""
    found = [it for it in policy_of(key) if it.get("Effect") == "Allow"]
    return json.dumps([it for it in found if not actions.isdisjoint(as_list(it.get("Action", [])))])


def policy_of(key: GrantTarget) -> list[dict[str, Any]]:
    """Return the statements of a key policy, resolved by path, or those that its owner is told to add."""
    resource = getattr(key, "resource", None)
    if resource is None:
        return list(getattr(key, "owner_statements", ()))
    statements = as_list(resolved_by_path(resource.key_policy, key.stack).get("Statement", []))
    return [it for it in statements if isinstance(it, dict)]


def _role_name(visited: VisitedResource, path: str) -> str | None:
    """Return the name that the app gave the role at a construct path, by which its ARN is known in other stacks."""
    found: IConstruct | None = visited.stack.node.root
    for name in path.split("/"):
        found = found.node.try_find_child(name) if found is not None else None
    return getattr(found, "role_name", None)


def check_region(key: GrantTarget, home: str, visited: VisitedResource) -> Iterator[str]:
    """Yield why a resource cannot be under a key whose Region is ``home``."""
    here = home_of(visited.stack).region
    # A global table names the keys of its replicas, each in its own Region.
    if is_unresolved(home) or is_unresolved(here) or home == here or visited.kind == _GLOBAL_TABLE:
        return
    yield (
        f"{visited.path} in {here} is encrypted under {key.node.path} in {home}: AWS services take "
        "keys of their own Region only; make the key with multi_region=True and a ReplicaKey there, or another key"
    )


def warn_of_role(key: GrantTarget, service: str, path: str) -> None:
    """Say that the role which a service assumes for a resource may not use the key of the resource."""
    if key.access is KeyAccess.NAMED and hasattr(key, "resource"):
        text = (
            f"{path}: {service} has its role decrypt what is under this key, and the key policy does not let "
            f"it: that would end in AccessDeniedException. Call allow_use_through({service!r}, role)"
        )
        Annotations.of(key).add_warning_v2(f"kms-patterns:RoleWithoutKey:{path}", text)


def warn_of_unknown(
    key: GrantTarget, resource: VisitedResource, where: str, launched: str | None, *, has_row: bool
) -> None:
    """Say that a resource may be encrypted under a key, and that the table does not list what its service needs."""
    if key.access is not KeyAccess.NAMED or launched in key.services_with_creators:
        return
    what = f"{resource.path} ({resource.type}) names this key at {where}, and "
    if launched is not None:
        what += (
            "what is launched from it is created by another role than the one that deploys: nothing was allowed. Call "
            f"allow_use_through({launched!r}, role, create=True) with the role that launches; that of Auto Scaling is "
            "its service-linked role, with key_policy_only=True"
        )
    else:
        unknown = "has no row for this property" if has_row else "has no row for it"
        what += (
            f"kms_patterns.policy.services {unknown}: nothing was allowed for its creation or use. If it encrypts "
            "under the key, allow that with grant_operations(role, …, via_service=…), or make the key with "
            "access=KeyAccess.DELEGATED; then acknowledge this warning"
        )
    Annotations.of(key).add_warning_v2(f"kms-patterns:UnknownService:{resource.path}", what)
