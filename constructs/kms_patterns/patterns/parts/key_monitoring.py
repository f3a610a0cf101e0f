"""Event patterns and the dashboard of watched KMS keys, and the text that is published of an event.

CloudTrail's events of KMS: https://docs.aws.amazon.com/kms/latest/developerguide/understanding-kms-entries.html
KMS's own: https://docs.aws.amazon.com/kms/latest/developerguide/kms-events.html
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import Duration, aws_lambda, aws_logs
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from kms_patterns.policy.prices import DOLLARS_A_CALL, DOLLARS_A_KEY

CHANGES: Final = (
    "DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy", "CreateGrant", "DisableKeyRotation",
    "DeleteImportedKeyMaterial", "ReplicateKey", "UpdatePrimaryRegion",
)  # fmt: skip
"""Calls that are notified of when they succeed."""
MOST_KEYS: Final = 8
"""An event pattern has at most 2,048 characters."""

Pattern = Mapping[str, Any]
_ABSENT: Final = [{"exists": False}]
_CALL_TEXT: Final = (
    "<event> on <key> by <who> at <time>. CloudTrail event <id>, account <account>, Region <region>. <error>"
)
_CALL_PATHS: Final = {
    "event": "$.detail.eventName",
    "key": "$.detail.resources[0].ARN",
    "who": "$.detail.userIdentity.arn",
    "time": "$.detail.eventTime",
    "id": "$.detail.eventID",
    "account": "$.account",
    "region": "$.region",
    "error": "$.detail.errorMessage",
}
_EVENT_TEXT: Final = "<event>: <key> at <time>, account <account>, Region <region>."
_EVENT_PATHS: Final = {"event": "$.detail-type", "time": "$.time", "account": "$.account", "region": "$.region"}


def changed(arns: Sequence[str]) -> Pattern:
    """Return the pattern of successful calls that change a key."""
    return _call({"eventName": [*CHANGES], "errorCode": _ABSENT, **_on(arns)})


def called(arns: Sequence[str]) -> Pattern:
    """Return the pattern of every successful call on a key."""
    return _call({"errorCode": _ABSENT, **_on(arns)})


def used_while_pending_deletion(arns: Sequence[str]) -> Pattern:
    """Return the pattern of calls that KMS refuses because the key is pending deletion.

    See https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys-creating-cloudwatch-alarm.html
    """
    texts = [{"wildcard": f"{arn} is pending deletion*"} for arn in arns]
    return _call({"errorCode": ["KMSInvalidStateException"], "errorMessage": texts})


def refused(arns: Sequence[str]) -> Pattern:
    """Return the pattern of calls without permission; such an event may name its key in the message only."""
    named = [{"errorMessage": [{"wildcard": f"*{arn}*"} for arn in arns]}, _on(arns)]
    return _call({"errorCode": ["AccessDenied", "AccessDeniedException"], "$or": named})


def throttled() -> Pattern:
    """Return the pattern of throttled calls of the account, on whichever key."""
    return _call({"errorCode": ["ThrottlingException"]})


def deleted(arns: Sequence[str]) -> Pattern:
    """Return the pattern of KMS's events of a key that was deleted, or whose imported material expired."""
    kinds = ["KMS CMK Deletion", "KMS Imported Key Material Expiration"]
    return {"source": ["aws.kms"], "detail-type": kinds, "resources": list(arns)}


def found_by_config(key_ids: Sequence[str]) -> Pattern:
    """Return the pattern of a rule of AWS Config that a key does not comply with.

    See https://docs.aws.amazon.com/config/latest/developerguide/monitor-config-with-cloudwatchevents.html
    """
    detail = {
        "resourceType": ["AWS::KMS::Key"],
        "resourceId": list(key_ids),
        "newEvaluationResult": {"complianceType": ["NON_COMPLIANT"]},
    }
    return {"source": ["aws.config"], "detail-type": ["Config Rules Compliance Change"], "detail": detail}


def text_of(name: str, key: str | None) -> tuple[Mapping[str, str], str]:
    """Return paths and template of the text of an event; ``key`` is where it names the key, None for a call."""
    paths, text = ({**_EVENT_PATHS, "key": key}, _EVENT_TEXT) if key else (_CALL_PATHS, _CALL_TEXT)
    return paths, f'"{name}: {text}"'


def _call(detail: Pattern) -> Pattern:
    return {
        "source": ["aws.kms"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventSource": ["kms.amazonaws.com"], **detail},
    }


def _on(arns: Sequence[str]) -> Pattern:
    return {"resources": {"ARN": list(arns)}}


_WIDTH: Final = 24
_SUCCESSES: Final = "filter not ispresent(detail.errorCode)"
_OPERATIONS: Final = f"{_SUCCESSES} | stats count(*) as calls by detail.eventName | sort calls desc"
_COST: Final = f"{_SUCCESSES} | stats count(*) as calls, calls * {DOLLARS_A_CALL:.6f} as dollars by bin(1h)"
_CALLERS: Final = "stats count(*) as calls by detail.eventName, detail.userIdentity.arn | sort calls desc | limit 50"
_REFUSALS: Final = (
    "fields @timestamp, detail.eventName, detail.userIdentity.arn, detail.errorMessage"
    " | filter detail.errorCode like /AccessDenied|Throttling/ | sort @timestamp desc | limit 50"
)


def key_dashboard(
    scope: Construct,
    *,
    keys: int,
    calls: aws_logs.ILogGroup,
    alarms: Sequence[cloudwatch.Alarm],
    lost: Sequence[cloudwatch.IMetric],
    functions: Sequence[aws_lambda.IFunction],
) -> cloudwatch.Dashboard:
    """Return a dashboard within ``scope``; ``calls`` holds CloudTrail's events as EventBridge delivers them.

    See https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Stats.html
    """
    dashboard = cloudwatch.Dashboard(scope, "Dashboard", default_interval=Duration.days(7))
    dashboard.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=_WIDTH))
    dashboard.add_widgets(
        _table("Calls by operation", calls, _OPERATIONS, width=_WIDTH // 2),
        _table("Cost of the calls in dollars an hour", calls, _COST, width=_WIDTH // 2),
    )
    dashboard.add_widgets(_table("Calls by caller", calls, _CALLERS))
    dashboard.add_widgets(_table("Refused and throttled calls", calls, _REFUSALS))
    dashboard.add_widgets(cloudwatch.GraphWidget(title="Events not delivered", left=lost, width=_WIDTH, height=3))
    durations = [
        function.metric_duration(statistic=statistic, label=f"{statistic} ${{PROP('Dim.FunctionName')}}")
        for function in functions
        for statistic in ("p50", "p99")
    ]
    if durations:
        dashboard.add_widgets(
            cloudwatch.GraphWidget(title="Duration of the functions that use the keys", left=durations, width=_WIDTH)
        )
    dashboard.add_widgets(
        cloudwatch.TextWidget(
            markdown=f"{keys} key(s): ${keys * DOLLARS_A_KEY} a month; the first and second rotation add as "
            "much. A call counts at the price of a symmetric key. [Prices](https://aws.amazon.com/kms/pricing/)",
            width=_WIDTH,
            height=2,
        )
    )
    return dashboard


def _table(title: str, calls: aws_logs.ILogGroup, query: str, *, width: int = _WIDTH) -> cloudwatch.IWidget:
    return cloudwatch.LogQueryWidget(
        title=title, log_group_names=[calls.log_group_name], query_string=query, width=width, height=8
    )
