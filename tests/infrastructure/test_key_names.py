"""A key, or what is under it, is found whatever names it: functions of the template, aliases, names, overrides."""

import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import (
    assertions,
    aws_cloudfront,
    aws_cloudfront_origins,
    aws_cloudwatch,
    aws_dynamodb,
    aws_ec2,
    aws_elasticloadbalancingv2,
    aws_events,
    aws_kinesis,
    aws_kinesisfirehose,
    aws_kms,
    aws_lambda,
    aws_s3,
    aws_secretsmanager,
    aws_sns,
    aws_sns_subscriptions,
    aws_sqs,
)
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptedBucket, EncryptionKey, KeyAccess
from tests.infrastructure.conftest import Each
from tests.infrastructure.test_deliveries import OTHERS, statements_of
from tests.infrastructure.test_service_grants import warnings

HERE = cdk.Environment(account="111122223333", region="eu-west-1")
DAILY = "rate(1 day)"


@pytest.fixture
def key(stack):
    made = EncryptionKey(stack, "Key", alias="alias/orders")
    made.resource.override_logical_id("OwnKey")
    return made


def alias(key, name):
    return aws_kms.Alias(key.stack, f"Alias{name}", alias_name=f"alias/{name}", target_key=key)


NAMES = {
    "format_arn": lambda key: key.stack.format_arn(service="kms", resource="key", resource_name=key.key_id),
    "join": lambda key: cdk.Fn.join("/", ["arn:aws:kms:eu-west-1:111122223333:key", key.key_id]),
    "sub with values": lambda key: cdk.Fn.sub("arn:aws:kms:${AWS::Region}:1:key/${K}", {"K": key.key_id}),
    "sub": lambda _: cdk.Fn.sub("${OwnKey.Arn}"),
    "get_att": lambda _: cdk.Fn.get_att("OwnKey", "Arn").to_string(),
    "alias": lambda key: alias(key, "bills").key_arn,
    "alias of the key": lambda _: "alias/orders",
    "alias made later": lambda _: "alias/later",
    "alias of a plain resource": lambda key: plain(
        key.stack, "PlainAlias", "AWS::KMS::Alias", AliasName="alias/plain", TargetKeyId=key.key_id
    )
    and "alias/plain",
    "ref of an alias": lambda key: aws_kms.CfnAlias(
        key.stack, "Ref", alias_name="alias/ref", target_key_id=key.key_id
    ).ref,
}  # fmt: skip


def test_key_is_found_however_a_resource_names_it(stack, key, role, synth):
    for name, naming in NAMES.items():
        queue = aws_sqs.CfnQueue(stack, name.title().replace(" ", ""), kms_master_key_id=naming(key))
        sender = role(f"{queue.node.id}Sender")
        sender.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.attr_arn]))
    nested = aws_sqs.Queue(cdk.NestedStack(stack, "Nested"), "Queue", encryption_master_key=alias(key, "nested"))
    role("NestedSender").add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[nested.queue_arn]))
    alias(key, "later")

    with pytest.raises(RuntimeError) as refused:
        synth(stack)
    senders = [f"{name.title().replace(' ', '')}Sender" for name in NAMES] + ["NestedSender"]
    missed = [
        it for it in senders if f"allows Stack/{it} sqs:SendMessage on" not in str(refused.value).replace("\n", " ")
    ]
    assert missed == []


def test_alias_as_the_key_of_a_construct_is_granted_and_served_as_the_key(stack, key, role, synth):
    aws_sqs.Queue(stack, "Queue", encryption_master_key=alias(key, "queue")).grant_send_messages(role("Sender"))
    id_ = aws_dynamodb.Attribute(name="id", type=aws_dynamodb.AttributeType.STRING)
    aws_dynamodb.Table(stack, "Table", partition_key=id_, encryption_key=alias(key, "table"))

    policy = json.dumps(synth(stack)["Resources"]["OwnKey"]["Properties"]["KeyPolicy"])
    assert "dynamodb.eu-west-1.amazonaws.com" in policy
    assert "AllowStackSender" in policy


