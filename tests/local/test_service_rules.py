"""What services refuse: models, quotas, further permissions, sessions, and policies of resources."""

import io
import json
import ssl
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from ministack.core.responses import AccountRegionScopedDict, request_scope
from ministack.services import iam, secretsmanager, sqs

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.local.server.requests.request_shapes import malformed
from kms_patterns.local.server.requests.service_rules import refused_content
from kms_patterns.local.server.services import service_keys
from kms_patterns.local.server.services.secret_versions import keeping
from kms_patterns.local.server.services.service_keys import asking
from kms_patterns.local.server.services.service_uses import SERVICES
from kms_patterns.local.server.stacks import resource_schemas
from kms_patterns.local.server.stacks.resource_permissions import Step, as_requests, permissions
from kms_patterns.local.server.stacks.stack_refusals import answering, deletion
from kms_patterns.local.server.stacks.template_reading import problems, without
from tests.local import conftest as in_process
from tests.local.conftest import kms_in_process
from tests.local.test_acting import deployed

ACCOUNT = "000000000000"
UNCHECKED = Config(parameter_validation=False, retries={"total_max_attempts": 1})
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ABROAD = {"Region": "eu-west-1"}
TAGS = [{"Key": "a", "Value": "b"}]
QUEUE = {"Type": "AWS::SQS::Queue"}
STACK = json.dumps({"Resources": {"Q": QUEUE}})
ROLE_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
TABLE = {
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
}  # fmt: skip


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def bundle() -> bytes:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return 1")
    return code.getvalue()


@dataclass
class Things:
    """What exists before the requests: a user who may do everything, and one of each resource."""

    admin: AwsSession
    role: str
    function: str
    queue: str
    topic: str
    bucket: str
    linked: str


@pytest.fixture(scope="module")
def things(aws: LocalAws) -> Things:
    iam, name = aws.client("iam"), f"thing-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=everything)
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=ROLE_POLICY)["Role"]["Arn"]
    function = aws.client("lambda").create_function(
        FunctionName=name, Role=role, Runtime="python3.12", Handler="index.handler", Code={"ZipFile": bundle()}
    )["FunctionArn"]
    queue = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    topic = aws.client("sns").create_topic(Name=name)["TopicArn"]
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="tagged", Body=b"x", Tagging="a=b")
    s3.put_object(Bucket=name, Key="code", Body=bundle())
    aws.client("ssm").put_parameter(Name=f"/{name}/p", Type="String", Value="v")
    aws.client("kinesis").create_stream(StreamName=name, ShardCount=1)
    aws.client("dynamodb").create_table(TableName=name, **TABLE)
    aws.client("secretsmanager").create_secret(Name=name, SecretString="v", AddReplicaRegions=[ABROAD])
    aws.client("logs").create_log_group(logGroupName=name)
    aws.client("logs").create_log_stream(logGroupName=name, logStreamName=name)
    iam.create_group(GroupName=name)
    iam.create_user(UserName=f"{name}-member")
    iam.add_user_to_group(GroupName=name, UserName=f"{name}-member")
    policy = iam.create_policy(PolicyName=name, PolicyDocument=everything)["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=everything)
    linked = iam.create_service_linked_role(AWSServiceName="lex.amazonaws.com")["Role"]["RoleName"]
    admin = replace(aws.session(), access_key_id=keys["AccessKeyId"], secret_access_key=keys["SecretAccessKey"])
    return Things(admin, role, function, queue, topic, name, linked)


Request = Callable[[Things], dict[str, Any]]
BIG = document(*[{"Effect": "Allow", "Action": "s3:Get" + "x" * 90, "Resource": "*"} for _ in range(90)])
OTHERS = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}


def function(**more: Any) -> Request:
    name, code = f"f-{uuid.uuid4().hex[:8]}", {"ZipFile": bundle()}
    given = {"FunctionName": name, "Runtime": "python3.12", "Handler": "index.handler", "Code": code}
    return lambda things: {**given, "Role": things.role, **more}


def parameter(**more: Any) -> Request:
    given = {"Name": f"/p/{uuid.uuid4().hex[:8]}", "Type": "String", "Value": "v", **more}
    return lambda _things: given


