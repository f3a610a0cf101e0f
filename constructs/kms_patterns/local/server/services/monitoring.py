"""What AWS tells of KMS: CloudTrail's event of each call on the event bus, metrics, and alarms that publish.

AWS: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
https://docs.aws.amazon.com/kms/latest/developerguide/monitoring-cloudwatch.html
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kms_patterns.local.inspection import event_of
from kms_patterns.local.server.emulator.acting import NotPermitted
from kms_patterns.local.server.emulator.emulator import CLOUD_WATCH, EVENTS, KMS, RESPONSES, reach
from kms_patterns.local.server.faults import is_early
from kms_patterns.local.server.kms.key_records import take_expired
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.kms.permissions import PERMISSIONS
from kms_patterns.local.server.services.event_targets import require_by_policy

_WITH_READS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
_EXPIRATION = ("AWS/KMS", "SecondsUntilKeyMaterialExpiration")
_ALARMS = "cloudwatch.amazonaws.com"
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarms-and-missing-data
_WITHOUT_DATA = {"breaching": "ALARM", "notBreaching": "OK", "missing": "INSUFFICIENT_DATA"}
_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": float.__ge__, "GreaterThanThreshold": float.__gt__,
    "LessThanOrEqualToThreshold": float.__le__, "LessThanThreshold": float.__lt__,
}  # fmt: skip

logger = logging.getLogger("monitoring")


def announce(lines: Sequence[Mapping[str, Any]]) -> None:
    """Put one KMS call, of which ``lines`` are the entries of the call log, onto the default event bus."""
    try:
        for arn in take_expired():
            named = {"key-id": arn.rpartition("/")[2]}
            reach(EVENTS, "_dispatch_event")(_event("KMS Imported Key Material Expiration", named, [arn]))
        _dispatch_call(lines)
        if reach(CLOUD_WATCH, "_alarms"):
            reach(CLOUD_WATCH, "_evaluate_all_alarms")()
    except Exception:
        # A call never fails because of who watches it.
        logger.exception("monitoring: a KMS call was not announced")


def announce_fault(authorization: str, operations: Iterable[str], code: str) -> None:
    """Put a KMS request that an injected fault refused, before it was read, onto the event bus of its Region."""
    account = reach(RESPONSES, "get_account_id")()
    region = authorization.partition("Credential=")[2].split("/")[2:3] or [reach(RESPONSES, "get_region")()]
    name = next((name for name in operations if name in PERMISSIONS), "Unknown")
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="microseconds"), "principal": f"arn:aws:iam::{account}:root",
        "action": f"kms:{name}", "keyArn": None, "encryptionContext": {}, "viaService": None, "decision": "deny",
        "reason": "an injected fault", "statement": None, "errorCode": code, "errorMessage": "fault",
    }  # fmt: skip
    with reach(RESPONSES, "request_scope")(account, region[0]):
        announce([line])


def dispatching(original: Callable[..., None]) -> Callable[..., None]:
    """Match also the rules that get read-only events; those alone get an event that is ``ReadOnly``."""

    def dispatch(event: Mapping[str, Any], view: Any = None) -> None:
        if is_early(event):
            return
        view = view or reach(EVENTS, "_pattern_event_view")(event)
        if not event.get("ReadOnly"):
            original(event, view)
        for key, rule in list(reach(EVENTS, "_rules").items()):
            if rule.get("State") != _WITH_READS or rule.get("EventBusName", "default") != event["EventBusName"]:
                continue
            if rule.get("EventPattern") and reach(EVENTS, "_matches_pattern_view")(rule["EventPattern"], view):
                for target in reach(EVENTS, "_targets").get(key, []):
                    reach(EVENTS, "_invoke_target")(target, event, rule, view)

    return dispatch


def _dispatch_call(lines: Sequence[Mapping[str, Any]]) -> None:
    # Most accounts have no rule about KMS: no event is made then.
    if not any("kms" in str(rule.get("EventPattern")) for rule in reach(EVENTS, "_rules").values()):
        return
    events = [event_of(line) for line in lines]
    detail: dict[str, Any] = {**events[0], "resources": [one for event in events for one in event["resources"]]}
    # CloudTrail has one event of a ReEncrypt, whose two permissions the call log lists.
    detail["eventName"] = {"ReEncryptFrom": "ReEncrypt", "ReEncryptTo": "ReEncrypt"}.get(
        detail["eventName"], detail["eventName"]
    )
    reach(EVENTS, "_dispatch_event")(
        {**_event("AWS API Call via CloudTrail", detail, []), "ReadOnly": detail["readOnly"]}
    )


def _event(kind: str, detail: Mapping[str, Any], resources: Sequence[str]) -> dict[str, Any]:
    return {
        "EventId": str(uuid4()),
        "Source": "aws.kms",
        "DetailType": kind,
        "Detail": json.dumps(detail),
        "EventBusName": "default",
        "Time": int(time.time()),
        "Resources": list(resources),
        "Account": reach(RESPONSES, "get_account_id")(),
        "Region": reach(RESPONSES, "get_region")(),
    }


def evaluate(_original: Callable[..., None]) -> Callable[..., None]:
    """Evaluate an alarm on the data of its own dimensions, and without data as its configuration says."""

    def evaluated(alarm: dict[str, Any]) -> None:
        if not alarm.get("MetricName"):
            return
        points = list(_points(alarm))
        if points:
            statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
            value = reach(CLOUD_WATCH, "_stat_value")(reach(CLOUD_WATCH, "_calc_stats")(points), statistic, points)
            breaching = _COMPARED[alarm["ComparisonOperator"]](float(value), float(alarm["Threshold"]))
            state, why = ("ALARM" if breaching else "OK"), f"Threshold Crossed: {statistic} {value}"
        else:
            state, why = _WITHOUT_DATA.get(alarm.get("TreatMissingData", "missing"), alarm["StateValue"]), "no data"
        before = alarm["StateValue"]
        if state != before:
            alarm |= {"StateValue": state, "StateReason": why, "StateUpdatedTimestamp": int(time.time())}
            reach(CLOUD_WATCH, "_record_history")(alarm["AlarmName"], before, state, why)
            reach(CLOUD_WATCH, "_dispatch_alarm_actions")(alarm, before, state, why)
            reach(CLOUD_WATCH, "_evaluate_parent_alarms")(alarm)

    return evaluated


def _points(alarm: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    wanted = {item["Name"]: item["Value"] for item in alarm.get("Dimensions", [])}
    if (alarm["Namespace"], alarm["MetricName"]) == _EXPIRATION:
        record = reach(KMS, "_resolve_key")(wanted.get("KeyId", "")) or {}
        if record.get("ValidTo") is not None:
            yield {"Timestamp": time.time(), "Value": max(0.0, record["ValidTo"] - time.time()), "Dimensions": wanted}
        return
    since = time.time() - alarm.get("Period", 60) * alarm.get("EvaluationPeriods", 1)
    for (namespace, name, _dimensions), points in list(reach(CLOUD_WATCH, "_metrics").items()):
        if (namespace, name) == (alarm["Namespace"], alarm["MetricName"]):
            yield from (it for it in points if it["Timestamp"] >= since and (it.get("Dimensions") or {}) == wanted)


def evaluating_first(original: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Evaluate every alarm before CloudWatch responds: on AWS it does so every minute."""

    async def handle_request(*request: Any) -> Response:
        reach(CLOUD_WATCH, "_evaluate_all_alarms")()
        return await original(*request)

    return handle_request


def publishing(kms: KmsService, original: Callable[..., None]) -> Callable[..., None]:
    """Publish to the topics of an alarm whose policies, and whose keys, let CloudWatch do so."""

    def dispatch(alarm: Mapping[str, Any], before: str, state: str, why: str) -> None:
        allowed = {name: alarm[name] for name in ("AlarmActions", "OKActions", "InsufficientDataActions")}
        for name, actions in allowed.items():
            allowed[name] = [arn for arn in actions if _may_publish(kms, str(arn), alarm)]
        original({**alarm, **allowed}, before, state, why)

    return dispatch


def _may_publish(kms: KmsService, topic: str, alarm: Mapping[str, Any]) -> bool:
    try:
        require_by_policy(kms, "sns", topic, _ALARMS, str(alarm["AlarmArn"]))
    except NotPermitted as refused:
        logger.warning("CloudWatch: topic %s of alarm %s not reached: %s", topic, alarm["AlarmName"], refused)
        return False
    return True
