"""Services and roles that deliver to topics, queues and buckets under a key may use the key, or are pointed out."""

import aws_cdk as cdk
import aws_cdk.assertions
import pytest
from aws_cdk import (
    aws_cloudtrail,
    aws_cloudwatch,
    aws_cloudwatch_actions,
    aws_codebuild,
    aws_codecommit,
    aws_codepipeline,
    aws_codepipeline_actions,
    aws_ec2,
    aws_events,
    aws_events_targets,
    aws_kinesis,
    aws_kinesisfirehose,
    aws_lambda,
    aws_rds,
    aws_s3,
    aws_s3_notifications,
    aws_secretsmanager,
    aws_sns,
    aws_sns_subscriptions,
    aws_sqs,
    aws_stepfunctions,
)
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptedBucket, EncryptionKey, KeyAccess, KeyGrant
from tests.infrastructure.test_service_grants import warnings
from tests.infrastructure.test_services_at_rest import only

OTHERS = "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def alarm(stack, key):
    topic = aws_sns.Topic(stack, "Topic", master_key=key)
    metric = aws_cloudwatch.Metric(namespace="Orders", metric_name="Failed")
    made = aws_cloudwatch.Alarm(stack, "Alarm", metric=metric, threshold=1, evaluation_periods=1)
    made.add_alarm_action(aws_cloudwatch_actions.SnsAction(topic))


def alarm_before_its_topic(stack, key):
    made = aws_cloudwatch.CfnAlarm(
        stack, "Alarm", comparison_operator="GreaterThanThreshold", evaluation_periods=1, alarm_actions=[]
    )
    made.alarm_actions = [aws_sns.Topic(stack, "Topic", master_key=key).topic_arn]


def dead_letters_of_a_target(stack, key):
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    code = aws_lambda.Code.from_inline("x")
    function = aws_lambda.Function(stack, "Function", runtime=aws_lambda.Runtime.PYTHON_3_14, handler="i.h", code=code)
    target = aws_events_targets.LambdaFunction(function, dead_letter_queue=queue)
    aws_events.Rule(stack, "Rule", schedule=aws_events.Schedule.rate(cdk.Duration.days(1)), targets=[target])


def inventory(stack, key):
    destination = aws_s3.InventoryDestination(bucket=EncryptedBucket(stack, "Reports", encryption_key=key))
    aws_s3.Bucket(stack, "Bucket").add_inventory(destination=destination)


def flow_log(stack, key):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    aws_ec2.FlowLog(
        stack,
        "FlowLog",
        resource_type=aws_ec2.FlowLogResourceType.from_transit_gateway_id("tgw-1"),
        destination=aws_ec2.FlowLogDestination.to_s3(bucket),
        max_aggregation_interval=aws_ec2.FlowLogMaxAggregationInterval.ONE_MINUTE,
    )


def trail_that_notifies(stack, key):
    aws_cloudtrail.Trail(stack, "Trail", sns_topic=aws_sns.Topic(stack, "Topic", master_key=key))


def dead_letters_of_a_subscription(stack, key):
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    subscription = aws_sns_subscriptions.EmailSubscription("orders@example.com", dead_letter_queue=queue)
    aws_sns.Topic(stack, "Topic").add_subscription(subscription)


def imported(kind, stack, key):
    """aws-cdk#28257: of an imported resource the app says under which key it is, and the AWS CDK tells no key."""
    by_token = stack.format_arn(service="sqs", resource="orders")
    arn = by_token if kind == "token" else f"arn:aws:{kind}:eu-west-1:111122223333:orders"
    if kind == "sns":
        return aws_sns.Topic.from_topic_attributes(stack, "Imported", topic_arn=arn, key_arn=key.key_arn)
    return aws_sqs.Queue.from_queue_attributes(stack, "Imported", queue_arn=arn, key_arn=key.key_arn)


def rule_to_an_imported_queue(stack, key, kind="sqs"):
    target = aws_events_targets.SqsQueue(imported(kind, stack, key))
    aws_events.Rule(stack, "Rule", schedule=aws_events.Schedule.rate(cdk.Duration.days(1)), targets=[target])