ENCRYPTED_BY_DATA = {
    "AWS::OpenSearchServerless::SecurityPolicy": lambda key: {
        "Name": "it",
        "Type": "encryption",
        "Policy": key.stack.to_json_string({"Rules": [], "KmsARN": key.key_arn}),
    },
    "AWS::EMR::SecurityConfiguration": lambda key: {
        "SecurityConfiguration": key.stack.to_json_string({"AwsKmsKey": key.key_arn})
    },
    "AWS::Serverless::Application": lambda key: {"Parameters": {"kmsKeyArn": key.key_arn}},
    "Custom::CDKBucketDeployment": lambda key: {"SystemMetadata": {"sse-kms-key-id": key.key_id}},
}


def test_key_in_the_data_of_a_resource_that_encrypts_is_pointed_out(stack, key):
    for number, (title, data) in enumerate(ENCRYPTED_BY_DATA.items()):
        plain(stack, f"It{number}", title, **data(key))
    plain(stack, "Document", "AWS::SSM::Parameter", Value=stack.to_json_string({"name": key.key_arn}))
    plain(stack, "Function", "AWS::Lambda::Function", Environment={"Variables": {"KMS_KEY": key.key_arn}})
    plain(stack, "Board", "AWS::CloudWatch::Dashboard", DashboardBody=f'{{"markdown":"kms: {key.key_arn}"}}')

    found = [text.partition(" names")[0] for _, text in warnings(stack)]
    assert found == [f"Stack/It{number} ({title})" for number, title in enumerate(ENCRYPTED_BY_DATA)]


def plain(stack, name, title, **properties):
    return cdk.CfnResource(stack, name, type=title, properties=properties)


def test_plain_resources_are_read_as_those_of_their_class(stack, key, synth):
    queue, topic = (
        aws_sqs.Queue(stack, "Queue", encryption_master_key=key),
        aws_sns.Topic(stack, "Topic", master_key=key),
    )
    allowed = {"Effect": "Allow", "Principal": {"Service": "ses.amazonaws.com"}, "Action": "sqs:SendMessage"}
    document = {"Statement": [{**allowed, "Resource": queue.queue_arn}]}
    plain(stack, "Policy", "AWS::SQS::QueuePolicy", Queues=[queue.queue_url], PolicyDocument=document)
    target = {"Id": "it", "Arn": queue.queue_arn}
    plain(stack, "Rule", "AWS::Events::Rule", ScheduleExpression=DAILY, Targets=[target])
    plain(stack, "Alarm", "AWS::CloudWatch::Alarm", AlarmActions=[topic.topic_arn])

    synth(stack)
    for service in ("ses", "events", "cloudwatch"):
        assert statements_of(stack, f"{service}.amazonaws.com")


def test_plain_resources_of_iam_are_read_as_those_of_their_class(stack, key, role, synth):
    document = {"Statement": [{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key.key_arn}]}
    user = role("User")
    plain(stack, "Policy", "AWS::IAM::Policy", PolicyName="own", Roles=[user.role_name], PolicyDocument=document)
    own = [{"PolicyName": "own", "PolicyDocument": document}]
    plain(stack, "Role", "AWS::IAM::Role", AssumeRolePolicyDocument={}, Policies=own)

    with pytest.raises(RuntimeError) as refused:
        synth(stack)
    for holder in ("Stack/Policy allows Stack/User", "Stack/Role allows Stack/Role"):
        assert f"{holder} kms:Decrypt, which the key policy does not" in str(refused.value)