@pytest.mark.parametrize(("service", "operation", "request_", "code"), [
    # The service's own model: lengths, patterns, ranges and enumerations.
    ("iam", "create_role", lambda _: {"RoleName": "a b", "AssumeRolePolicyDocument": ROLE_POLICY}, "ValidationError"),
    ("iam", "create_role", lambda _: {"RoleName": "a" * 65, "AssumeRolePolicyDocument": ROLE_POLICY},
     "ValidationError"),
    ("logs", "create_log_group", lambda _: {"logGroupName": "a b"}, "InvalidParameterException"),
    ("lambda", "create_function", function(MemorySize=64), "ValidationException"),
    ("lambda", "create_function", function(Runtime="python9"), "ValidationException"),
    ("lambda", "create_function", function(Timeout=901), "ValidationException"),
    ("lambda", "add_permission", lambda t: {"FunctionName": t.function, "StatementId": "s", "Action": "s3:GetObject",
     "Principal": "s3.amazonaws.com"}, "ValidationException"),
    ("secretsmanager", "create_secret", lambda _: {"Name": "s", "SecretString": "v" * 65537}, "ValidationException"),
    # Rules that stand on the operation's page only.
    ("ssm", "put_parameter", parameter(KeyId="alias/aws/ssm"), "ValidationException"),
    ("ssm", "put_parameter", lambda t: parameter(Name=f"/{t.bucket}/p", Type="StringList", Overwrite=True)(t),
     "HierarchyTypeMismatchException"),
    ("ssm", "put_parameter", parameter(Value="v" * 4097), "ValidationException"),
    ("ssm", "put_parameter", parameter(AllowedPattern="^[0-9]+$"), "ParameterPatternMismatchException"),
    ("ssm", "put_parameter", parameter(Name="/" + "/".join("abcdefghijklmnopq")),
     "HierarchyLevelLimitExceededException"),
    ("secretsmanager", "create_secret", lambda _: {"Name": "s", "SecretString": "v", "SecretBinary": b"v"},
     "InvalidParameterException"),
    ("lambda", "create_function", function(Environment={"Variables": {"AWS_REGION": "x"}}),
     "InvalidParameterValueException"),
    ("lambda", "create_function", function(Code={"ZipFile": bundle(), "SourceKMSKeyArn": "arn:aws:kms:us-east-1:"
     "000000000000:key/11111111-2222-3333-4444-555555555555"}), "InvalidParameterValueException"),
    ("lambda", "add_permission", lambda t: {"FunctionName": t.function, "StatementId": "s",
     "Action": "lambda:InvokeFunction", "Principal": f"arn:aws:iam::{ACCOUNT}:role/none"},
     "InvalidParameterValueException"),
    ("sqs", "set_queue_attributes", lambda t: {"QueueUrl": t.queue, "Attributes": {"Foo": "1"}},
     "InvalidAttributeName"),
    ("sqs", "create_queue", lambda _: {"QueueName": "q", "Attributes": {"SqsManagedSseEnabled": "true",
     "KmsMasterKeyId": "alias/aws/sqs"}}, "InvalidAttributeValue"),
    ("sns", "publish", lambda t: {"TopicArn": t.topic, "Message": ""}, "InvalidParameter"),
    ("sns", "subscribe", lambda t: {"TopicArn": t.topic, "Protocol": "x", "Endpoint": "y"}, "InvalidParameter"),
    ("sns", "publish_batch", lambda t: {"TopicArn": t.topic, "PublishBatchRequestEntries": [
     {"Id": "a", "Message": "x"}, {"Id": "b", "Message": "x", "Subject": ""}]}, "InvalidParameter"),
    ("events", "put_rule", lambda _: {"Name": "r"}, "ValidationException"),
    ("events", "put_rule", lambda _: {"Name": "r", "ScheduleExpression": "rate(1 minutes)"}, "ValidationException"),
    ("dynamodb", "create_table", lambda _: {**TABLE, "TableName": "t-a-b", "SSESpecification": {"Enabled": True,
     "SSEType": "AES256"}}, "ValidationException"),
    ("logs", "put_log_events", lambda _: {"logGroupName": "g", "logStreamName": "s", "logEvents": [
     {"timestamp": 2, "message": "a"}, {"timestamp": 1, "message": "b"}]}, "InvalidParameterException"),
    ("stepfunctions", "create_state_machine", lambda t: {"name": "m", "roleArn": t.role.replace("role/", "role/x"),
     "definition": json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}})}, "InvalidDefinition"),
    # Messages, events, mappings and logs.
    ("sqs", "receive_message", lambda t: {"QueueUrl": t.queue, "WaitTimeSeconds": 21}, "InvalidParameterValue"),
    ("sqs", "send_message", lambda t: {"QueueUrl": t.queue, "MessageBody": "x", "DelaySeconds": 901},
     "InvalidParameterValue"),
    ("sqs", "create_queue", lambda t: {"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true", "RedrivePolicy":
     json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{t.bucket}", "maxReceiveCount": 1})}},
     "InvalidParameterValue"),
    ("events", "put_events", lambda _: {"Entries": [{"Source": "a", "DetailType": "b", "Detail": "{x"}]},
     "MalformedDetail"),
    ("events", "put_targets", lambda t: {"Rule": "r", "Targets": [{"Id": "a", "Arn":
     f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"}]}, "ValidationException"),
    ("lambda", "invoke", lambda t: {"FunctionName": t.function, "InvocationType": "Event", "Payload":
     b'"' + b"x" * (1 << 20) + b'"'}, "RequestTooLargeException"),
    ("lambda", "create_event_source_mapping", lambda t: {"FunctionName": t.function, "EventSourceArn": "arn:aws:sqs:"
     f"us-east-1:{ACCOUNT}:{t.bucket}", "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-"
     "555555555555"}, "InvalidParameterValueException"),
    ("lambda", "create_function", lambda t: function(Code={"S3Bucket": t.bucket, "S3Key": "none"}, FunctionName="n")(t),
     "InvalidParameterValueException"),
    ("lambda", "create_function", function(Layers=["arn:aws:lambda:us-east-1:111122223333:layer:AWSLambdaPowertools"
     ":1"]), "AccessDeniedException"),
    # Quotas.
    ("iam", "create_policy", lambda _: {"PolicyName": "p", "PolicyDocument": BIG}, "LimitExceeded"),
    ("iam", "put_role_policy", lambda t: {"RoleName": t.bucket, "PolicyName": "p", "PolicyDocument": BIG},
     "LimitExceeded"),
    ("iam", "create_role", lambda t: {"RoleName": t.bucket.upper(), "AssumeRolePolicyDocument": ROLE_POLICY},
     "EntityAlreadyExists"),
    ("iam", "attach_role_policy", lambda t: {"RoleName": t.bucket, "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/none"},
     "NoSuchEntity"),
    ("iam", "tag_role", lambda t: {"RoleName": t.bucket, "Tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidInput"),
    ("iam", "delete_group", lambda t: {"GroupName": t.bucket}, "DeleteConflict"),
    ("iam", "delete_user", lambda t: {"UserName": f"{t.bucket}-member"}, "DeleteConflict"),
    ("iam", "delete_policy", lambda t: {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/{t.bucket}"}, "DeleteConflict"),
    ("secretsmanager", "delete_secret", lambda t: {"SecretId": t.bucket}, "InvalidRequestException"),
    # Roles of services.
    ("iam", "put_role_policy", lambda t: {"RoleName": t.linked, "PolicyName": "p", "PolicyDocument": BIG},
     "UnmodifiableEntity"),
    ("iam", "update_assume_role_policy", lambda t: {"RoleName": t.linked, "PolicyDocument": ROLE_POLICY},
     "UnmodifiableEntity"),
    ("iam", "delete_role", lambda t: {"RoleName": t.linked}, "UnmodifiableEntity"),
    # Stacks: what is not enforced here, and templates.
    ("cloudformation", "create_stack", lambda _: {"StackName": "s", "TemplateBody": STACK, "StackPolicyBody": "{}"},
     "ValidationError"),
    ("cloudformation", "create_stack", lambda _: {"StackName": "s", "TemplateBody": STACK, "ResourceTypes": ["x"]},
     "ValidationError"),
    ("cloudformation", "create_stack", lambda _: {"StackName": "s", "TemplateBody": STACK.replace("Q", "Q-")},
     "ValidationError"),
    ("cloudformation", "create_stack", lambda _: {"StackName": "s", "TemplateBody": STACK, "Tags": TAGS * 2},
     "ValidationError"),
    ("cloudformation", "create_change_set", lambda _: {"StackName": "s", "ChangeSetName": "c", "ChangeSetType":
     "CREATE", "TemplateBody": "{}"}, "ValidationError"),
    # What a function's role, or its policy, does not let the service do.
    ("lambda", "create_event_source_mapping", lambda t: {"FunctionName": t.function, "EventSourceArn":
     f"arn:aws:sqs:us-east-1:{ACCOUNT}:{t.bucket}"}, "InvalidParameterValueException"),
    ("lambda", "put_function_event_invoke_config", lambda t: {"FunctionName": t.function, "DestinationConfig":
     {"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{t.bucket}"}}}, "InvalidParameterValueException"),
    ("logs", "put_subscription_filter", lambda t: {"logGroupName": "g", "filterName": "f", "filterPattern": "",
     "destinationArn": t.function}, "InvalidParameterException"),
    # Buckets and objects.
    ("s3", "create_bucket", lambda _: {"Bucket": "xn--bucket"}, "InvalidBucketName"),
    ("s3", "create_bucket", lambda _: {"Bucket": "some-s3alias"}, "InvalidBucketName"),
    ("s3", "get_object", lambda t: {"Bucket": t.bucket, "Key": "tagged", "ExpectedBucketOwner": "111122223333"},
     "AccessDenied"),
    # Policies of resources.
    ("sqs", "set_queue_attributes", lambda t: {"QueueUrl": t.queue, "Attributes": {"Policy": document(OTHERS)}},
     "InvalidAttributeValue"),
    ("sns", "set_topic_attributes", lambda t: {"TopicArn": t.topic, "AttributeName": "Policy", "AttributeValue":
     document({**OTHERS, "Action": "sns:*"})}, "InvalidParameter"),
    ("events", "put_permission", lambda _: {"Policy": document(OTHERS)}, "ValidationException"),
])  # fmt: skip
def test_a_request_that_its_service_refuses_is_refused(
    things: Things, code_of: Any, service: str, operation: str, request_: Request, code: str
) -> None:
    client = things.admin.client(service, config=UNCHECKED)
    assert code_of(getattr(client, operation), **request_(things)) == code


def test_request_that_its_service_takes_is_taken(things: Things, code_of: Any) -> None:
    sqs, sns, functions = (things.admin.client(name) for name in ("sqs", "sns", "lambda"))
    entries = [{"Id": it, "Message": '{"default": "x"}', "MessageStructure": "json", "Subject": "s"} for it in "ab"]
    assert len(sns.publish_batch(TopicArn=things.topic, PublishBatchRequestEntries=entries)["Successful"]) == 2
    published = (
        "017000801446:layer:AWSLambdaPowertoolsPythonV3-python312-x86_64",
        "580247275435:layer:LambdaInsightsExtension",
        "901920570463:layer:aws-otel-python-amd64-ver-1-29-0",
    )
    layers = [f"arn:aws:lambda:us-east-1:{layer}:1" for layer in published]
    made = functions.create_function(**function(Layers=layers)(things))
    assert [layer["Arn"] for layer in made["Layers"]] == layers
    one = {"Sid": "one", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": one})
    sqs.set_queue_attributes(QueueUrl=things.queue, Attributes={"Policy": policy})
    sqs.remove_permission(QueueUrl=things.queue, Label="one")
    name = f"q-{uuid.uuid4().hex[:8]}"
    for call in (sqs.delete_queue, sqs.purge_queue, sqs.purge_queue):
        assert code_of(call, QueueUrl=things.queue + name).endswith("NonExistentQueue")
    url = sqs.create_queue(QueueName=things.queue.rpartition("/")[2] + name)["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)
    replace(things.admin, region="eu-west-1").client("sqs").create_queue(QueueName=url.rpartition("/")[2])
    assert code_of(sqs.create_queue, QueueName=url.rpartition("/")[2]).endswith("QueueDeletedRecently")


@pytest.mark.parametrize(("kind", "props"), [
    ("AWS::SSM::Parameter", {"Type": "String", "Value": "v" * 4097}), ("AWS::Events::Rule", {"Name": "r"}),
    ("AWS::Lambda::Function", {"Timeout": 901}), ("AWS::IAM::ManagedPolicy", {"PolicyDocument": json.loads(BIG)}),
])  # fmt: skip
def test_resource_of_a_stack_is_refused_as_its_request_is(kind: str, props: dict[str, Any]) -> None:
    assert any(refused_content(*it) for it in as_requests(Step(kind, "create", "name", props)))


@pytest.mark.parametrize("fifo", [True, False])
def test_queue_of_a_stack_has_the_type_of_its_dead_letter_queue(monkeypatch: pytest.MonkeyPatch, *, fifo: bool) -> None:
    monkeypatch.setattr(sqs, "_queue_by_arn", lambda _arn: {"attributes": {}})
    redrive = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead.fifo", "maxReceiveCount": 1}
    step = Step(
        "AWS::SQS::Queue", "create", "stack-Q", {"RedrivePolicy": redrive} | ({"FifoQueue": True} if fifo else {})
    )
    ((action, params),) = as_requests(step)
    assert (refused_content(action, params) is None) is fifo


@pytest.mark.parametrize(("kind", "deleted", "taken"), [
    ("Role", "web", True), ("Role", "web-app", False), ("User", "web-app", True),
    ("ManagedPolicy", f"arn:aws:iam::{ACCOUNT}:policy/web", True),
    ("ManagedPolicy", f"arn:aws:iam::{ACCOUNT}:policy/web-app", False),
])  # fmt: skip
def test_deletion_is_refused_for_what_names_the_resource_itself_only(
    monkeypatch: pytest.MonkeyPatch, kind: str, deleted: str, *, taken: bool
) -> None:
    bounded = {"PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/web-app"}
    monkeypatch.setattr(iam, "_instance_profiles", {"p": {"Roles": ["web-app"]}})
    monkeypatch.setattr(iam, "_roles", {"web": {}, "web-app": {}, "bounded": bounded})
    assert (deletion(f"AWS::IAM::{kind}", deleted, {}) is None) is taken


@pytest.mark.parametrize(("service", "operation", "request_", "action", "lacking"), [
    ("iam", "create_role", lambda _: {"RoleName": "tagged", "AssumeRolePolicyDocument": ROLE_POLICY, "Tags": TAGS},
     "iam:CreateRole", "iam:TagRole"),
    ("sqs", "create_queue", lambda _: {"QueueName": "tagged", "tags": {"a": "b"}}, "sqs:CreateQueue", "sqs:TagQueue"),
    ("secretsmanager", "create_secret", lambda _: {"Name": "tagged", "SecretString": "v", "Tags": TAGS},
     "secretsmanager:CreateSecret", "secretsmanager:TagResource"),
    ("secretsmanager", "create_secret", lambda _: {"Name": "replicated", "AddReplicaRegions": [ABROAD]},
     "secretsmanager:CreateSecret", "secretsmanager:ReplicateSecretToRegions"),
    ("lambda", "create_function", function(Tags={"a": "b"}), "lambda:CreateFunction", "lambda:TagResource"),
    ("sns", "create_topic", lambda _: {"Name": "tagged", "Tags": TAGS}, "sns:CreateTopic", "sns:TagResource"),
    ("lambda", "update_function_code", lambda t: {"FunctionName": t.function, "S3Bucket": t.bucket, "S3Key": "code"},
     "lambda:UpdateFunctionCode", "s3:GetObject"),
    ("logs", "create_log_group", lambda _: {"logGroupName": "tagged", "tags": {"a": "b"}}, "logs:CreateLogGroup",
     "logs:TagLogGroup"),
    ("logs", "create_log_group", lambda _: {"logGroupName": "tagged2", "tags": {"a": "b"}}, "logs:CreateLogGroup",
     "logs:TagResource"),
    ("logs", "get_log_events", lambda t: {"logGroupName": t.bucket, "logStreamName": t.bucket, "unmask": True},
     "logs:GetLogEvents", "logs:Unmask"),
    ("kinesis", "register_stream_consumer", lambda t: {"StreamARN": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/"
     + t.bucket, "ConsumerName": "c", "Tags": {"a": "b"}}, "kinesis:RegisterStreamConsumer", "kinesis:TagResource"),
    ("s3", "create_bucket", lambda t: {"Bucket": t.bucket + "-tagged", "CreateBucketConfiguration": {"Tags": TAGS}},
     "s3:CreateBucket", "s3:TagResource"),
    ("s3", "copy_object", lambda t: {"Bucket": t.bucket, "Key": "copy", "CopySource": f"{t.bucket}/tagged"},
     "s3:PutObject", "s3:GetObjectTagging"),
    ("cloudformation", "create_stack", lambda t: {"StackName": f"{t.bucket}-tags", "TemplateBody": STACK, "Tags": TAGS},
     "cloudformation:CreateStack", "cloudformation:TagResource"),
])  # fmt: skip
def test_what_a_request_does_besides_needs_its_own_permission(
    things: Things, session_of: Any, allow: Any, code_of: Any, service: str, operation: str, request_: Request,
    action: str, lacking: str,
) -> None:  # fmt: skip
    more = ["iam:PassRole"] + (["s3:GetObject", "s3:PutObjectTagging"] if service == "s3" else [])
    narrow, request = session_of(allow([action, *more], "*")), request_(things)
    assert code_of(getattr(narrow.client(service), operation), **request) in DENIED
    wide = session_of(allow([action, *more, lacking], "*"))
    assert getattr(wide.client(service), operation)(**request)["ResponseMetadata"]["HTTPStatusCode"] < 300


@pytest.mark.parametrize(("ending", "made"), [("", False), ("-??????", True), ("-*", True), ("*", True)])
def test_name_alone_does_not_allow_to_create_a_secret(
    session_of: Any, allow: Any, code_of: Any, ending: str, made: bool
) -> None:
    """AWS: https://docs.aws.amazon.com/secretsmanager/latest/userguide/getting-started.html (the six characters)."""
    name = f"named-{uuid.uuid4().hex[:8]}"
    on_secret = allow(
        "secretsmanager:CreateSecret", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:{name}{ending}"
    )
    client = session_of(on_secret, allow("cloudformation:*", "*"))
    if made:
        assert client.client("secretsmanager").create_secret(Name=name, SecretString="v")["Name"] == name
    else:
        assert code_of(client.client("secretsmanager").create_secret, Name=name, SecretString="v") in DENIED
        stack = {"R": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": name}}}
        assert "secretsmanager:CreateSecret" in deployed(client, stack)


def test_replica_takes_the_place_of_a_secret_only_if_told(things: Things, code_of: Any) -> None:
    here, there = (replace(things.admin, region=it).client("secretsmanager") for it in ("us-east-1", "eu-west-1"))
    there.create_secret(Name="replaced", SecretString="theirs")
    request = {"Name": "replaced", "SecretString": "ours", "AddReplicaRegions": [ABROAD]}
    assert code_of(here.create_secret, **request) == "ResourceExistsException"
    assert there.get_secret_value(SecretId="replaced")["SecretString"] == "theirs"
    here.create_secret(**request, ForceOverwriteReplicaSecret=True)
    assert there.get_secret_value(SecretId="replaced")["SecretString"] == "ours"


def test_replicas_of_a_secret_in_a_stack_need_the_permission_to_replicate() -> None:
    step = Step("AWS::SecretsManager::Secret", "create", "app", {"ReplicaRegions": [ABROAD]})
    assert "secretsmanager:ReplicateSecretToRegions" in {it.action for it in permissions(step)}


@pytest.mark.parametrize(("existing", "regions", "usable", "code"), [
    (("us-east-1", "eu-west-1"), ["eu-west-1"], ["us-east-1"], "AccessDeniedException"),
    ((), ["us-east-1"], [], "InvalidParameterException"),
    (("eu-west-1",), ["eu-west-1"], [], "ResourceExistsException"),
    ((), ["eu-west-1"], ["eu-west-1"], "AccessDeniedException"),
    ((), ["eu-west-1", "eu-west-2"], ["eu-west-1", "eu-west-2"], "AccessDeniedException"),
])  # fmt: skip
def test_secret_that_is_refused_leaves_every_region_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: tuple[str, ...], regions: list[str], usable: list[str],
    code: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(secretsmanager, "_secrets", AccountRegionScopedDict())
    with kms_in_process(tmp_path / "calls") as kms:
        keys = {}
        for region in ("us-east-1", "eu-west-1", "eu-west-2"):
            with request_scope(in_process.ACCOUNT, region):
                keys[region] = kms.key()
                if region in existing:
                    secretsmanager._store_new_secret("app")
        user = in_process.caller(in_process.allow("kms:*", [keys[region] for region in usable])) if usable else None
        monkeypatch.setattr(service_keys, "caller_of", lambda *_: user or in_process.caller())
        service = next(it for it in SERVICES if it.host == "secretsmanager")
        request = {"Name": "app", "KmsKeyId": keys["us-east-1"], "SecretString": "x", "AddReplicaRegions": [
            {"Region": region, "KmsKeyId": keys[region]} for region in regions
        ]}  # fmt: skip
        before = dict(secretsmanager._secrets._data)
        asked = asking(kms.service, service)(keeping(secretsmanager.handle_request))(
            "POST", "/", {"x-amz-target": "secretsmanager.CreateSecret"}, json.dumps(request).encode(), {}
        )
        with pytest.raises(StopIteration) as answered:
            asked.send(None)  # type: ignore[attr-defined]
        status, _headers, body = answered.value.value
        assert (status, json.loads(body)["__type"]) == (400, code)
        assert secretsmanager._secrets._data == before


def test_the_type_of_a_parameter_outside_a_hierarchy_changes(things: Things) -> None:
    ssm, name = things.admin.client("ssm"), f"p-{uuid.uuid4().hex[:8]}"
    for kind in ("SecureString", "String"):
        ssm.put_parameter(Name=name, Type=kind, Value="v", Overwrite=True)
        assert ssm.get_parameter(Name=name)["Parameter"]["Type"] == kind
    before = ssm.get_parameter(Name=f"{name}:1", WithDecryption=True)["Parameter"]
    assert (before["Type"], before["Value"]) == ("SecureString", "v")


DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AWS.SimpleQueueService.AccessDenied"}


def test_an_invocation_of_a_version_needs_a_policy_for_it(things: Things, session_of: Any, allow: Any) -> None:
    unqualified = session_of(allow("lambda:InvokeFunction", things.function)).client("lambda")
    assert unqualified.invoke(FunctionName=things.function)["StatusCode"] == 200
    with pytest.raises(unqualified.exceptions.ClientError, match="AccessDenied"):
        unqualified.invoke(FunctionName=things.function, Qualifier="$LATEST")
    qualified = session_of(allow("lambda:InvokeFunction", f"{things.function}:*")).client("lambda")
    assert qualified.invoke(FunctionName=things.function, Qualifier="$LATEST")["StatusCode"] == 200


def test_a_federated_user_calls_neither_iam_nor_sts(things: Things, code_of: Any) -> None:
    everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    made = things.admin.client("sts").get_federation_token(Name="federated", Policy=everything)["Credentials"]
    federated = replace(
        things.admin, access_key_id=made["AccessKeyId"], secret_access_key=made["SecretAccessKey"],
        session_token=made["SessionToken"],
    )  # fmt: skip
    assert code_of(federated.client("iam").list_users) == "AccessDenied"
    role = {"RoleArn": things.role, "RoleSessionName": "name"}
    assert code_of(federated.client("sts").assume_role, **role) == "AccessDenied"
    assert federated.client("sts").get_caller_identity()["Arn"].endswith("federated-user/federated")
    assert federated.client("kms").list_keys()["Keys"] is not None


def test_a_bucket_of_another_region_is_already_owned(things: Things, code_of: Any) -> None:
    elsewhere = replace(things.admin, region="eu-west-1").client("s3")
    request = {"Bucket": things.bucket, "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    assert code_of(elsewhere.create_bucket, **request) == "BucketAlreadyOwnedByYou"


def test_a_request_signed_for_another_service_is_refused() -> None:
    def answer(service: str, target: str) -> Any:
        request = AWSRequest("POST", "https://127.0.0.1/", headers={"X-Amz-Target": target}, data=b"{}")
        SigV4Auth(Credentials("AKIA", "secret"), service, "us-east-1").add_auth(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        return malformed("POST", "/", headers, b"{}", {})

    for wrong, target in (("s3", "TrentService.ListKeys"), ("kms", "secretsmanager.ListSecrets")):
        assert json.loads(answer(wrong, target)[2])["__type"] == "InvalidSignatureException"
    assert answer("kms", "TrentService.ListKeys") is None
    assert answer("states", "AWSStepFunctions.ListStateMachines") is None


@pytest.mark.parametrize("condition", [
    {"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}, {"NumericGreaterThan": {"s3:signatureAge": "-1"}},
    {"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}},
    {"NumericLessThan": {"s3:TlsVersion": "1.3"}},
])  # fmt: skip
def test_deny_on_how_a_request_of_s3_is_signed_applies(things: Things, make_bucket: Any, condition: Any) -> None:
    """AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/bucket-policy-s3-sigv4-conditions.html."""
    s3, bucket = things.admin.client("s3", config=Config(signature_version="s3v4")), make_bucket()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    assert _status(things, url) == 200
    denying = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*", "Condition": condition}
    iam, named = things.admin.client("iam"), {"UserName": things.bucket, "PolicyName": "deny"}
    iam.put_user_policy(**named, PolicyDocument=document(denying))
    try:
        assert _status(things, url) == 403
    finally:
        iam.delete_user_policy(**named)


def test_header_that_a_presigned_url_does_not_cover_is_refused(things: Things, make_bucket: Any) -> None:
    s3 = things.admin.client("s3", config=Config(signature_version="s3v4"))
    url = s3.generate_presigned_url("put_object", {"Bucket": make_bucket(), "Key": "k"})
    assert _status(things, url, "PUT", {"x-amz-server-side-encryption": "aws:kms"}) == 403
    assert _status(things, url, "PUT", {}) == 200


def test_customer_keys_are_blocked_unless_the_bucket_takes_them(things: Things, make_bucket: Any, code_of: Any) -> None:
    s3, own = things.admin.client("s3"), {"Key": "k", "SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    assert code_of(s3.put_object, Bucket=make_bucket(), **own) == "AccessDenied"
    assert code_of(s3.create_multipart_upload, Bucket=make_bucket(), **own) == "AccessDenied"
    assert s3.put_object(Bucket=make_bucket(customer_keys=True), **own)["SSECustomerAlgorithm"] == "AES256"


def test_policy_of_a_table_decides_on_the_table_and_its_indexes(things: Things, code_of: Any) -> None:
    tables, name = things.admin.client("dynamodb"), f"table-{uuid.uuid4().hex[:8]}"
    index = {"IndexName": "index", "KeySchema": TABLE["KeySchema"], "Projection": {"ProjectionType": "ALL"}}
    arn = tables.create_table(TableName=name, **TABLE, GlobalSecondaryIndexes=[index])["TableDescription"]["TableArn"]
    item, values = {"TableName": name, "Key": {"p": {"S": "a"}}}, {":p": {"S": "a"}}
    query = {"TableName": name, "KeyConditionExpression": "p = :p", "ExpressionAttributeValues": values}
    tables.query(**query, IndexName="index")
    for action, on in (("GetItem", arn), ("Query", f"{arn}/index/*")):
        denying = document({**OTHERS, "Effect": "Deny", "Action": f"dynamodb:{action}", "Resource": on})
        tables.put_resource_policy(ResourceArn=arn, Policy=denying)
        if action == "GetItem":
            assert code_of(tables.get_item, **item) == "AccessDeniedException"
    assert code_of(tables.query, **query, IndexName="index") == "AccessDeniedException"
    assert tables.query(**query)["Items"] == []


@pytest.mark.parametrize(("template", "said"), [
    ({}, "At least one Resources member"), ({"Resources": {"Q": QUEUE}, "Foo": {}}, "[Foo]"),
    ({"Resources": {"Q": {**QUEUE, "Properties": {"QueueName": {"Ref": "N"}}}}}, "[N]"),
    ({"Resources": {"Q": {**QUEUE, "Properties": {"QueueName": {"Fn::GetAtt": ["N", "Arn"]}}}}}, "[N]"),
    ({"Resources": {"Q": {**QUEUE, "Properties": {"QueueName": {"Fn::Sub": "${N}-${AWS::Region}-${!L}"}}}}}, "[N]"),
    ({"Resources": {"Q": {**QUEUE, "DependsOn": ["N"]}}}, "[N]"), ({"Resources": {"Q": QUEUE}, "Outputs": {
     "O": {"Value": {"Ref": "N"}}}}, "in the Outputs block"),
    ({"Resources": {"Q": {**QUEUE, "Condition": "C"}}}, "condition dependency C"),
    ({"Resources": {"Q": {**QUEUE, "DeletionPolicy": "Keep"}}}, "DeletionPolicy Keep"),
    ({"Resources": {"Q": QUEUE}, "Parameters": {"P": {"Type": "String"}}}, "[X] do not exist"),
    ({"Resources": {"Q": QUEUE}, "Parameters": {"X": {"Type": "Foo"}}}, "Unrecognized parameter type: Foo"),
    ({"Resources": {"Q": {**QUEUE, "DependsOn": "Q"}}}, "Circular dependency between resources: [Q]"),
    ({"Resources": {"Q": {**QUEUE, "Propertys": {}}}}, "Invalid template resource property 'Propertys'"),
    ({"Resources": {"Q": QUEUE}, "Outputs": {"O": {"Description": "x"}}}, "Output O is malformed"),
    ({"Resources": {"Q": {**QUEUE, "Properties": {"QueueName": {"Fn::If": ["C", "a", "b"]}}}}}, "Fn::If C"),
    ({"Resources": {"Q": {**QUEUE, "Properties": {"QueueName": {"Ref": "AWS::Foo"}}}}}, "[AWS::Foo]"),
])  # fmt: skip
def test_template_that_cloudformation_refuses(template: dict[str, Any], said: str) -> None:
    assert said in " ".join(problems(template, {"X": "y"}))


def test_template_that_cloudformation_takes() -> None:
    own = {"Fn::Sub": ["${N}-${P}-${Q.Arn}-${AWS::StackName}", {"N": {"Ref": "Q"}}]}
    resources = {
        "Q": QUEUE,
        "R": {**QUEUE, "DependsOn": "Q", "Properties": {"QueueName": own}, "Metadata": {"Ref": "x"}},
        "C": {"Type": "Custom::C", "Properties": {"Steps": [{"Type": "a", "DependsOn": [{"Name": "x"}, "first"]}]}},
    }
    assert not list(problems({"Resources": resources, "Parameters": {"P": {"Type": "String"}}}, {"P": "y"}))
    assert not list(problems({"Transform": "AWS::Serverless-2016-10-31", "Resources": {"A-": {"Ref": "x"}}}, {}))


@pytest.mark.parametrize("held", [True, False])
def test_what_a_condition_leaves_out_is_named_by_what_is_left_out_as_well_only(*, held: bool) -> None:
    chosen = {"Fn::If": ["C", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]}
    resources = {"A": {**QUEUE, "Condition": "C"}, "B": {**QUEUE, "Properties": {"QueueName": chosen}}}
    assert not list(without({"Resources": resources}, {"C": held}))
    named = {"Resources": resources, "Outputs": {"O": {"Value": {"Ref": "A"}}}}
    assert bool(list(without(named, {"C": held}))) is not held


@pytest.mark.parametrize(("kind", "properties", "said"), [
    ("AWS::SQS::Queue", {"DelaySeconds": "5", "Tags": [{"Key": "aws:cloudformation:stack-id", "Value": "x"}]}, None),
    ("AWS::SQS::Queue", {"DelaySeconds": 901}, "#/DelaySeconds: failed validation constraint for keyword [maximum]"),
    ("AWS::SQS::Queue", {"Foo": 1}, "#: extraneous key [Foo] is not permitted"),
    ("AWS::KMS::Key", {"KeyPolicy": {}, "EnableKeyRotation": "true"}, None), ("AWS::SQS::Queue", {"Tags": [1]}, "Tags"),
    ("AWS::Logs::LogGroup", {"RetentionInDays": 2}, "keyword [enum]"), ("AWS::KMS::Key", {"KeyPolicy": {},
     "KeySpec": "ML_KEM_768", "KeyUsage": "ENCAPSULATE_DECAPSULATE"}, None), ("Custom::C", {"Any": [{}]}, None),
])  # fmt: skip
def test_properties_are_those_of_the_registrys_schema(kind: str, properties: Any, said: str | None) -> None:
    found = resource_schemas.problem(kind, "R", properties)
    assert (found is None) if said is None else said in str(found)


@pytest.mark.parametrize(("kind", "name", "told"), [
    ("AWS::KMS::Key", "KeyPolicy", "Never"), ("AWS::KMS::Alias", "AliasName", "Always"),
    ("AWS::Lambda::Permission", "Principal", "Always"), ("AWS::IAM::Policy", "PolicyName", "Never"),
    ("Custom::C", "Any", "Conditionally"),
])  # fmt: skip
def test_change_set_says_what_replaces_a_resource(kind: str, name: str, told: str) -> None:
    assert resource_schemas.recreation(lambda *_: "Conditionally")(kind, name) == told


@pytest.mark.parametrize(("answer", "status", "reason"), [
    ({"Status": "MAYBE"}, "FAILED", "Invalid response object: Value of property Status must be SUCCESS or FAILED"),
    ({"Data": "text"}, "FAILED", "Invalid response object: Value of property Data must be an object"),
    ({"PhysicalResourceId": "x"}, "SUCCESS", None), ({}, "FAILED", "Invalid PhysicalResourceId"),
    ({"PhysicalResourceId": "x", "Data": {"A": "b" * 4096}}, "FAILED", "Response object is too long."),
    ({"PhysicalResourceId": "x", "Data": {"A": "ä" * 900}}, "SUCCESS", None),
])  # fmt: skip
def test_answer_of_a_custom_resource_is_what_cloudformation_takes(answer: Any, status: str, reason: Any) -> None:
    delivered: list[dict[str, Any]] = []
    deliver = answering(lambda _token, response: not delivered.append(response))  # type: ignore[func-returns-value]
    assert deliver("token", {"Status": "SUCCESS", **answer})
    assert (delivered[0]["Status"], delivered[0].get("Reason")) == (status, reason)


def _status(things: Things, url: str, method: str = "GET", headers: dict[str, str] | None = None) -> int:
    trusted = ssl.create_default_context(cafile=str(things.admin.ca_bundle))
    body = b"x" if method == "PUT" else None
    try:
        request = urllib.request.Request(url, body, headers or {}, method=method)
        with urllib.request.urlopen(request, context=trusted) as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        return refused.code