def rule_to_an_imported_queue_by_a_token(stack, key):
    rule_to_an_imported_queue(stack, key, "token")


def alarm_to_an_imported_topic(stack, key):
    metric = aws_cloudwatch.Metric(namespace="Orders", metric_name="Failed")
    made = aws_cloudwatch.Alarm(stack, "Alarm", metric=metric, threshold=1, evaluation_periods=1)
    made.add_alarm_action(aws_cloudwatch_actions.SnsAction(imported("sns", stack, key)))


def bucket_that_notifies_an_imported_topic(stack, key):
    destination = aws_s3_notifications.SnsDestination(imported("sns", stack, key))
    aws_s3.Bucket(stack, "Bucket").add_event_notification(aws_s3.EventType.OBJECT_CREATED, destination)


def subscription_of_an_imported_queue(stack, key):
    subscription = aws_sns_subscriptions.SqsSubscription(imported("sqs", stack, key))
    aws_sns.Topic(stack, "Topic").add_subscription(subscription)


@pytest.mark.parametrize(
    ("make", "principal"),
    [
        (rule_to_an_imported_queue, "events"),
        (rule_to_an_imported_queue_by_a_token, "events"),
        (alarm_to_an_imported_topic, "cloudwatch"),
        (bucket_that_notifies_an_imported_topic, "s3"),
        (subscription_of_an_imported_queue, "sns"),
        (alarm, "cloudwatch"),
        (alarm_before_its_topic, "cloudwatch"),
        (dead_letters_of_a_target, "events"),
        (inventory, "s3"),
        (flow_log, "delivery.logs"),
        (trail_that_notifies, "cloudtrail"),
        (dead_letters_of_a_subscription, "sns"),
    ],
)
def test_service_that_delivers_to_a_resource_under_the_key_may_use_it(make, principal, stack, key, synth):
    make(stack, key)

    found = [it for it in only(synth(stack)) if it["Principal"] == {"Service": f"{principal}.amazonaws.com"}]
    (statement,) = found
    assert {"kms:Decrypt", "kms:GenerateDataKey"} <= set(statement["Action"])
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    assert warnings(stack, "would be lost") == []


@pytest.mark.parametrize(
    "condition",
    [
        {"ArnLike": {"aws:SourceArn": "arn:aws:sns:eu-west-1:444455556666:orders"}},
        {"StringEquals": {"aws:SourceAccount": "444455556666"}},
        {"StringEquals": {"aws:SourceAccount": ["444455556666"]}, "ArnLike": {"aws:SourceArn": "arn:aws:s3:::theirs"}},
    ],
)
def test_delivery_from_another_account_is_let_in_for_that_account(condition, stack, key, synth):
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    sender = iam.ServicePrincipal("sns.amazonaws.com", conditions=condition)
    statement = iam.PolicyStatement(principals=[sender], actions=["sqs:SendMessage"], resources=[queue.queue_arn])
    queue.add_to_resource_policy(statement)

    (served,) = [it for it in only(synth(stack)) if it["Principal"] == {"Service": "sns.amazonaws.com"}]
    assert served["Condition"] == {"StringEquals": {"aws:SourceAccount": "444455556666"}}


def test_delivery_by_a_service_that_the_table_lacks_is_pointed_out(stack, key):
    topic = aws_sns.Topic(stack, "Topic", master_key=key)
    service = iam.ServicePrincipal("budgets.amazonaws.com")
    topic.add_to_resource_policy(
        iam.PolicyStatement(principals=[service], actions=["sns:Publish"], resources=[topic.topic_arn])
    )

    ((_, text),) = warnings(stack, "would be lost")
    assert "budgets.amazonaws.com deliver to Stack/Topic/Resource" in text
    assert "what it delivers would be lost" in text


@pytest.mark.parametrize(("action", "needed"), [
    ("sqs:SendMessage", "kms:GenerateDataKey"), ("sqs:ReceiveMessage", "kms:Decrypt")
])  # fmt: skip
def test_role_that_may_use_an_encrypted_queue_and_not_its_key_is_refused(action, needed, stack, key, role, synth):
    queue, user = aws_sqs.Queue(stack, "Queue", encryption_master_key=key), role("User")
    user.add_to_policy(iam.PolicyStatement(actions=[action], resources=[queue.queue_arn]))

    with pytest.raises(RuntimeError, match=f"allows Stack/User {action} on .* no policy allows it {needed}"):
        synth(stack)


