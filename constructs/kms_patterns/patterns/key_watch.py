"""Notifies of what happens to KMS keys, and shows who uses them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import ArnFormat, Duration, Stack, Token, aws_events, aws_lambda, aws_logs, aws_sns
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.parts import key_monitoring
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.policy.actions import DECRYPT, GENERATE_DATA_KEY, LOGS_FILTER_LOG_EVENTS

SID_NOTIFY: Final = "AllowNotificationsUnderThisKey"
_ALL_EVENTS: Final = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


class KeyWatch(Construct):
    """Notifications of changes, alarms and a dashboard for KMS keys, and no role: EventBridge and CloudWatch do it all.

    A message is published for each successful call of ``key_monitoring.CHANGES``, for each use of a key that is pending
    deletion, for each finding of AWS Config about a key, and when a key or imported key material was deleted. Alarms
    publish when imported key material is about to expire, and when refusals or throttled calls exceed a threshold. The
    topic and the log group of calls are encrypted under one key, whose policy lets EventBridge and CloudWatch publish.

    Calls reach EventBridge through CloudTrail, on a best effort basis, minutes after they were made; a trail is not
    needed. A key's events arrive in its own account and Region only: watch a replica by a KeyWatch in its Region.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        keys: One to eight keys: keys of this package, or any ``kms.IKey``, such as one by ``Key.from_key_arn``. An
            event pattern has at most 2,048 characters, hence the limit.
        encryption_key: The key of the topic and of the log group; best a key that is not watched.
        expires_within: How long before imported key material expires the alarm is raised. Defaults to 30 days.
        refusals: How many refused calls in five minutes raise the alarm. Defaults to 10.
        throttled: How many throttled KMS calls of the account in five minutes raise the alarm: KMS counts quotas by
            account and Region. Defaults to 10.
        functions: Functions that use the keys, whose duration the dashboard shows: KMS publishes no latency of a key.

    Raises:
        KeyConfigurationError: No key, more than eight, a key of another account or Region, or an imported
            ``encryption_key``.

    See https://docs.aws.amazon.com/kms/latest/developerguide/monitoring-overview.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        keys: Sequence[kms.IKey],
        encryption_key: EncryptionKey,
        expires_within: Duration | None = None,
        refusals: int = 10,
        throttled: int = 10,
        functions: Sequence[aws_lambda.IFunction] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        check_key_of_app(self.node.path, "encryption_key", encryption_key, EncryptionKey)
        _check_keys(self, keys)
        arns, ids = [key.key_arn for key in keys], [key.key_id for key in keys]
        self.topic = aws_sns.Topic(self, "Topic", master_key=encryption_key, enforce_ssl=True)
        self.calls = aws_logs.LogGroup(
            self, "Calls", encryption_key=encryption_key, retention=aws_logs.RetentionDays.ONE_MONTH
        )
        self._rules = [
            self._notify("Changed", key_monitoring.changed(arns)),
            self._notify("UsedWhilePendingDeletion", key_monitoring.used_while_pending_deletion(arns), read_only=True),
            self._notify("Deleted", key_monitoring.deleted(arns), key="$.resources[0]"),
            self._notify("FoundByConfig", key_monitoring.found_by_config(ids), key="$.detail.resourceId"),
        ]
        refused = self._record("Refused", key_monitoring.refused(arns))
        slowed = self._record("Throttled", key_monitoring.throttled())
        self._recording = [self._record("Called", key_monitoring.called(arns)), refused, slowed]
        alarms = [
            self._count("Refusals", refused, refusals, "KMS refused calls on the watched keys (AccessDenied)"),
            self._count("Throttling", slowed, throttled, "KMS throttled calls of this account (ThrottlingException)"),
            *(self._expiry(number, key, expires_within or Duration.days(30)) for number, key in enumerate(keys, 1)),
        ]
        for alarm in alarms:
            alarm.add_alarm_action(cloudwatch_actions.SnsAction(self.topic))
        self._allow_publishers(encryption_key, alarms)
        self._allow_recording()
        lost = [_of_rule(rule, "FailedInvocations") for rule in (*self._rules, *self._recording)]
        self.dashboard = key_monitoring.key_dashboard(
            self, keys=len(arns), calls=self.calls, alarms=alarms, lost=lost, functions=functions
        )

    def grant_read_calls(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``grantee`` to read the recorded calls: who, what, on which key; no permission on a key is needed."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=[LOGS_FILTER_LOG_EVENTS], resource_arns=[self.calls.log_group_arn]
        )

    def _notify(
        self, name: str, pattern: Mapping[str, Any], *, key: str | None = None, read_only: bool = False
    ) -> aws_events.CfnRule:
        paths, text = key_monitoring.text_of(name, key)
        transformer = aws_events.CfnRule.InputTransformerProperty(input_paths_map=paths, input_template=text)
        target = aws_events.CfnRule.TargetProperty(id="Topic", arn=self.topic.topic_arn, input_transformer=transformer)
        return self._rule(name, pattern, target, read_only=read_only)

    def _record(self, name: str, pattern: Mapping[str, Any]) -> aws_events.CfnRule:
        group = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
            resource_name=self.calls.log_group_name,
        )
        return self._rule(name, pattern, aws_events.CfnRule.TargetProperty(id="Calls", arn=group), read_only=True)

    def _rule(
        self, name: str, pattern: Mapping[str, Any], target: aws_events.CfnRule.TargetProperty, *, read_only: bool
    ) -> aws_events.CfnRule:
        # Without the longer state EventBridge leaves out the calls that change nothing, such as Decrypt.
        state = _ALL_EVENTS if read_only else "ENABLED"
        rule = aws_events.CfnRule(self, name, event_pattern=pattern, state=state, targets=[target])
        acknowledge(rule, {"Serverless-EventBusDLQ": _NO_DEAD_LETTERS})
        return rule

    def _count(self, name: str, rule: aws_events.CfnRule, threshold: int, description: str) -> cloudwatch.Alarm:
        return self._alarm(name, _of_rule(rule, "Invocations"), threshold, description, _AT_LEAST)

    def _expiry(self, number: int, key: kms.IKey, within: Duration) -> cloudwatch.Alarm:
        metric = cloudwatch.Metric(
            namespace="AWS/KMS",
            metric_name="SecondsUntilKeyMaterialExpiration",
            dimensions_map={"KeyId": key.key_id},
            statistic="Minimum",
            period=Duration.minutes(5),
        )
        description = f"The imported key material of {key.node.path} expires within {within.to_days()} days"
        return self._alarm(f"Expiry{number}", metric, within.to_seconds(), description, _AT_MOST)

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.Metric,
        threshold: float,
        description: str,
        comparison: cloudwatch.ComparisonOperator,
    ) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=comparison,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=description,
        )

    def _allow_publishers(self, key: EncryptionKey, alarms: Sequence[cloudwatch.Alarm]) -> None:
        stack = Stack.of(self)
        events, watcher = iam.ServicePrincipal("events.amazonaws.com"), iam.ServicePrincipal("cloudwatch.amazonaws.com")
        rules = [rule.attr_arn for rule in self._rules]
        for sid, service, sources in (
            ("AllowRulesOfThisWatch", events, rules),
            ("AllowAlarmsOfThisWatch", watcher, [alarm.alarm_arn for alarm in alarms]),
        ):
            self.topic.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    principals=[service],
                    actions=["sns:Publish"],
                    resources=[self.topic.topic_arn],
                    conditions={"ArnEquals": {"aws:SourceArn": sources}},
                )
            )
        # The topic names the key, so the key cannot name the topic; SNS passes the topic as encryption context.
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
        topics = stack.format_arn(service="sns", resource="*")
        key.write_statement(
            iam.PolicyStatement(
                sid=f"{SID_NOTIFY}{self.node.addr[-8:]}",
                principals=[events, watcher],
                actions=[DECRYPT, GENERATE_DATA_KEY],
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": topics}},
            )
        )

    def _allow_recording(self) -> None:
        # EventBridge takes no role for a log group. An account has ten such policies a Region.
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
        events, group = [iam.ServicePrincipal("events.amazonaws.com")], [self.calls.log_group_arn]
        rules = {"ArnEquals": {"aws:SourceArn": [rule.attr_arn for rule in self._recording]}}
        aws_logs.ResourcePolicy(
            self,
            "Recording",
            policy_statements=[
                iam.PolicyStatement(principals=events, actions=["logs:CreateLogStream"], resources=group),
                iam.PolicyStatement(
                    principals=events, actions=["logs:PutLogEvents"], resources=group, conditions=rules
                ),
            ],
        )


