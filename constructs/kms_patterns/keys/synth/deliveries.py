"""Finds AWS services that deliver to topics, queues and buckets under a key, and lets them use it.

A topic policy may let an alarm publish; without the key the message is lost, and nothing says so at deployment.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, Final

from aws_cdk import Annotations, Stack

from kms_patterns.keys.environment import home_of, stack_of
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.keys.synth.identity_statements import branches, choices, statements_of
from kms_patterns.keys.synth.visited_resource import (
    NOTIFICATIONS,
    VisitedResource,
    allowed,
    at,
    class_of,
    names,
    policy_of,
    resolved_by_path,
)
from kms_patterns.policy.acting_services import (
    BUCKETS_BY_NAME,
    BY_DEPLOYMENT,
    LINKED_ROLES,
    NAMING,
    ORIGINS,
    WITHOUT_KEY,
)
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.coverage import DEMANDING, ServiceCall, serves
from kms_patterns.policy.guardrails import is_account
from kms_patterns.policy.services import SERVICES

RECEIVING: Final = ("kinesis", "s3", "sns", "sqs")
"""Rows of the services that encrypt what another one delivers."""
_NAMING: Final = {kind if kind == NOTIFICATIONS else class_of(kind): named for kind, named in NAMING.items()}
_POLICIES: Final[Mapping[str, str]] = {
    "aws-cdk-lib.aws_s3.CfnBucketPolicy": "bucket",
    "aws-cdk-lib.aws_sns.CfnTopicPolicy": "topics",
    "aws-cdk-lib.aws_sqs.CfnQueuePolicy": "queues",
}
"""L1 class -> property that names the resources whose policy it is."""
_DOCUMENT: Final = ("policyDocument",)
_WITH_POLICY: Final = ("aws-cdk-lib.aws_sns.CfnSubscription", NOTIFICATIONS)
"""What these name has a policy if the app makes it, and is served by that: only what is imported is served by name."""
_OF_TYPE: Final = {(class_of("AWS::ElasticLoadBalancingV2::LoadBalancer"), "network"): "delivery.logs"}
"""L1 class and type of the load balancer -> row, where that differs: those of networks log through Amazon CloudWatch.

See https://docs.aws.amazon.com/elasticloadbalancing/latest/network/enable-access-logs.html
"""
_IMPORTED: Final = re.compile(r"arn:|\{")
_LIVE: Final = re.compile(r"Token\[|arn:| object at 0x")
_COLONS: Final = 5
TO_TOPICS: Final = {"events": "events-to-topics"}
"""Rows of services that send a topic's key neither aws:SourceAccount nor aws:SourceArn, and the rows for topics.

See https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
"""
_DATA: Final = {"s3:putobject", "sns:publish", "sqs:sendmessage"}
_ROWS: Final = {
    **{use.principal: name for name, use in reversed(list(SERVICES.items())) if use.principal},
    "logdelivery.elasticloadbalancing.amazonaws.com": "logs",
    "logging.s3.amazonaws.com": "logs",
}


@dataclass(frozen=True)
class Delivery:
    """A delivery by an AWS service.

    Attributes:
        service: A row of the table, or a service principal that has none.
        target: Construct path of the topic, queue or bucket, or its ARN if the app imports it.
        by: Construct path of what makes the service deliver.
        sources: Resources for which it delivers, where a policy names them.
        account: The account of the source, where that is known.
        stack: The stack of what makes the service deliver, where a property does.
    """

    service: str
    target: str
    by: str
    sources: tuple[str, ...] = ()
    account: str = ""
    stack: Stack | None = None


def deliveries(visited: VisitedResource) -> Iterator[Delivery]:
    """Yield what a resource makes AWS services deliver, and what is read to create it."""
    kind, given, stack = visited.kind, visited.given, visited.stack
    for where, row in _NAMING.get(kind, {}).items():
        member, *below = where.split(".")
        part = at(given, [member]) if member else given
        # A text without a reference is asked nothing of the CDK's process.
        live = not member or (_LIVE.search(str(part)) and at(visited.resolved, (member, *below)))
        named = _without_control(row, at(resolved_by_path(part, stack) if live else part, below))
        service = _OF_TYPE.get((kind, at(given, ["type"])), row)
        # Of what is imported the name is its ARN, of what the app makes its construct path.
        found = [text for text in dict.fromkeys(_texts(named)) if kind not in _WITH_POLICY or _IMPORTED.match(text)]
        targets = [_bucket(it) if row in BUCKETS_BY_NAME else it for it in found]
        yield from (Delivery(service, it, visited.path, account=home_of(stack).account, stack=stack) for it in targets)
    if kind not in _POLICIES or not any(_delivers(it) for it in statements_of(at(visited.resolved, _DOCUMENT))):
        return
    properties = resolved_by_path(given, stack)
    targets = [_bucket(it) for it in _texts(at(properties, [_POLICIES[kind]]))]
    for statement in statements_of(at(properties, _DOCUMENT)):
        if _delivers(statement):
            sources = tuple(_sources(statement, "aws:sourcearn"))
            accounts = {arn.split(":")[4] for arn in sources if arn.count(":") >= _COLONS}
            accounts |= {*_sources(statement, "aws:sourceaccount")}
            for name, target, account in product(_services(statement), targets, sorted(accounts - {""}) or [""]):
                yield Delivery(name, target, visited.path, sources, account)


def destinations(kind: str, template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield which service a resource in its template makes deliver, and to what: texts, and references as JSON."""
    for where, row in _NAMING.get(kind, {}).items() if kind not in _WITH_POLICY else ():
        for _, text in names(_without_control(row, at(template, where.split(".")) if where else template)):
            yield row, _bucket(text) if row in BUCKETS_BY_NAME else text
    for statement in statements_of(at(template, _DOCUMENT)) if kind in _POLICIES else ():
        if _delivers(statement):
            targets = [_bucket(text) for _, text in names(at(template, [_POLICIES[kind]]))]
            yield from product(_services(statement), targets)