def test_role_with_the_grants_of_queue_and_topic_may_use_the_key(stack, key, role, synth):
    user = role("User")
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    queue.grant_send_messages(user)
    queue.grant_consume_messages(user)
    aws_sns.Topic(stack, "Topic", master_key=key).grant_publish(user)

    assert synth(stack)


def test_function_whose_dead_letters_are_encrypted_is_told_what_its_role_needs(stack, key, synth):
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    code = aws_lambda.Code.from_inline("x")
    function = aws_lambda.Function(
        stack, "F", runtime=aws_lambda.Runtime.PYTHON_3_14, handler="i.h", code=code, dead_letter_queue=queue
    )
    assert function.role is not None
    key.grant_operations(function.role, "kms:GenerateDataKey", "kms:Decrypt", via_service="sqs")

    assert synth(stack)


def statements_of(stack, principal):
    template = cdk.assertions.Template.from_stack(stack).to_json()
    (policy,) = (
        it["Properties"]["KeyPolicy"] for it in template["Resources"].values() if it["Type"] == "AWS::KMS::Key"
    )
    return [it for it in policy["Statement"] if it["Principal"] == {"Service": principal}]


def rule_to_topic(stack, topic):
    rule = aws_events.Rule(stack, "Rule", schedule=aws_events.Schedule.rate(cdk.Duration.days(1)))
    rule.add_target(aws_events_targets.SnsTopic(topic))


def test_rule_reaches_a_topic_by_its_context_because_event_bridge_sends_its_key_no_source(stack, key):
    rule_to_topic(stack, aws_sns.Topic(stack, "Topic", master_key=key))
    without_source = [it for it in statements_of(stack, "events.amazonaws.com") if set(it["Condition"]) == {"ArnLike"}]
    assert len(without_source) == 1
    assert set(without_source[0]["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    ((name, arn),) = without_source[0]["Condition"]["ArnLike"].items()
    assert name == "kms:EncryptionContext:aws:sns:topicArn"
    assert [part for part in arn["Fn::Join"][1] if isinstance(part, str)][-1].endswith(":*")


@pytest.mark.parametrize(
    "conditions",
    [
        {"StringEquals": {"aws:SourceAccount": "999999999999"}},
        {"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": "arn:aws:sns:*:111111111111:*"}},
        {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}},
    ],
    ids=["another account", "topics only", "what no service has"],
)
def test_statement_that_a_delivery_cannot_meet_does_not_let_it_in(conditions, stack, key):
    dead_letters_of_a_target(stack, key)
    events = iam.ServicePrincipal("events.amazonaws.com")
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[events],
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=["*"],
            conditions={**conditions, **({} if "ArnLike" in conditions else SOURCE_OF_OTHERS)},
        )
    )
    own = [it for it in statements_of(stack, "events.amazonaws.com") if it.get("Sid") == "AllowServiceEvents"]
    assert len(own) == 1


SOURCE_OF_OTHERS = {"ArnLike": {"aws:SourceArn": "arn:aws:events:eu-west-1:999999999999:rule/other"}}


@pytest.mark.parametrize("action", ["sqs:*", "*", "sqs:Send*"])
def test_wildcard_of_a_queue_policy_is_a_delivery(action, stack, key):
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    allowed = iam.PolicyStatement(
        principals=[iam.ServicePrincipal("events.amazonaws.com")], actions=[action], resources=[queue.queue_arn]
    )
    queue.add_to_resource_policy(allowed)
    assert statements_of(stack, "events.amazonaws.com")