def _of_rule(rule: aws_events.CfnRule, name: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/Events",
        metric_name=name,
        dimensions_map={"RuleName": rule.ref},
        statistic="Sum",
        period=Duration.minutes(5),
    )


def _check_keys(scope: Construct, keys: Sequence[kms.IKey]) -> None:
    if not 1 <= len(keys) <= key_monitoring.MOST_KEYS:
        raise KeyConfigurationError(
            f"{scope.node.path}: {len(keys)} keys: a KeyWatch takes 1 to {key_monitoring.MOST_KEYS}, an event pattern "
            f"holds 2,048 characters (InvalidEventPatternException): make another KeyWatch for the others"
        )
    stack = Stack.of(scope)
    for key in keys:
        for what, here, there in (
            ("Region", stack.region, key.env.region),
            ("account", stack.account, key.env.account),
        ):
            if not Token.is_unresolved(here) and not Token.is_unresolved(there) and here != there:
                raise KeyConfigurationError(
                    f"{scope.node.path}: {key.node.path} is a key of {what} {there} and its events arrive there alone, "
                    f"so no rule in {here} would match: make a KeyWatch in a stack of that {what}"
                )


_NO_DEAD_LETTERS: Final = (
    "EventBridge tries for a day; the dashboard shows what was not delivered, and CloudTrail keeps every event."
)
_AT_LEAST: Final = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_AT_MOST: Final = cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD
