"""A CloudWatch dashboard of KMS keys: calls by operation and caller, refusals, durations, an estimate of the cost."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration, aws_lambda, aws_logs
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from kms_patterns.policy.prices import DOLLARS_A_CALL, DOLLARS_A_KEY

_WIDTH: Final = 24
_CALLERS: Final = "stats count(*) as calls by detail.eventName, detail.userIdentity.arn | sort calls desc | limit 50"
_REFUSALS: Final = (
    "fields @timestamp, detail.eventName, detail.userIdentity.arn, detail.errorMessage"
    " | filter detail.errorCode like /AccessDenied|Throttling/ | sort @timestamp desc | limit 50"
)


def key_dashboard(
    scope: Construct,
    *,
    arns: Sequence[str],
    calls: aws_logs.ILogGroup,
    alarms: Sequence[cloudwatch.Alarm],
    lost: Sequence[cloudwatch.IMetric],
    functions: Sequence[aws_lambda.IFunction],
) -> cloudwatch.Dashboard:
    """Return a dashboard within ``scope``; ``calls`` holds CloudTrail's events as EventBridge delivers them.

    KMS counts successful cryptographic calls by key and operation as ``AWS/KMS SuccessfulRequest``.
    See https://docs.aws.amazon.com/kms/latest/developerguide/monitoring-cloudwatch.html
    """
    successes = [
        f"SEARCH('{{AWS/KMS,KeyArn,Operation}} MetricName=\"SuccessfulRequest\" KeyArn=\"{arn}\"', 'Sum', 3600)"
        for arn in arns
    ]
    total = " + ".join(f"SUM({search})" for search in successes)
    dashboard = cloudwatch.Dashboard(scope, "Dashboard", default_interval=Duration.days(7))
    dashboard.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=_WIDTH))
    dashboard.add_widgets(
        _graph("Calls by operation", [_math(search, "${PROP('Dim.Operation')}") for search in successes]),
        _graph("Cost of the calls in dollars an hour", [_math(f"({total}) * {DOLLARS_A_CALL:.6f}", "dollars")]),
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
            markdown=f"{len(arns)} key(s): ${len(arns) * DOLLARS_A_KEY} a month; the first and second rotation add as "
            "much. A call counts at the price of a symmetric key. [Prices](https://aws.amazon.com/kms/pricing/)",
            width=_WIDTH,
            height=2,
        )
    )
    return dashboard


def _math(expression: str, label: str) -> cloudwatch.IMetric:
    return cloudwatch.MathExpression(expression=expression, label=label, using_metrics={}, period=Duration.hours(1))


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.IWidget:
    return cloudwatch.GraphWidget(title=title, left=metrics, width=_WIDTH // 2)


def _table(title: str, calls: aws_logs.ILogGroup, query: str) -> cloudwatch.IWidget:
    return cloudwatch.LogQueryWidget(
        title=title, log_group_names=[calls.log_group_name], query_string=query, width=_WIDTH, height=8
    )