@pytest.mark.parametrize("place", ["document", "statement", "condition"])
def test_condition_of_the_template_in_a_queue_policy_is_followed_both_ways(place, stack, key):
    queue = aws_sqs.CfnQueue(stack, "Queue", kms_master_key_id=key.key_arn)
    cdk.CfnCondition(stack, "Chosen", expression=cdk.Fn.condition_equals(cdk.Aws.REGION, "eu-west-1"))
    either = lambda value: {"Fn::If": ["Chosen", value, {"Ref": "AWS::NoValue"}]}  # noqa: E731
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue.attr_arn,
    }
    if place == "condition":
        statement["Condition"] = either({"StringEquals": {"aws:SourceAccount": "111111111111"}})
    document = {"Version": "2012-10-17", "Statement": [either(statement) if place == "statement" else statement]}
    aws_sqs.CfnQueuePolicy(
        stack, "Policy", queues=[queue.ref], policy_document=either(document) if place == "document" else document
    )
    assert statements_of(stack, "events.amazonaws.com")


@pytest.mark.parametrize(
    "conditions",
    [
        {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}},
        {"ArnNotLike": {"aws:SourceArn": "arn:aws:events:*:*:*"}},
        {"Null": {"aws:SourceAccount": "true"}},
    ],
    ids=["any source of another service", "no rule", "no account"],
)
def test_source_that_the_service_never_has_does_not_let_its_delivery_in(conditions, stack):
    # L1 resources: for an L2 rule the CDK writes a statement of its own, which would let the delivery in.
    key = EncryptionKey(stack, "Key")
    own = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    add_for_events(key, {**own, **conditions})
    queue = aws_sqs.CfnQueue(stack, "Queue", kms_master_key_id=key.key_arn)
    target = aws_events.CfnRule.TargetProperty(arn=queue.attr_arn, id="Queue")
    aws_events.CfnRule(stack, "Rule", schedule_expression="rate(1 day)", targets=[target])
    assert "AllowServiceEvents" in [it.get("Sid") for it in statements_of(stack, "events.amazonaws.com")]


def add_for_events(key, conditions):
    actions, events = ["kms:Decrypt", "kms:GenerateDataKey"], iam.ServicePrincipal("events.amazonaws.com")
    key.add_to_resource_policy(
        iam.PolicyStatement(principals=[events], actions=actions, resources=["*"], conditions=conditions)
    )


@pytest.mark.parametrize(
    ("topics", "added"),
    [
        ("arn:aws:sns:eu-west-1:999999999999:*", True),
        ("arn:aws:sns:us-east-1:111122223333:*", True),
        ("arn:aws:sns:eu-west-1:111122223333:*", False),
        ("arn:aws:sns:*:111122223333:*", False),
    ],
)
def test_statement_for_topics_lets_in_what_is_delivered_to_one_of_them(topics, added, stack, key):
    add_for_events(key, {"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": topics}})
    rule_to_topic(stack, aws_sns.Topic(stack, "Topic", master_key=key))
    found = [it.get("Sid") for it in statements_of(stack, "events.amazonaws.com")]
    assert ("AllowServiceEvents-to-topics" in found) is added


def sender(stack, key, **properties):
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    role = iam.Role(stack, "Sender", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"), **properties)
    role.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn]))
    return role


@pytest.mark.parametrize("name", [None, "sender"])
def test_role_with_a_kms_grant_may_use_an_encrypted_queue(name, stack, key, synth):
    KeyGrant(stack, "Grant", key=key, grantee=sender(stack, key, role_name=name), operations=["GenerateDataKey"])
    assert synth(stack)


def test_kms_grant_of_other_operations_or_another_key_does_not_count(stack, key, synth):
    user = sender(stack, key)
    KeyGrant(stack, "Grant", key=key, grantee=user, operations=["Decrypt"])
    KeyGrant(stack, "Other", key=EncryptionKey(stack, "OtherKey"), grantee=user, operations=["GenerateDataKey"])
    with pytest.raises(RuntimeError, match="no policy allows it kms:GenerateDataKey"):
        synth(stack)


ADMINISTRATOR = "AdministratorAccess"


def test_role_with_a_policy_of_aws_is_warned_where_the_key_leaves_access_to_the_account(stack):
    policy = iam.ManagedPolicy.from_aws_managed_policy_name(ADMINISTRATOR)
    sender(stack, EncryptionKey(stack, "Key", access=KeyAccess.DELEGATED), managed_policies=[policy])
    ((_, text),) = warnings(stack, "managed policy from outside of this app")
    assert "Stack/Sender sqs:SendMessage" in text


