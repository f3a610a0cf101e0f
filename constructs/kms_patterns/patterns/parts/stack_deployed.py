"""Starts a function whenever its stack was deployed, and at regular intervals."""

from aws_cdk import Duration, Stack, aws_events, aws_events_targets, aws_lambda, aws_sqs
from constructs import Construct


class StackDeployedRule(Construct):
    """An EventBridge rule that invokes a function with ``{}`` after every deployment of the stack, and on a schedule.

    CloudFormation has no resource that calls a function. A custom resource would, with the right to do so in every
    account's deployment role; the CDK's ``triggers`` add a further function whose role may invoke. CloudFormation
    instead tells EventBridge of every change of a stack's status, which costs no permission: the function's resource
    policy names this rule, and nothing else is deployed. The stack's deployment does not wait for the function, nor
    fail with it.

    EventBridge may take a moment until a new rule matches: what depends on the first event should depend on this
    construct, so that the deployment goes on for a while after it, and the schedule makes up for an event that came
    too early.

    Args:
        scope: The pattern.
        construct_id: Id within the pattern.
        function: What is invoked, asynchronously, at least once per deployment.
        every: Interval of the schedule, whole minutes.
        dead_letters: Where an event goes that EventBridge could not hand to Lambda within a day.

    See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/eventbridge-integration.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: aws_lambda.IFunction,
        every: Duration,
        dead_letters: aws_sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        self.rule = aws_events.Rule(
            self,
            "Rule",
            description="Every deployment of the stack starts the function, and so does the schedule",
            schedule=aws_events.Schedule.rate(every),
            event_pattern=aws_events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Stack Status Change"],
                detail={
                    "stack-id": [Stack.of(self).stack_id],
                    "status-details": {"status": ["CREATE_COMPLETE", "UPDATE_COMPLETE"]},
                },
            ),
            targets=[
                aws_events_targets.LambdaFunction(
                    function,
                    event=aws_events.RuleTargetInput.from_object({}),
                    dead_letter_queue=dead_letters,
                    max_event_age=Duration.hours(24),
                )
            ],
        )
