"""Starts a function for every object that is created in a bucket."""

from collections.abc import Sequence

from aws_cdk import Duration, aws_events, aws_events_targets, aws_lambda, aws_s3, aws_sqs
from constructs import Construct


class ObjectCreatedRule(Construct):
    """An EventBridge rule that invokes a function with ``{"sourceKey": …}`` for every object created in a bucket.

    EventBridge rather than a notification of S3 to the function: a notification makes the bucket depend on the
    function's permission, and the function already depends on the bucket, which CloudFormation refuses as a cycle; the
    CDK's way around it is a custom resource whose role may rewrite every bucket's notifications
    (``s3:PutBucketNotification`` on ``*``). Here the bucket only switches EventBridge on, the function's resource
    policy names this rule, and no further function is deployed.

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
            targets=[
                aws_events_targets.LambdaFunction(
                    function,
                    event=aws_events.RuleTargetInput.from_object({"sourceKey": key}),
                    dead_letter_queue=dead_letters,
                    max_event_age=Duration.hours(24),
                )
            ],
        )