def test_policy_of_aws_does_not_help_where_the_key_policy_names_its_users(stack, key, synth):
    sender(stack, key, managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(ADMINISTRATOR)])
    with pytest.raises(RuntimeError, match="no policy allows it kms:GenerateDataKey"):
        synth(stack)


def test_role_whose_own_policy_is_written_elsewhere_may_use_an_encrypted_queue(stack, key):
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    role = iam.Role(stack, "Sender", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    role.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn]))
    actions = "kms:GenerateDataKey", "kms:Decrypt"
    key.grant_operations(role, *actions, via_service="sqs", key_policy_only=True)
    assert cdk.assertions.Template.from_stack(stack).find_resources("AWS::SQS::Queue")


def map_over_a_bucket(stack, key):
    """aws-cdk#32144: ItemReader and ResultWriter do not grant the key of their buckets."""
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    made = aws_stepfunctions.DistributedMap(
        stack, "Map", item_reader=aws_stepfunctions.S3JsonItemReader(bucket=bucket, key="items.json")
    )
    made.item_processor(aws_stepfunctions.Pass(stack, "Pass"))
    body = aws_stepfunctions.DefinitionBody.from_chainable(made)
    return aws_stepfunctions.StateMachine(stack, "Machine", definition_body=body).role


def rule_to_a_delivery_stream(stack, key):
    """The caller of PutRecord needs the key, which is the role of the rule's target and not that of the stream."""
    destination = aws_kinesisfirehose.S3Bucket(aws_s3.Bucket(stack, "Bucket"))
    encryption = aws_kinesisfirehose.StreamEncryption.customer_managed_key(key)
    stream = aws_kinesisfirehose.DeliveryStream(stack, "Stream", encryption=encryption, destination=destination)
    target = aws_events_targets.FirehoseDeliveryStream(stream)
    aws_events.Rule(stack, "Rule", schedule=aws_events.Schedule.rate(cdk.Duration.days(1)), targets=[target])
    return stream.node.find_child("EventsRole")


def secret_among_the_variables_of_a_build(stack, key):
    """aws-cdk#14477: the role of a project may get the secret, and not decrypt it."""
    secret = aws_secretsmanager.Secret(stack, "Secret", encryption_key=key)
    kind = aws_codebuild.BuildEnvironmentVariableType.SECRETS_MANAGER
    variable = aws_codebuild.BuildEnvironmentVariable(type=kind, value=secret.secret_arn)
    spec = aws_codebuild.BuildSpec.from_object({"version": "0.2"})
    return aws_codebuild.Project(stack, "Build", build_spec=spec, environment_variables={"IT": variable}).role


USES = [
    (map_over_a_bucket, "s3:GetObject", "kms:Decrypt", "s3"),
    (rule_to_a_delivery_stream, "firehose:PutRecord", "kms:GenerateDataKey", "firehose"),
    (secret_among_the_variables_of_a_build, "secretsmanager:GetSecretValue", "kms:Decrypt", "secretsmanager"),
]


@pytest.mark.parametrize(("make", "action", "needed", "service"), USES)
@pytest.mark.parametrize("granted", [False, True])
def test_role_of_a_construct_that_may_use_what_is_encrypted_and_not_the_key_is_pointed_out(
    granted, make, action, needed, service, stack, key
):
    role = make(stack, key)
    if granted:
        key.grant_operations(role, needed, via_service=service)

    found = [text for _, text in warnings(stack, "no policy allows it")]

    assert [f" {action} on Stack#" in text and f"allows it {needed}" in text for text in found] == [True] * (
        not granted
    )


@pytest.mark.parametrize("service", ["s3", "sqs", None])
def test_permission_through_another_service_does_not_serve_a_queue(service, stack, key, role, synth):
    queue, user = aws_sqs.Queue(stack, "Queue", encryption_master_key=key), role("User")
    user.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn]))
    key.grant_operations(user, "kms:GenerateDataKey", via_service=service)

    if service != "s3":
        synth(stack)
        return
    with pytest.raises(RuntimeError, match=r"sqs:SendMessage on .* no policy allows it kms:GenerateDataKey"):
        synth(stack)