def is_served(key: GrantTarget, service: str, target: str) -> bool:
    """Return whether the policy of ``key`` lets a service deliver to ``target`` for any of its resources."""
    principal = str(SERVICES[service].principal if service in SERVICES else service)
    return _is_let_in(key, ServiceCall(principal, home_of(stack_of(key)).account, (), target))


def _without_control(row: str, named: Any) -> Any:
    """Return what a property names; of origins those that have no origin access control."""
    origins = [named] if isinstance(named, dict) else named or []
    return [it for it in origins if not at(it, ["originAccessControlId"])] if row == ORIGINS else named


def _bucket(name: str) -> str:
    return name if "/" in name or ":" in name else f"arn:aws:s3:::{name}"


def _delivers(statement: Mapping[str, Any]) -> bool:
    patterns = [text.lower() for text in _texts(statement.get("Action"))]
    acts = any(fnmatchcase(act, pattern) for act in _DATA for pattern in patterns)
    return acts and statement.get("Effect") != "Deny" and bool(_principals(statement))


def let_in(key: GrantTarget, delivery: Delivery, *, topic: bool = False) -> None:
    """Let the service use the key of the resource to which it delivers, unless the key policy does already.

    Args:
        key: The key of the topic, queue or bucket.
        delivery: What is delivered.
        topic: Whether it is delivered to a topic.
    """
    if delivery.service == BY_DEPLOYMENT and delivery.stack is not None:
        try:
            key.serve_resources_of(BY_DEPLOYMENT, delivery.stack)
        except GrantRefused as error:
            _warn(key, delivery, BY_DEPLOYMENT, str(error))
        return
    if delivery.service in WITHOUT_KEY:
        text = WITHOUT_KEY[delivery.service].format(delivery.target)
        _warn(key, delivery, delivery.service, f"{delivery.by} {text}")
        return
    if delivery.service in LINKED_ROLES:
        through, role = LINKED_ROLES[delivery.service]
        # AWS's policy of the role suffices where the key policy leaves it to IAM.
        if key.access is KeyAccess.NAMED and role not in allowed(key, {GENERATE_DATA_KEY}):
            _warn(
                key,
                delivery,
                delivery.service,
                f"{delivery.by} makes the service-linked role {role.partition('/')[2]} write to {delivery.target}, "
                "which is encrypted under this key, and the key policy does not name it: what it writes would be "
                f"lost. Call allow_use_through({through!r}, role, key_policy_only=True) with this role, imported by "
                f"its ARN, …:role/aws-service-role/{role}",
            )
        return
    service = TO_TOPICS.get(delivery.service, delivery.service) if topic else delivery.service
    use = SERVICES.get(service)
    principal = str(use.principal if use is not None else service)
    without_source = topic and delivery.service in TO_TOPICS
    own = home_of(stack_of(key)).account
    away = delivery.account if is_account(delivery.account) and is_account(own) and not without_source else own
    topics = key.stack.format_arn(service="sns", resource="*") if topic else ""
    sources = None if without_source else delivery.sources
    if _is_let_in(key, ServiceCall(principal, away, sources, delivery.target, topics)):
        return
    allow = getattr(key, "allow_service", None)
    if use is not None and allow is not None:
        allow(service, source_account=away if away != own else None)
        return
    call = f"allow_service({service!r})" if use is not None else "add_to_resource_policy(…)"
    _warn(
        key,
        delivery,
        principal,
        f"{delivery.by} makes {principal} deliver to {delivery.target}, which is encrypted under this key, and the key "
        f"policy does not let it: what it delivers would be lost. Call {call} with {GENERATE_DATA_KEY} and kms:Decrypt "
        f"for that service under {'the topic as encryption context' if without_source else 'aws:SourceAccount'}, or "
        "have the owner of the key do so",
    )


def _warn(key: GrantTarget, delivery: Delivery, principal: str, text: str) -> None:
    rule = f"kms-patterns:UnservedDelivery:{principal}:{delivery.target}"
    Annotations.of(key).add_warning_v2(rule, f"{text}; then acknowledge this warning")


def _is_let_in(key: GrantTarget, call: ServiceCall) -> bool:
    """Return whether the policy of ``key``, or what its owner is told to add, allows all that a delivery takes."""
    resolved = resolved_by_path({"account": call.account, "topics": call.topics}, key.stack)
    return any(serves(statement, replace(call, **resolved)) for statement in policy_of(key))


def _sources(statement: Mapping[str, Any], demanded: str) -> Iterator[str]:
    for chosen in choices(statement):
        for operator, demands in chosen.get("Condition", {}).items():
            if operator in DEMANDING:
                yield from _texts([value for name, value in demands.items() if name.lower() == demanded])


def _services(statement: Mapping[str, Any]) -> list[str]:
    return [_ROWS.get(name, name) for name in _principals(statement)]


def _principals(statement: Mapping[str, Any]) -> list[str]:
    named = branches(statement.get("Principal", []))
    return [name for each in named if isinstance(each, Mapping) for name in _texts(each.get("Service"))]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    if isinstance(value, Mapping) and "Fn::Join" in value:
        yield json.dumps(value, sort_keys=True)
    for member in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _texts(member)
