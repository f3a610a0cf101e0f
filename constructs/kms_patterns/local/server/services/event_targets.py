"""EventBridge reaches a target with the permissions of the target's role, or of the target's own policy.

It hears of the status of stacks, which the emulator does not tell it.

AWS: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.emulator.acting import NotAssumable, NotPermitted, acting_as, service_role
from kms_patterns.local.server.emulator.emulator import CLOUD_WATCH, EVALUATOR, EVENTS, LOGS, RESPONSES, SNS, SQS, reach
from kms_patterns.local.server.faults import is_new
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.services.configured_keys import ServiceCaller

_EVENTS = "events.amazonaws.com"
# By service of the target: the action that a delivery needs.
_ACTIONS = {
    "events": "events:PutEvents",
    "lambda": "lambda:InvokeFunction",
    "sns": "sns:Publish",
    "sqs": "sqs:SendMessage",
    "states": "states:StartExecution",
}
_NEEDED = {name: (_ACTIONS[name],) for name in ("lambda", "sns", "sqs")} | {
    "logs": ("logs:CreateLogStream", "logs:PutLogEvents")
}
_OWN_POLICY = frozenset(_NEEDED)

logger = logging.getLogger("eventbridge")


def delivering(kms: KmsService, original: Callable[..., None]) -> Callable[..., None]:
    """Deliver to a target that may be reached; otherwise drop the event, as EventBridge does, and log why.

    Each delivery counts as ``AWS/Events Invocations`` of its rule, each other one as ``FailedInvocations``.
    """

    def deliver(target: Mapping[str, Any], event: Any, rule: Mapping[str, Any], view: Any = None) -> None:
        if is_new(float(rule.get("CreationTime") or 0)):
            return
        arn, role = str(target.get("Arn", "")), target.get("RoleArn")
        service = arn.split(":")[2] if arn.count(":") > 1 else ""
        if ":api-destination/" in arn:
            service = "api-destination"
        try:
            if role:
                principal = service_role(str(role), _EVENTS, "events")
                principal.require(_ACTIONS.get(service, "events:InvokeApiDestination"), arn)
                with acting_as(principal):
                    original(target, event, rule, view)
            else:
                _by_its_policy(kms, service, arn, str(rule.get("Arn", "")))
                if service == "logs":
                    _record(arn, view.event_with_detail())
                else:
                    original(target, event, rule, view)
        except (NotAssumable, NotPermitted) as refused:
            logger.warning("EventBridge: target %s of rule %s not reached: %s", arn, rule.get("Name"), refused)
            _count("FailedInvocations", rule)
            return
        _count("Invocations", rule)

    return deliver


def transforming(original: Callable[..., str]) -> Callable[..., str]:
    """Fill in what a path with an array index finds, which the emulator's own paths leave empty.

    AWS: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """

    def transform(transformer: Mapping[str, Any], rule: Any, view: Any) -> str:
        paths, template = dict(transformer.get("InputPathsMap", {})), str(transformer.get("InputTemplate", ""))
        for name in [name for name, path in paths.items() if "[" in path]:
            found: Any = view.event_with_detail()
            try:
                for part in re.findall(r"[\w-]+", paths.pop(name)):
                    found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, TypeError, ValueError):
                found = ""
            template = template.replace(f"<{name}>", json.dumps(str(found))[1:-1])
        return original({**transformer, "InputPathsMap": paths, "InputTemplate": template}, rule, view)

    return transform


def _count(metric: str, rule: Mapping[str, Any]) -> None:
    reach(CLOUD_WATCH, "record_metric")("AWS/Events", metric, 1, "Count", {"RuleName": str(rule.get("Name"))})


def _record(arn: str, event: Mapping[str, Any]) -> None:
    place = {"logGroupName": arn.split(":")[6], "logStreamName": str(event["id"])}
    reach(LOGS, "_create_log_stream")(place)
    line = {"timestamp": int(time.time() * 1000), "message": json.dumps(event)}
    reach(LOGS, "_put_log_events")({**place, "logEvents": [line]})


def _by_its_policy(kms: KmsService, service: str, arn: str, rule_arn: str) -> None:
    if service == "events":
        # Between buses of one account no role is needed.
        return
    if service not in _OWN_POLICY:
        raise NotPermitted("a target of this service needs a role (RoleArn)")
    require_by_policy(kms, service, arn, _EVENTS, rule_arn)


def require_by_policy(kms: KmsService, service: str, arn: str, principal: str, source_arn: str) -> None:
    """Check that the policy of a queue, topic, function or log group, and its key, let an AWS service use it.

    Args:
        kms: What decides about the key of a topic or queue.
        service: ``lambda``, ``logs``, ``sns`` or ``sqs``.
        arn: The resource.
        principal: The service principal that acts for itself.
        source_arn: For which resource it acts, as ``aws:SourceArn`` has it.

    Raises:
        NotPermitted: One of the policies does not allow it.
    """
    require_own_policy(service, arn, principal, source_arn)
    require_key(kms, service, arn, _acting_itself(principal, source_arn))


def _acting_itself(principal: str, source_arn: str) -> Caller:
    account = reach(RESPONSES, "get_account_id")()
    keys = {"aws:sourcearn": source_arn, "aws:sourceaccount": account}
    return ServiceCaller(principal, "AWSService", account, keys=keys)


def require_key(kms: KmsService, service: str, arn: str, caller: Caller) -> None:
    """Check that the key of a queue or topic lets ``caller`` write to it.

    Raises:
        NotPermitted: It does not.
    """
    key = _key_of(service, arn)
    if key:
        context = {"aws:sns:topicArn" if service == "sns" else "aws:sqs:arn": arn}
        request = {"KeyId": key, "EncryptionContext": context}
        try:
            for operation in ("GenerateDataKey", "Decrypt"):
                kms.require(KmsCall(operation, request, caller, via=service))
        except KmsError as refused:
            raise NotPermitted(f"its key: {refused.message}") from refused


def publishing_to_queue(kms: KmsService, original: Callable[..., None]) -> Callable[..., None]:
    """Deliver from a topic to a queue whose key lets SNS use it; otherwise drop the message and log why.

    AWS: https://docs.aws.amazon.com/sns/latest/dg/sns-enable-encryption-for-topic-sqs-queue-subscriptions.html
    """

    def deliver(endpoint: str, *rest: Any, topic_arn: str = "", **named: Any) -> None:
        try:
            if reach(SQS, "_queue_by_arn")(endpoint) is not None:
                region, account = endpoint.split(":")[3:5]
                with reach(RESPONSES, "request_scope")(account, region):
                    require_key(kms, "sqs", endpoint, _acting_itself("sns.amazonaws.com", topic_arn))
        except NotPermitted as refused:
            logger.warning("SNS: queue %s of topic %s not reached: %s", endpoint, topic_arn, refused)
            return
        original(endpoint, *rest, topic_arn=topic_arn, **named)

    return deliver


def _key_of(service: str, arn: str) -> str | None:
    """Return the key of a topic or a queue; of another Region, no service delivers to them."""
    if service not in {"sns", "sqs"}:
        return None
    _arn, _partition, _service, region, _account, name = arn.split(":", 5)
    if region != reach(RESPONSES, "get_region")():
        raise NotPermitted(f"it is in {region}")
    if service == "sns":
        held = reach(SNS, "_get_topic")(arn)[0] or {}
    else:
        held = reach(SQS, "_get_q")(reach(SQS, "_queue_name_to_url")[name])
    return held.get("attributes", {}).get("KmsMasterKeyId") or None


def require_own_policy(service: str, arn: str, principal: str, source_arn: str, *needed: str, **values: str) -> None:
    """Check that a resource's own policy lets an AWS service use it; the arguments are those of require_by_policy.

    Other actions than those of a delivery, and values of further condition keys, may be given.

    Raises:
        NotPermitted: It does not.
    """
    account = reach(RESPONSES, "get_account_id")()
    source = values | ({"aws:sourcearn": source_arn, "aws:sourceaccount": account} if source_arn else {})
    for action in needed or _NEEDED[service]:
        request = reach(EVALUATOR, "EvalContext")(
            principal_arn=principal, principal_type="AWSService", principal_account=account, action=action,
            resource_arn=f"{arn}:*" if service == "logs" else arn, region=reach(RESPONSES, "get_region")(),
            secure_transport=True, service_context=source,
        )  # fmt: skip
        decide = reach(EVALUATOR, "evaluate_resource_policy")
        decided = {decide(policy, request, service=principal).decision for policy in _policies(service, arn)}
        if "Allow" not in decided or "Deny" in decided:
            raise NotPermitted(f"no statement of its own policy allows {principal} {action}")


def _policies(service: str, arn: str) -> Iterator[Any]:
    if service == "logs":
        own = reach(LOGS, "_log_group_policies").get(arn.split(":")[6])
        yield from (policy["policyDocument"] for policy in (own, *reach(LOGS, "_resource_policies").values()) if policy)
        return
    found = reach(EVALUATOR, "_resource_policy")(service, arn)
    if found:
        yield found[0]


_STACK = "AWS::CloudFormation::Stack"


def record_event(original: Callable[..., None]) -> Callable[..., None]:
    """Put what is recorded about a stack as a whole onto the default event bus as well."""

    def record(
        stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, *rest: Any, **named: Any
    ) -> None:
        original(stack_id, stack_name, logical_id, resource_type, status, *rest, **named)
        if resource_type == _STACK and logical_id == stack_name:
            reach(EVENTS, "_dispatch_event")(_event(stack_id, status))

    return record


def _event(stack_id: str, status: str) -> dict[str, Any]:
    token = str(uuid4())
    detail = {
        "stack-id": stack_id,
        "status-details": {"status": status, "status-reason": ""},
        "client-request-token": token,
    }
    return {
        "EventId": token,
        "Source": "aws.cloudformation",
        "DetailType": "CloudFormation Stack Status Change",
        "Detail": json.dumps(detail),
        "EventBusName": "default",
        "Time": int(time.time()),
        "Resources": [stack_id],
        "Account": reach(RESPONSES, "get_account_id")(),
        "Region": reach(RESPONSES, "get_region")(),
    }