def test_rule_to_an_imported_queue_under_a_key_of_another_owner_is_pointed_out(stack):
    key = EncryptionKey.from_key_arn(stack, "Key", OTHERS)
    rule_to_an_imported_queue(stack, key)
    ((_, text),) = warnings(stack, "would be lost")
    assert "Stack/Rule/Resource makes events.amazonaws.com deliver to arn:aws:sqs:eu-west-1:111122223333:orders" in text


def test_owner_who_is_told_of_a_delivery_is_not_warned_of_it_also(stack):
    queue = aws_sqs.Queue(stack, "Q", encryption_master_key=EncryptionKey.from_key_arn(stack, "Key", OTHERS))
    target = aws_events_targets.SqsQueue(queue)
    aws_events.Rule(stack, "Rule", schedule=aws_events.Schedule.rate(cdk.Duration.days(1)), targets=[target])
    assert warnings(stack, "would be lost") == []


def test_role_that_may_use_an_imported_queue_and_not_its_key_is_refused(stack, key, role, synth):
    statement = iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[imported("sqs", stack, key).queue_arn])
    role("User").add_to_policy(statement)
    with pytest.raises(RuntimeError, match=r"sqs:SendMessage on arn:.*:orders, .* no policy allows it kms:Generate"):
        synth(stack)


ACCOUNT = "eu-west-1:111122223333"
ORDERS = {
    "sns": lambda stack, key: aws_sns.Topic(stack, "It", master_key=key, topic_name="orders-in"),
    "sqs": lambda stack, key: aws_sqs.Queue(stack, "It", encryption_master_key=key, queue_name="orders-in"),
    "s3": lambda stack, key: EncryptedBucket(stack, "It", encryption_key=key, bucket_name="orders-in"),
    "kinesis": lambda stack, key: aws_kinesis.Stream(stack, "It", encryption_key=key, stream_name="orders-in"),
    "secretsmanager": lambda stack, key: aws_secretsmanager.Secret(
        stack, "It", encryption_key=key, secret_name="orders-in"
    ),
}


@pytest.mark.parametrize(
    ("service", "action", "resource", "told"),
    [
        ("sqs", "sqs:*", "*", 2),
        ("sqs", "sqs:SendMessage", f"arn:aws:sqs:{ACCOUNT}:*", 1),
        ("sqs", "sqs:SendMessage", "arn:aws:sqs:*:*:orders-*", 1),
        ("sqs", "sqs:SendMessage", f"arn:aws:sqs:{ACCOUNT}:orders-in", 1),
        ("sqs", "sqs:SendMessage", f"arn:aws:sqs:{ACCOUNT}:bills-*", 0),
        ("sqs", "sqs:SendMessage", {"Fn::ImportValue": "QueueOfAnotherApp"}, 0),
        ("sqs", "sns:Publish", "*", 0),
        ("sns", "sns:Publish", "*", 1),
        ("s3", "s3:GetObject", "arn:aws:s3:::*/*", 1),
        ("s3", "s3:GetObject", "arn:aws:s3:::orders-*/*", 1),
        ("s3", "s3:GetObject", "arn:aws:s3:::orders-in/reports/*", 1),
        ("secretsmanager", "secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{ACCOUNT}:secret:orders-in-*", 1),
        ("kinesis", "kinesis:PutRecord", f"arn:aws:kinesis:{ACCOUNT}:stream/ord*", 1),
    ],
)
def test_pattern_of_resources_among_which_are_encrypted_ones_is_pointed_out_where_the_key_is_not_allowed(
    service, action, resource, told, stack, key, role
):
    ORDERS[service](stack, key)
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    user = role("User")
    iam.CfnPolicy(
        stack, "Policy", policy_name="own", policy_document={"Statement": [statement]}, roles=[user.role_name]
    )

    assert len(warnings(stack, "among which are resources that are encrypted")) == told