def test_topics_queues_and_buckets_that_are_imported_by_name_are_the_apps_own(stack, key, synth):
    EncryptedBucket(stack, "Bucket", encryption_key=key, bucket_name="orders-data")
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Imported", "orders-data")
    flow = {"resource_id": "vpc-1", "resource_type": "VPC", "traffic_type": "ALL", "log_destination_type": "s3"}
    aws_ec2.CfnFlowLog(stack, "FlowLog", log_destination=bucket.bucket_arn, **flow)
    aws_lambda.CfnFunction(stack, "It", code={"s3Bucket": "orders-data", "s3Key": "it.zip"}, role="arn")
    aws_sqs.Queue(stack, "Queue", encryption_master_key=key, queue_name="orders")
    aws_sns.Topic(stack, "Topic", master_key=key, topic_name="orders")
    queue = aws_events.CfnRule.TargetProperty(arn="arn:aws:sqs:eu-west-1:111122223333:orders", id="it")
    aws_events.CfnRule(stack, "Rule", schedule_expression=DAILY, targets=[queue])
    topic = {"comparison_operator": "GreaterThanThreshold", "evaluation_periods": 1}
    aws_cloudwatch.CfnAlarm(stack, "Alarm", alarm_actions=["arn:aws:sns:eu-west-1:111122223333:orders"], **topic)

    policy = json.dumps(synth(stack)["Resources"]["OwnKey"]["Properties"]["KeyPolicy"])
    for service in ("delivery.logs", "events", "cloudwatch"):
        assert f'"{service}.amazonaws.com"' in policy
    assert '"kms:ViaService": "s3.eu-west-1.amazonaws.com"' in policy


def test_resource_of_the_same_name_in_another_account_is_another_one(stack, key, synth):
    aws_sqs.Queue(stack, "Queue", encryption_master_key=key, queue_name="orders")
    target = aws_events.CfnRule.TargetProperty(arn="arn:aws:sqs:eu-west-1:444455556666:orders", id="it")
    aws_events.CfnRule(stack, "Rule", schedule_expression=DAILY, targets=[target])

    assert statements_of(stack, "events.amazonaws.com") == []


def balancer(stack, bucket, kind):
    attribute = {"key": "access_logs.s3.bucket", "value": bucket.bucket_name}
    aws_elasticloadbalancingv2.CfnLoadBalancer(stack, kind.title(), type=kind, load_balancer_attributes=[attribute])


def test_logs_that_no_key_can_serve_are_pointed_out_with_their_reason(stack, key):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    balancer(stack, bucket, "application")
    elsewhere = EncryptedBucket(stack, "Other", encryption_key=key)
    service = iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")
    statement = iam.PolicyStatement(
        actions=["s3:PutObject"], resources=[elsewhere.arn_for_objects("*")], principals=[service]
    )
    elsewhere.add_to_resource_policy(statement)
    legacy = aws_s3.Bucket(stack, "Legacy", encryption_key=key, object_ownership=aws_s3.ObjectOwnership.OBJECT_WRITER)
    origin = aws_cloudfront_origins.HttpOrigin("www.example.com")
    aws_cloudfront.Distribution(
        stack, "Cdn", default_behavior=aws_cloudfront.BehaviorOptions(origin=origin), log_bucket=legacy
    )

    texts = sorted(text for _, text in warnings(stack, "has AWS write logs"))
    assert ["SSE-S3 alone" in text for text in texts] == [True, False, True]
    assert "delivery.logs.amazonaws.com with kms:GenerateDataKey and kms:Decrypt and no condition" in texts[1]


@pytest.mark.parametrize("control", [True, False])
def test_origin_that_cannot_use_a_key_is_pointed_out(control, stack, key):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    origins = aws_cloudfront_origins.S3BucketOrigin
    origin = origins.with_origin_access_control(bucket) if control else origins.with_origin_access_identity(bucket)
    aws_cloudfront.Distribution(stack, "Cdn", default_behavior=aws_cloudfront.BehaviorOptions(origin=origin))

    assert len(warnings(stack, "with_origin_access_control")) == (not control)


def test_logs_of_a_network_load_balancer_are_served(stack, key):
    balancer(stack, EncryptedBucket(stack, "Bucket", encryption_key=key), "network")

    assert statements_of(stack, "delivery.logs.amazonaws.com")


