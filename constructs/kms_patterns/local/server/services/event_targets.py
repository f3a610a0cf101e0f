"""EventBridge reaches a target with the permissions of the target's role, or of the target's own policy.

AWS: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from kms_patterns.local.server.emulator.acting import NotAssumable, NotPermitted, acting_as, service_role
from kms_patterns.local.server.emulator.emulator import EVALUATOR, RESPONSES, reach

_EVENTS = "events.amazonaws.com"
# By service of the target: the action that a delivery needs.
_ACTIONS = {
    "events": "events:PutEvents",
    "lambda": "lambda:InvokeFunction",
    "sns": "sns:Publish",
    "sqs": "sqs:SendMessage",
    "states": "states:StartExecution",
}
_OWN_POLICY = frozenset({"lambda", "sqs", "sns"})

logger = logging.getLogger("eventbridge")


def delivering(original: Callable[..., None]) -> Callable[..., None]:
    """Deliver to a target that may be reached; otherwise drop the event, as EventBridge does, and log why."""

    def deliver(target: Mapping[str, Any], event: Any, rule: Mapping[str, Any], view: Any = None) -> None:
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
                return
            _by_its_policy(service, arn, str(rule.get("Arn", "")))
        except (NotAssumable, NotPermitted) as refused:
            logger.warning("EventBridge: target %s of rule %s not reached: %s", arn, rule.get("Name"), refused)
            return
        original(target, event, rule, view)

    return deliver


def _by_its_policy(service: str, arn: str, rule_arn: str) -> None:
    if service == "events":
        # Between buses of one account no role is needed.
        return
    if service not in _OWN_POLICY:
        raise NotPermitted("a target of this service needs a role (RoleArn)")
    account = reach(RESPONSES, "get_account_id")()
    request = reach(EVALUATOR, "EvalContext")(
        principal_arn=_EVENTS, principal_type="AWSService", principal_account=account, action=_ACTIONS[service],
        resource_arn=arn, region=reach(RESPONSES, "get_region")(), secure_transport=True,
        service_context={"aws:sourcearn": rule_arn, "aws:sourceaccount": account},
    )  # fmt: skip
    policy = reach(EVALUATOR, "_resource_policy")(service, arn)
    decided = reach(EVALUATOR, "evaluate_resource_policy")(policy[0], request, service=_EVENTS) if policy else None
    if decided is None or decided.decision != "Allow":
        raise NotPermitted(f"no statement of its own policy allows {_EVENTS} {_ACTIONS[service]}")