@pytest.mark.parametrize(
    ("demanded", "served"),
    [
        ({"encryption_context": {"tenant": "a"}}, False),
        ({"required_context": ["tenant"]}, False),
        ({"encryption_context": {"aws:sqs:arn": "arn:aws:sqs:eu-west-1:111122223333:orders-in"}}, True),
        ({}, True),
    ],
)
@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_grant_that_demands_a_context_which_the_service_never_sends_does_not_serve_it(
    service, demanded, served, stack, key, role, synth
):
    made, user = ORDERS[service](stack, key), role("User")
    action, arn = ("sqs:SendMessage", made.queue_arn) if service == "sqs" else ("sns:Publish", made.topic_arn)
    user.add_to_policy(iam.PolicyStatement(actions=[action], resources=[arn]))
    key.grant_generate_data_key(user, **demanded)

    if served:
        synth(stack)
        return
    with pytest.raises(RuntimeError, match=f"{action} on .* no policy allows it kms:GenerateDataKey"):
        synth(stack)


@pytest.mark.parametrize("granted", ["storage", "secret"])
def test_secret_of_a_database_is_under_a_key_of_its_own(granted, stack, key, role):
    keys, reader = {"storage": key, "secret": EncryptionKey(stack, "SecretKey")}, role("Reader")
    database = aws_rds.CfnDBInstance(
        stack,
        "Database",
        storage_encrypted=True,
        kms_key_id=key.key_arn,
        manage_master_user_password=True,
        master_user_secret={"kmsKeyId": keys["secret"].key_arn},
    )
    arn = database.attr_master_user_secret_secret_arn
    reader.add_to_policy(iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[arn]))
    keys[granted].grant_decrypt(reader)

    assert [path for path, _ in warnings(stack, "no policy allows it")] == ["/Stack/SecretKey"] * (granted == "storage")


def build(stack, key):
    """aws-cdk#21973: the project's construct grants its role."""
    spec = aws_codebuild.BuildSpec.from_object({"version": "0.2"})
    aws_codebuild.Project(stack, "Build", build_spec=spec, encryption_key=key)


def replication(stack, key):
    """The role has a name of its own, and the key policy of the destination's key names it by that."""
    destination = aws_s3.Bucket(stack, "Destination", encryption_key=key, versioned=True)
    rule = aws_s3.ReplicationRule(destination=destination, kms_key=key, sse_kms_encrypted_objects=True)
    aws_s3.Bucket(stack, "Source", versioned=True, replication_rules=[rule])


def pipeline(stack, key):
    source, bucket = aws_codepipeline.Artifact(), EncryptedBucket(stack, "Artifacts", encryption_key=key)
    repository = aws_codecommit.Repository(stack, "Repository", repository_name="orders")
    made = aws_codepipeline.Pipeline(stack, "Pipeline", artifact_bucket=bucket)
    action = aws_codepipeline_actions.CodeCommitSourceAction(action_name="It", repository=repository, output=source)
    made.add_stage(stage_name="Source", actions=[action])
    approval = aws_codepipeline_actions.ManualApprovalAction(action_name="It")
    made.add_stage(stage_name="Approve", actions=[approval])


@pytest.mark.parametrize("make", [build, replication, pipeline])
def test_key_that_the_role_of_a_resource_is_granted_is_not_pointed_out(make, stack, key):
    make(stack, key)

    assert warnings(stack) == []


@pytest.mark.parametrize("named", ["", "to describe it", "in a Deny"])
def test_key_of_a_build_whose_role_is_not_granted_is_pointed_out(named, stack, key, role):
    build(stack, key)
    other = role("Other")
    stack.node.find_child("Build").node.default_child.service_role = other.role_arn
    if named == "to describe it":
        key.grant_operations(other, "kms:DescribeKey")
    elif named:
        never = iam.PolicyStatement(effect=iam.Effect.DENY, principals=[iam.AnyPrincipal()], resources=["*"])
        never.add_actions("kms:Decrypt")
        never.add_condition("ArnEquals", {"aws:PrincipalArn": other.role_arn})
        key.add_to_resource_policy(never)

    assert len(warnings(stack)) == 1