EVENTS = {
    "AWS::RDS::EventSubscription": ("SnsTopicArn", "events.rds.amazonaws.com"),
    "AWS::DMS::EventSubscription": ("SnsTopicArn", "dms.amazonaws.com"),
    "AWS::Redshift::EventSubscription": ("SnsTopicArn", "redshift.amazonaws.com"),
    "AWS::ElastiCache::CacheCluster": ("NotificationTopicArn", None),
    "AWS::AutoScaling::AutoScalingGroup": ("NotificationConfigurations", None),
}


def test_events_that_services_publish_without_a_topic_policy_are_served_or_pointed_out(stack, key):
    topic = aws_sns.Topic(stack, "Topic", master_key=key)
    for number, (title, (where, _)) in enumerate(EVENTS.items()):
        plain(stack, f"It{number}", title, **{where: topic.topic_arn})

    pointed_out = [text.split()[0] for _, text in warnings(stack, "would be lost")]
    assert pointed_out == ["Stack/It3", "Stack/It4"]
    assert [it for _, it in EVENTS.values() if it and not statements_of(stack, it)] == []


def test_alias_with_the_flags_of_a_new_app_is_the_key(key):
    """aws-kms:aliasNameRef makes the ARN of an alias end in a reference to it."""
    app = cdk.App(context={"@aws-cdk/aws-kms:aliasNameRef": True})
    stack = cdk.Stack(app, "Flags", env=HERE)
    key = EncryptionKey(stack, "Key")
    aws_secretsmanager.Secret(stack, "Secret", encryption_key=key.add_alias("alias/orders"))

    policy = assertions.Template.from_stack(stack).find_resources("AWS::KMS::Key")
    assert "secretsmanager.eu-west-1.amazonaws.com" in json.dumps(policy)


def test_event_bus_that_no_construct_serves_is_served(stack, key):
    aws_events.CfnEventBus(stack, "Bus", name="orders", kms_key_identifier=key.key_arn)

    assert len(statements_of(stack, "events.amazonaws.com")) == 1


def test_dead_letters_of_an_event_bus_are_served(stack, key):
    queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
    aws_events.EventBus(stack, "Bus", dead_letter_queue=queue)

    assert statements_of(stack, "events.amazonaws.com")


@pytest.mark.parametrize("kind", [aws_dynamodb.Table, aws_dynamodb.TableV2])
def test_table_whose_stream_does_not_name_the_role_of_dynamodb_is_pointed_out(kind, stack, key):
    stream = aws_kinesis.Stream(stack, "Stream", encryption_key=key)
    id_ = aws_dynamodb.Attribute(name="id", type=aws_dynamodb.AttributeType.STRING)
    kind(stack, "Table", partition_key=id_, kinesis_stream=stream)

    ((_, table),) = warnings(stack, "would be lost")
    assert "role AWSServiceRoleForDynamoDBKinesisDataStreamsReplication write to Stack/Stream/Resource" in table


REPLICATION = (
    "arn:aws:iam::111122223333:role/aws-service-role/kinesisreplication.dynamodb.amazonaws.com/"
    "AWSServiceRoleForDynamoDBKinesisDataStreamsReplication"
)


@pytest.mark.parametrize("how", ["allowed", "delegated", "denied", "to decrypt"])
def test_table_whose_stream_is_open_to_the_role_of_dynamodb_is_not_pointed_out(how, stack):
    access = KeyAccess.DELEGATED if how == "delegated" else KeyAccess.NAMED
    key = EncryptionKey(stack, "Other", access=access)
    role = iam.Role.from_role_arn(stack, "Role", REPLICATION)
    if how == "allowed":
        key.allow_use_through("kinesis", role, key_policy_only=True)
    elif how == "denied":
        who, nothing = [iam.ArnPrincipal(REPLICATION)], ["kms:GenerateDataKey"]
        denied = iam.PolicyStatement(effect=iam.Effect.DENY, principals=who, actions=nothing, resources=["*"])
        key.add_to_resource_policy(denied)
    elif how == "to decrypt":
        key.grant_decrypt(role, key_policy_only=True)
    stream = aws_kinesis.Stream(stack, "Stream", encryption_key=key)
    id_ = aws_dynamodb.Attribute(name="id", type=aws_dynamodb.AttributeType.STRING)
    aws_dynamodb.Table(stack, "Table", partition_key=id_, kinesis_stream=stream)

    assert len(warnings(stack, "would be lost")) == (how in ("denied", "to decrypt"))


