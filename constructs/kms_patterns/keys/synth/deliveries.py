"""Finds AWS services that deliver to topics, queues and buckets under a key, and lets them use it.

A topic policy may let an alarm publish; without the key the message is lost, and nothing says so at deployment.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, Final

from aws_cdk import Annotations, Stack

from kms_patterns.keys.environment import home_of, stack_of
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.synth.visited_resource import NOTIFICATIONS, VisitedResource, at, class_of, resolved_by_path
from kms_patterns.policy.acting_services import BY_DEPLOYMENT, NAMING, WITHOUT_KEY
from kms_patterns.policy.actions import DECRYPT, GENERATE_DATA_KEY
from kms_patterns.policy.guardrails import is_account
from kms_patterns.policy.services import SERVICES

RECEIVING: Final = ("s3", "sns", "sqs")
"""Rows of the services that encrypt what another one delivers."""
_NAMING: Final = {kind if kind == NOTIFICATIONS else class_of(kind): named for kind, named in NAMING.items()}
_POLICIES: Final[Mapping[str, str]] = {
    "aws-cdk-lib.aws_s3.CfnBucketPolicy": "bucket",
    "aws-cdk-lib.aws_sns.CfnTopicPolicy": "topics",
    "aws-cdk-lib.aws_sqs.CfnQueuePolicy": "queues",
}
"""L1 class -> property that names the resources whose policy it is."""
_WITH_POLICY: Final = ("aws-cdk-lib.aws_sns.CfnSubscription", NOTIFICATIONS)
"""What these name has a policy if the app makes it, and is served by that: only what is imported is served by name."""
_IMPORTED: Final = re.compile(r"arn:|\{")
_LIVE: Final = re.compile(r"Token\[|arn:| object at 0x")
_ANY: Final = ":*:*:*"
_COLONS: Final = 5
TO_TOPICS: Final = {"events": "events-to-topics"}
"""Rows of services that send a topic's key neither aws:SourceAccount nor aws:SourceArn, and the rows for topics.

See https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
"""
_DEMANDING: Final = {"ArnEquals", "ArnLike", "StringEquals", "StringLike"}
_TOPIC_CONTEXT: Final = "kms:encryptioncontext:aws:sns:topicarn"
_DATA: Final = {"s3:putobject", "sns:publish", "sqs:sendmessage"}
_ROWS: Final = {
    **{use.principal: name for name, use in reversed(list(SERVICES.items())) if use.principal},
    "logging.s3.amazonaws.com": WITHOUT_KEY,
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
    for where, service in _NAMING.get(kind, {}).items():
        member, *below = where.split(".")
        # A text without a reference is asked nothing of the CDK's process.
        if member and not (_LIVE.search(str(given.get(member))) and at(visited.resolved, (member, *below))):
            continue
        named = at(resolved_by_path(given.get(member) if member else given, stack), tuple(below))
        # Of what is imported the name is its ARN, of what the app makes its construct path.
        found = [text for text in dict.fromkeys(_texts(named)) if kind not in _WITH_POLICY or _IMPORTED.match(text)]
        yield from (Delivery(service, it, visited.path, account=home_of(stack).account, stack=stack) for it in found)
    if kind not in _POLICIES or not any(_delivers(it) for it in _statements(visited.resolved.get("policyDocument"))):
        return
    properties = resolved_by_path(given, stack)
    targets = list(_texts(properties.get(_POLICIES[kind], ())))
    for statement in _statements(properties["policyDocument"]):
        if _delivers(statement):
            sources = tuple(_sources(statement, "aws:sourcearn"))
            accounts = {arn.split(":")[4] for arn in sources if arn.count(":") >= _COLONS}
            accounts |= {*_sources(statement, "aws:sourceaccount")}
            for name, target, account in product(_services(statement), targets, sorted(accounts - {""}) or [""]):
                yield Delivery(name, target, visited.path, sources, account)


def _statements(document: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a policy, of both branches where a condition of the template chooses."""
    for chosen in _branches(document):
        yield from _branches(chosen.get("Statement"))


