"""EventBridge rules that start a function: an object was created, or the stack was deployed."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Stack, aws_events, aws_events_targets, aws_lambda, aws_s3, aws_sqs
from constructs import Construct

from kms_patterns.keys.symmetric_keys import EncryptionKey


class ObjectCreatedRule(Construct):
    """An EventBridge rule that invokes a function with ``{"sourceKey": …}`` for every object created in a bucket.

    EventBridge rather than a notification of S3 to the function: a notification makes the bucket depend on the
    function's permission, and the function already depends on the bucket, which CloudFormation refuses as a cycle; the
    CDK's way around it is a custom resource whose role may rewrite every bucket's notifications
    (``s3:PutBucketNotification`` on ``*``). Here the bucket only switches EventBridge on, the function's resource
    policy names this rule, and no further function is deployed.

    S3 sends events from some five minutes after EventBridge is switched on: objects created before that start nothing.

    The event names no version: events may come late or out of order, and the latest object is what must be processed.

    The rule's event is not delivered if a custom resource, such as that of ``Bucket.add_event_notification``, later
    replaces the bucket's notification configuration. On an imported bucket EventBridge must be switched on by its
    owner; this construct cannot.

    Args:
        scope: The pattern.
        construct_id: Id within the pattern.
        bucket: Where objects are created.
        function: What is invoked, asynchronously, at least once per object.
        dead_letters: Where an event goes that EventBridge could not hand to Lambda within a day.
        except_suffixes: Objects whose keys end so start nothing: what the function itself writes into the bucket.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: aws_s3.IBucket,
        function: aws_lambda.IFunction,
        dead_letters: aws_sqs.IQueue,
        except_suffixes: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        resource = bucket.node.default_child
        if isinstance(resource, aws_s3.CfnBucket):
            switch = "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled"
            resource.add_property_override(switch, value=True)
        others = {"object": {"key": [{"anything-but": {"suffix": list(except_suffixes)}}]}} if except_suffixes else {}
        key = aws_events.EventField.from_path("$.detail.object.key")
        aws_events.Rule(
            self,
            "Rule",
            description="Every object created in the source bucket starts the function",
            event_pattern=aws_events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [bucket.bucket_name]}, **others},
            ),
            targets=[_target(function, {"sourceKey": key}, dead_letters)],
        )


def refuse_unknown_context(argument: str, names: Sequence[str]) -> None:
    """Refuse, with a ValueError, names of an encryption context that only a caller could give a value for."""
    if names:
        raise ValueError(
            f"{argument} cannot give a value for {list(names)}: an S3 event names no context, so every call would be "
            "refused. Give it a value in encryption_context."
        )


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
            targets=[_target(function, {}, dead_letters)],
        )


def _target(
    function: aws_lambda.IFunction, event: Mapping[str, str], dead_letters: aws_sqs.IQueue
) -> aws_events_targets.LambdaFunction:
    _allow_dead_letters(dead_letters)
    return aws_events_targets.LambdaFunction(
        function,
        event=aws_events.RuleTargetInput.from_object(event),
        dead_letter_queue=dead_letters,
        max_event_age=Duration.hours(24),
    )


def _allow_dead_letters(queue: aws_sqs.IQueue) -> None:
    """Let EventBridge encrypt what it sends to ``queue``, which it does for itself and not for the function's role.

    See https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    """
    key = queue.encryption_master_key
    if isinstance(key, EncryptionKey):
        key.allow_service("events")
    elif key is not None or queue.encryption_type is aws_sqs.QueueEncryption.KMS_MANAGED:
        raise ValueError(
            f"dead_letter_queue {queue.node.path} is under a KMS key whose policy does not allow EventBridge to use "
            "it, so an event that is not delivered would be lost (AccessDeniedException): give a queue under an "
            "EncryptionKey or under SSE-SQS"
        )