@pytest.mark.parametrize("own", [True, False])
def test_alias_that_is_imported_by_name_needs_the_policy_of_the_apps_key(own, stack, key, role, synth):
    """aws-cdk#34237: with its flag, grants of an imported alias write IAM only, on all keys that carry the alias."""
    carrying = {"kms:ResourceAliases": "alias/orders" if own else "alias/others"}
    anything = stack.format_arn(service="kms", resource="key", resource_name="*")
    role("User").add_to_policy(
        iam.PolicyStatement(
            actions=["kms:Decrypt"], resources=[anything], conditions={"ForAnyValue:StringEquals": carrying}
        )
    )

    if not own:
        assert synth(stack)
        return
    with pytest.raises(RuntimeError, match="allows Stack/User kms:Decrypt, which the key policy does not"):
        synth(stack)


@pytest.mark.parametrize(
    ("operator", "place"),
    [
        ("ForAllValues:StringNotEquals", "*:*"),
        ("ForAnyValue:StringEquals", "af-south-1:*"),
        ("StringEquals", "*:444455556666"),
    ],
)
def test_alias_of_another_place_or_that_is_excluded_is_not_the_apps_key(operator, place, app, synth):
    at_home = cdk.Stack(app, "Home", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    EncryptionKey(at_home, "Orders", alias="alias/orders")
    statement = iam.PolicyStatement(
        actions=["kms:Decrypt"],
        resources=[f"arn:aws:kms:{place}:key/*"],
        conditions={operator: {"kms:ResourceAliases": "alias/orders"}},
    )
    iam.Role(at_home, "User", assumed_by=iam.AccountRootPrincipal()).add_to_policy(statement)

    assert synth(at_home)


@pytest.mark.parametrize("action", ["kms:*", "kms:*Alias", "kms:Decrypt"])
def test_statement_on_an_alias_alone_is_refused_if_it_is_about_use(action, stack, role):
    statement = iam.PolicyStatement(actions=[action], resources=[f"arn:aws:kms:eu-west-1:{HERE.account}:alias/others"])
    EncryptionKey(stack, "Key")
    role("User").add_to_policy(statement)

    if action == "kms:Decrypt":
        with pytest.raises(RuntimeError, match="a policy does not resolve aliases"):
            warnings(stack)
    else:
        assert len(warnings(stack, "does not resolve aliases")) == (action == "kms:*")


def test_key_of_the_objects_of_a_delivery_stream_is_the_matter_of_its_role(stack, key):
    bucket = aws_kinesisfirehose.S3Bucket(aws_s3.Bucket(stack, "Bucket"), encryption_key=key)
    aws_kinesisfirehose.DeliveryStream(stack, "Stream", destination=bucket)

    assert warnings(stack) == []


class TestOverrides:
    """What ``add_property_override`` puts into a template is merged after every check of the AWS CDK."""

    @pytest.fixture
    def report(self, app):
        """Severity and text of what the report on the templates says; whether the synthesis fails."""

        def made():
            try:
                app.synth()
            except RuntimeError as error:
                failed = "ValidationFailed" in str(error)
            else:
                failed = False
            file = Path(app.outdir) / "validation-report.json"
            found = json.loads(file.read_text()) if file.is_file() else {"pluginReports": []}
            each = [it for plugin in found["pluginReports"] for it in plugin["violations"]]
            return "\n".join(f"{it['severity'].upper()} {it['description']}" for it in each), failed

        return made

    def test_key_that_an_override_names_is_refused(self, stack, key, report):
        other = cdk.Stack(stack.node.root, "Other", env=HERE)
        queues = {
            "Arn": key.key_arn,
            "Format": NAMES["format_arn"](key),
            "Alias": "alias/orders",
            "Sub": cdk.Fn.sub("${OwnKey.Arn}"),
        }
        for name, value in queues.items():
            aws_sqs.CfnQueue(stack, name).add_property_override("KmsMasterKeyId", value)
        nested = cdk.NestedStack(stack, "Nested")
        for name, scope in {"Nested": nested, "Other": other}.items():
            aws_sns.CfnTopic(scope, f"In{name}").add_property_override("KmsMasterKeyId", key.key_arn)
        id_ = aws_dynamodb.Attribute(name="id", type=aws_dynamodb.AttributeType.STRING)
        table = aws_dynamodb.Table(stack, "Table", partition_key=id_).node.default_child
        table.override_logical_id("Table")
        table.add_property_override("SSESpecification.KMSMasterKeyId", key.key_arn)

        text, failed = report()
        named = [f"Stack#{name}" for name in queues] + ["Stack/Nested#InNested", "Other#InOther", "Stack#Table"]
        assert [it for it in named if f"ERROR {it}: it names the key at" not in text] == []
        assert failed

    @pytest.mark.parametrize(
        ("path", "value"),
        [("KeyPolicy.Statement.0.Action", "kms:*"), ("EnableKeyRotation", False), ("KeySpec", "RSA_2048")],
    )
    def test_property_of_a_key_that_an_override_changes_is_refused(self, path, value, key, report):
        key.resource.add_property_override(path, value)

        text, failed = report()
        assert f"Stack/Key: an override changes {path.split('.')[0]}" in text
        assert failed

    def test_key_of_another_owner_that_an_override_names_is_a_warning_with_the_owners_statement(self, stack, report):
        imported = EncryptionKey.from_key_arn(stack, "Imported", OTHERS)
        for kind in ("Table", "Queue"):
            resource = plain(stack, kind, f"AWS::{'DynamoDB' if kind == 'Table' else 'SQS'}::{kind}")
            where = "SSESpecification.KMSMasterKeyId" if kind == "Table" else "KmsMasterKeyId"
            resource.add_property_override(where, imported.key_arn)

        text, failed = report()
        for kind in ("Table", "Queue"):
            assert f"WARNING Stack#{kind}: an override names the key at" in text
        assert "dynamodb.eu-west-1.amazonaws.com" in json.dumps(imported.owner_statements)
        assert not failed

    def test_what_an_override_takes_from_under_the_key_or_has_delivered_under_it_is_a_warning(self, stack, key, report):
        queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
        queue.node.default_child.override_logical_id("Own")
        bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
        bucket.node.default_child.add_property_deletion_override("BucketEncryption")
        gone = aws_sns.CfnTopic(stack, "Gone", kms_master_key_id=key.key_arn)
        gone.add_property_override("KmsMasterKeyId", "alias/aws/sns")
        rule = aws_events.CfnRule(stack, "Rule", schedule_expression=DAILY)
        rule.add_property_override("Targets", [{"Id": "it", "Arn": queue.queue_arn}])
        plain(stack, "Logged", "AWS::S3::Bucket").add_property_override(
            "LoggingConfiguration.DestinationBucketName", bucket.bucket_name
        )

        text, failed = report()
        assert "Stack#Gone: an override changes kmsMasterKeyId in the template" in text
        assert "an override changes bucketEncryption.serverSideEncryptionConfiguration" in text
        for name, target in {"Rule": "Queue", "Logged": "Bucket"}.items():
            assert (
                f"WARNING Stack#{name}: an override, or a late aspect, makes a service deliver to Stack/{target}"
                in text
            )
        assert not failed

    def test_literal_arn_that_an_override_delivers_to_is_the_apps_own_queue_or_topic(self, stack, key, report):
        aws_sqs.Queue(stack, "Queue", encryption_master_key=key, queue_name="orders")
        aws_sns.Topic(stack, "Topic", master_key=key, topic_name="alarms")
        EncryptedBucket(stack, "Bucket", encryption_key=key, bucket_name="orders-logs")
        home = "eu-west-1:111122223333"
        rule = aws_events.CfnRule(stack, "Rule", schedule_expression=DAILY)
        rule.add_property_override("Targets", [{"Id": "orders-logs", "Arn": f"arn:aws:sqs:{home}:orders"}])
        alarm = plain(stack, "Alarm", "AWS::CloudWatch::Alarm")
        alarm.add_property_override("AlarmActions", [f"arn:aws:sns:{home}:alarms"])
        logs = plain(stack, "Logs", "AWS::MSK::Cluster")
        logs.add_property_override("LoggingInfo.BrokerLogs.S3.Bucket", "orders-logs")

        text, _ = report()
        targets = {"Rule": f"arn:aws:sqs:{home}:orders", "Alarm": f"arn:aws:sns:{home}:alarms"}
        targets["Logs"] = "arn:aws:s3:::orders-logs"
        found = [
            f"Stack#{name}: an override, or a late aspect, makes a service deliver to {targets[name]}"
            for name in targets
        ]
        assert [it for it in found if it not in text] == []
        assert text.count("WARNING") == len(targets)

    def test_policy_that_the_cdk_changes_as_it_resolves_an_inventory_is_not_taken_for_an_override(
        self, stack, key, report
    ):
        destination = EncryptedBucket(stack, "Destination", encryption_key=key)
        inventory = aws_s3.Inventory(destination=aws_s3.InventoryDestination(bucket=destination))
        EncryptedBucket(stack, "Bucket", encryption_key=key, inventories=[inventory])

        assert report() == ("", False)

    @pytest.mark.parametrize("action", ["s3:*", "kms:Decrypt"])
    @pytest.mark.parametrize("how", ["property", "aspect"])
    def test_boundary_of_the_app_that_does_not_allow_what_is_granted_is_a_warning(
        self, how, action, stack, key, role, report
    ):
        statement = iam.PolicyStatement(actions=[action], resources=["*"])
        boundary = iam.ManagedPolicy(stack, "Boundary", statements=[statement])
        user = role("User", permissions_boundary=boundary if how == "property" else None)
        key.grant_decrypt(user)
        if how == "aspect":
            iam.PermissionsBoundary.of(stack).apply(boundary)

        text, failed = report()
        assert ("its policies allow kms:Decrypt, and its permissions boundary Stack/Boundary" in text) == (
            action == "s3:*"
        )
        assert not failed

    def test_second_key_of_a_list_that_an_override_names_is_told_of(self, stack, key, report):
        other = EncryptionKey(stack, "Second")
        disk = {"ebs": {"kmsKeyId": key.key_arn}, "deviceName": "/dev/a"}
        instance = aws_ec2.CfnInstance(stack, "Instance", block_device_mappings=[disk])
        second = {"Ebs": {"KmsKeyId": other.key_arn}, "DeviceName": "/dev/b"}
        instance.add_property_override("BlockDeviceMappings.1", second)

        text, failed = report()
        assert "Nothing was allowed for the resource under Stack/Second" in text
        assert "under Stack/Key" not in text
        assert failed

    def test_property_that_is_set_or_names_the_key_in_a_roundabout_way_is_not_an_override(self, stack, key, report):
        queue = aws_sqs.CfnQueue(stack, "Queue")
        queue.kms_master_key_id = key.key_arn
        queue.add_property_override("DelaySeconds", 5)
        key.resource.add_property_override("Description", "Orders")
        aws_sqs.CfnQueue(stack, "Part", kms_master_key_id=cdk.Fn.select(1, cdk.Fn.split("/", key.key_arn)))
        aws_sqs.CfnQueue(stack, "Alias", kms_master_key_id="alias/orders")
        cdk.CfnOutput(stack, "Arn", value=key.key_arn, export_name="K")
        other = cdk.Stack(stack.node.root, "Other", env=HERE)
        other.add_stack_dependency(stack)
        exported = EncryptionKey.from_key_arn(other, "Key", cdk.Fn.import_value("K"))
        aws_sqs.Queue(other, "Queue", encryption_master_key=exported)
        delegated = EncryptionKey(stack, "Delegated", access=KeyAccess.DELEGATED)
        table = plain(stack, "Table", "AWS::DynamoDB::Table")
        table.add_property_override("SSESpecification.KMSMasterKeyId", delegated.key_arn)

        text, failed = report()
        assert (text, failed) == ("", False)

    def test_alias_of_the_key_in_another_stack_is_not_taken_for_an_override(self, stack, key, report):
        other = cdk.Stack(stack.node.root, "Other", env=HERE)
        aws_sqs.Queue(other, "Queue", encryption_master_key=EncryptionKey.from_alias(other, "Key", "orders"))

        assert report() == ("", False)

    @pytest.mark.parametrize("name", ["alias", "parameter", "export", "partition"])
    def test_imported_key_named_by_a_token_is_not_taken_for_an_override(self, name, stack, report):
        arn = {
            "parameter": lambda: cdk.CfnParameter(stack, "Arn").value_as_string,
            "export": lambda: cdk.Fn.import_value("Shared"),
            "partition": lambda: f"arn:{cdk.Aws.PARTITION}:kms:eu-west-1:444455556666:key/1234abcd",
        }
        imported = (
            EncryptionKey.from_alias(stack, "Imported", "bills")
            if name == "alias"
            else EncryptionKey.from_key_arn(stack, "Imported", arn[name]())
        )
        aws_sqs.Queue(stack, "Queue", encryption_master_key=imported)

        assert report() == ("", False)

    def test_subscription_of_a_queue_is_not_taken_for_an_override(self, stack, key, report):
        queue = aws_sqs.Queue(stack, "Queue", encryption_master_key=key)
        aws_sns.Topic(stack, "Topic").add_subscription(aws_sns_subscriptions.SqsSubscription(queue))

        assert report() == ("", False)

    def test_property_that_an_aspect_sets_after_the_last_check_is_refused_as_that(self, stack, key, report):
        aws_sqs.CfnQueue(stack, "Queue")
        late = Each(aws_sqs.CfnQueue, lambda queue: setattr(queue, "kms_master_key_id", key.key_arn))
        cdk.Aspects.of(stack).add(late, priority=950)

        text, failed = report()
        assert "Stack#Queue: it names the key at KmsMasterKeyId, which the last check did not see" in text
        assert "an override, or an aspect of priority 900 or more" in text
        assert failed


@pytest.mark.parametrize(("depth", "name"), [(1, None), (2, None), (1, "orders")])
def test_role_whose_inline_policy_names_the_key_of_a_nested_stack_is_a_cycle(depth, name, stack, synth):
    """aws-cdk-lib alone has none: there the key policy names no role."""
    home = stack
    for _ in range(depth):
        home = cdk.NestedStack(home, "Nested")
    key = EncryptionKey(home, "Key")
    decrypt = iam.PolicyDocument(statements=[iam.PolicyStatement(actions=["kms:Decrypt"], resources=[key.key_arn])])
    service = iam.ServicePrincipal("ec2.amazonaws.com")
    role = iam.Role(stack, "Role", assumed_by=service, inline_policies={"own": decrypt}, role_name=name)
    key.grant_decrypt(role)

    if name:
        assert synth(stack)
        return
    with pytest.raises(RuntimeError, match=r"Stack/Role has an inline .* names the key .*role_name"):
        synth(stack)