def _branches(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list | tuple):
        for member in value:
            yield from _branches(member)
    elif isinstance(value, Mapping) and set(value) == {"Fn::If"}:
        yield from _branches(value["Fn::If"][1:])
    elif isinstance(value, Mapping) and "Ref" not in value:
        yield value


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
    if delivery.service == WITHOUT_KEY:
        _warn(
            key,
            delivery,
            "logs",
            f"{delivery.by} has AWS write logs to {delivery.target}, whose default encryption is under this key: AWS "
            "writes such logs to buckets under SSE-S3 alone, so they would be lost, or the creation fails. Give it an "
            "s3.Bucket under SSE-S3 (Amazon CloudFront also logs through AWS::Logs::Delivery, which this key serves)",
        )
        return
    service = TO_TOPICS.get(delivery.service, delivery.service) if topic else delivery.service
    use = SERVICES.get(service)
    principal = str(use.principal if use is not None else service)
    without_source = topic and delivery.service in TO_TOPICS
    own = home_of(stack_of(key)).account
    away = delivery.account if is_account(delivery.account) and is_account(own) and not without_source else own
    if _is_let_in(key, principal, delivery, away, topic=topic, without_source=without_source):
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


def _is_let_in(
    key: GrantTarget, principal: str, delivery: Delivery, source: str, *, topic: bool, without_source: bool
) -> bool:
    """Return whether a statement allows all that a delivery takes, and demands nothing that it might lack."""
    resource = getattr(key, "resource", None)
    told = {"Statement": getattr(key, "owner_statements", ())}
    document = resolved_by_path(resource.key_policy, key.stack) if resource is not None else told
    account = resolved_by_path(source, key.stack)
    topics = resolved_by_path(key.stack.format_arn(service="sns", resource="*"), key.stack)

    def meets(operator: str, name: str, values: Any) -> bool:
        if operator not in _DEMANDING:
            return False
        if name == _TOPIC_CONTEXT:
            return topic and any(arn == delivery.target or _holds(arn, topics) for arn in _texts(values))
        if without_source:
            return False
        if name == "aws:sourceaccount":
            return account in _as_list(values)
        return name == "aws:sourcearn" and all(
            arn in delivery.sources or _is_any_of(principal, arn) for arn in _texts(values)
        )

    def lets_in(statement: Mapping[str, Any]) -> bool:
        patterns = [text.lower() for text in _texts(statement.get("Action"))]
        conditions = statement.get("Condition", {})
        known = isinstance(conditions, Mapping) and all(isinstance(it, Mapping) for it in conditions.values())
        return (
            statement.get("Effect") == "Allow"
            and principal in _principals(statement)
            and all(any(fnmatchcase(act.lower(), it) for it in patterns) for act in (GENERATE_DATA_KEY, DECRYPT))
            and known
            and all(meets(how, name.lower(), values) for how, it in conditions.items() for name, values in it.items())
        )

    return any(
        lets_in(statement) for statement in _as_list(document.get("Statement", ())) if isinstance(statement, Mapping)
    )


def _holds(pattern: str, topics: str) -> bool:
    """Return whether a pattern holds the ARNs of all topics of the key's account and Region."""
    # The partition is known at deployment only, and stands in brackets, which fnmatch would read as a set.
    own, given = (arn.replace("[", "").replace("]", "").split(":", 5) for arn in (topics, pattern))
    return len(own) == len(given) and all(fnmatchcase(*pair) for pair in zip(own[2:], given[2:], strict=True))


def _is_any_of(principal: str, arn: str) -> bool:
    return arn.endswith(_ANY) and arn.split(":")[2] in ("*", principal.partition(".")[0])


def _sources(statement: Mapping[str, Any], demanded: str) -> Iterator[str]:
    for condition in _branches(statement.get("Condition")):
        for demands in _branches([it for operator, it in condition.items() if operator in _DEMANDING]):
            yield from _texts([value for name, value in demands.items() if name.lower() == demanded])


def _services(statement: Mapping[str, Any]) -> list[str]:
    return [_ROWS.get(name, name) for name in _principals(statement)]


def _principals(statement: Mapping[str, Any]) -> list[str]:
    return [name for each in _branches(statement.get("Principal")) for name in _texts(each.get("Service"))]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    if isinstance(value, Mapping) and "Fn::Join" in value:
        yield json.dumps(value, sort_keys=True)
    for member in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _texts(member)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
