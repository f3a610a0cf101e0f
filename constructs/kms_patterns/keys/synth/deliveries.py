"""Finds AWS services that deliver to topics, queues and buckets under a key, and lets them use it.

A topic policy may let an alarm publish; without the key the message is lost, and nothing says so at deployment.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import Annotations, DefaultTokenResolver, Reference, Stack, StringConcat, Tokenization

from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.services import SERVICES

RECEIVING: Final = ("s3", "sns", "sqs")
"""Rows of the services that encrypt what another one delivers."""
_BY_NAME: Final[Mapping[str, tuple[str, str]]] = {
    "aws-cdk-lib.aws_cloudwatch.CfnAlarm": ("cloudwatch", ""),
    "aws-cdk-lib.aws_cloudwatch.CfnCompositeAlarm": ("cloudwatch", ""),
    "aws-cdk-lib.aws_cloudtrail.CfnTrail": ("cloudtrail", ""),
    "aws-cdk-lib.aws_ec2.CfnFlowLog": ("delivery.logs", ""),
    "aws-cdk-lib.aws_events.CfnRule": ("events", "targets"),
    "aws-cdk-lib.aws_s3.CfnBucket": ("s3", "inventoryConfigurations"),
    "aws-cdk-lib.aws_ses.CfnReceiptRule": ("ses", "rule"),
}
"""L1 class -> row of the service that delivers to what its properties name, and the one that does; empty: all do."""
_POLICIES: Final[Mapping[str, str]] = {
    "aws-cdk-lib.aws_s3.CfnBucketPolicy": "bucket",
    "aws-cdk-lib.aws_sns.CfnTopicPolicy": "topics",
    "aws-cdk-lib.aws_sqs.CfnQueuePolicy": "queues",
}
"""L1 class -> property that names the resources whose policy it is."""
DELIVERING: Final = {*_BY_NAME, *_POLICIES}
_ANY: Final = ":*:*:*"
_DATA: Final = {"s3:putobject", "sns:publish", "sqs:sendmessage"}
_ROWS: Final = {use.principal: name for name, use in reversed(list(SERVICES.items())) if use.principal}


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


@dataclass(frozen=True)
class Delivery:
    """A delivery by an AWS service.

    Attributes:
        service: A row of the table, or a service principal that has none.
        target: Construct path of the topic, queue or bucket.
        by: Construct path of what makes the service deliver.
        sources: Resources for which it delivers, where a policy names them.
    """

    service: str
    target: str
    by: str
    sources: tuple[str, ...] = ()


def deliveries(kind: str, by: str, given: Mapping[str, Any], stack: Stack) -> Iterator[Delivery]:
    """Yield what a resource makes AWS services deliver.

    Args:
        kind: L1 class of the resource, one of :data:`DELIVERING`.
        by: Its construct path.
        given: Its properties.
        stack: Its stack.
    """
    if kind in _BY_NAME:
        service, member = _BY_NAME[kind]
        # One request first: by path, each token is a request of its own, and most resources deliver nothing.
        if member and not stack.resolve(given.get(member)):
            return
        named = resolved_by_path(given.get(member) if member else given, stack)
        yield from (Delivery(service, text, by) for text in dict.fromkeys(_texts(named)))
        return
    if not any(_delivers(statement) for statement in _statements(stack.resolve(given["policyDocument"]))):
        return
    properties = resolved_by_path(given, stack)
    targets = list(_texts(properties.get(_POLICIES[kind], ())))
    for statement in _statements(properties["policyDocument"]):
        if _delivers(statement):
            sources = tuple(_sources(statement))
            yield from (Delivery(name, target, by, sources) for name in _services(statement) for target in targets)


def _statements(document: Any) -> list[Any]:
    return _as_list((document or {}).get("Statement", ()))


def _delivers(statement: Mapping[str, Any]) -> bool:
    acts = {str(act).lower() for act in _as_list(statement.get("Action", ()))}
    return statement["Effect"] == "Allow" and bool(acts & _DATA) and bool(_principals(statement))


def let_in(key: GrantTarget, delivery: Delivery) -> None:
    """Let the service use the key of the resource to which it delivers, unless the key policy does already."""
    use = SERVICES.get(delivery.service)
    principal = str(use.principal if use is not None else delivery.service)
    if _is_let_in(key, principal, delivery.sources):
        return
    allow = getattr(key, "allow_service", None)
    if use is not None and allow is not None:
        allow(delivery.service)
        return
    call = f"allow_service({delivery.service!r})" if use is not None else "add_to_resource_policy(…)"
    Annotations.of(key).add_warning_v2(
        f"kms-patterns:UnservedDelivery:{principal}:{delivery.target}",
        f"{delivery.by} makes {principal} deliver to {delivery.target}, which is encrypted under this key, and the key "
        f"policy does not let it: what it delivers would be lost. Call {call} with {GENERATE_DATA_KEY} and kms:Decrypt "
        "for that service under aws:SourceAccount, or have the owner of the key do so; then acknowledge this warning",
    )


def _is_let_in(key: GrantTarget, principal: str, sources: Sequence[str]) -> bool:
    resource = getattr(key, "resource", None)
    document = resolved_by_path(resource.key_policy, key.stack) if resource is not None else {}
    return any(
        statement["Effect"] == "Allow"
        and principal in _principals(statement)
        and GENERATE_DATA_KEY in _as_list(statement["Action"])
        and all(arn in sources or arn.endswith(_ANY) for arn in _sources(statement))
        for statement in _as_list(document.get("Statement", ()))
    )


def _sources(statement: Mapping[str, Any]) -> Iterator[str]:
    for demands in statement.get("Condition", {}).values():
        yield from _texts([value for name, value in demands.items() if name.lower() == "aws:sourcearn"])


def _services(statement: Mapping[str, Any]) -> list[str]:
    return [_ROWS.get(name, name) for name in _principals(statement)]


def _principals(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal", {})
    found = principal.get("Service", ()) if isinstance(principal, Mapping) else ()
    return [name for name in _as_list(found) if isinstance(name, str)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for member in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _texts(member)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
