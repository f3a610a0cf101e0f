"""Who acts when the emulator works on by itself: state machines and rules as their roles, stacks as their callers."""

import base64
import json
import time
import uuid
from typing import Any

import pytest

from kms_patterns.local import AwsSession, LocalAws

STATES_TRUST = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}


def unique() -> str:
    return f"thing-{uuid.uuid4().hex[:8]}"


def finished(aws: LocalAws, execution: str) -> dict[str, Any]:
    states = aws.client("stepfunctions")
    for _ in range(100):
        found: dict[str, Any] = states.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            break
        time.sleep(0.1)
    return found


def run_machine(aws: LocalAws, role: str, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
    task = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
    states = aws.client("stepfunctions")
    machine = states.create_state_machine(
        name=unique(), roleArn=role, definition=json.dumps({"StartAt": "A", "States": {"A": task}})
    )["stateMachineArn"]
    return finished(aws, states.start_execution(stateMachineArn=machine)["executionArn"])


@pytest.mark.parametrize("resource", [
    "arn:aws:states:::aws-sdk:sqs:sendMessage", "arn:aws:states:::sqs:sendMessage",
])  # fmt: skip
def test_state_machine_acts_as_its_role(aws: LocalAws, make_role: Any, allow: Any, key: str, resource: str) -> None:
    queue = aws.client("sqs").create_queue(QueueName=unique(), Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    message = {"QueueUrl": queue, "MessageBody": "x"}
    send, use = allow("sqs:SendMessage", "*"), allow(["kms:GenerateDataKey", "kms:Decrypt"], "*")
    found = [
        run_machine(aws, make_role(*statements, trust=STATES_TRUST), resource, message)
        for statements in ([], [send], [send, use])
    ]
    assert [one["status"] for one in found] == ["FAILED", "FAILED", "SUCCEEDED"], found
    assert "sqs:SendMessage" in found[0]["cause"]
    assert "kms:GenerateDataKey" in found[1]["cause"]


def test_state_machine_whose_role_does_not_trust_it_fails(aws: LocalAws, make_role: Any, allow: Any) -> None:
    found = run_machine(aws, make_role(allow("*", "*")), "arn:aws:states:::aws-sdk:sqs:listQueues", {})
    assert (found["status"], "states.amazonaws.com" in found["cause"]) == ("FAILED", True)


def test_state_machine_decrypts_as_its_role(aws: LocalAws, make_role: Any, allow: Any, key: str) -> None:
    blob = aws.client("kms").encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    parameters = {"CiphertextBlob": base64.b64encode(blob).decode(), "KeyId": key}
    resource = "arn:aws:states:::aws-sdk:kms:decrypt"
    denied = run_machine(aws, make_role(trust=STATES_TRUST), resource, parameters)
    allowed = run_machine(aws, make_role(allow("kms:Decrypt", key), trust=STATES_TRUST), resource, parameters)
    assert (denied["status"], allowed["status"]) == ("FAILED", "SUCCEEDED"), (denied.get("cause"), allowed.get("cause"))
    assert "kms:Decrypt" in denied["cause"]


@pytest.mark.parametrize("allowed", [False, True])
def test_rule_reaches_a_queue_by_its_policy_only(aws: LocalAws, allowed: bool) -> None:
    sqs, events, name = aws.client("sqs"), aws.client("events"), unique()
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"
    rule = events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    if allowed:
        statement = {
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": "{}"}])
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2 if allowed else 0).get("Messages", [])
    assert len(received) == int(allowed)


def deployed(session: AwsSession, resources: dict[str, Any], name: str | None = None, **options: Any) -> str:
    """Deploy a stack and return the reason of the first failure, empty if it was created."""
    cloudformation, name = session.client("cloudformation"), name or unique()
    body = json.dumps({"Resources": resources})
    cloudformation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"], **options)
    return settled(cloudformation, name)


def settled(cloudformation: Any, name: str) -> str:
    for _ in range(100):
        status = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        if not status.endswith("IN_PROGRESS"):
            break
        time.sleep(0.05)
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
    return str(failed[-1]["ResourceStatusReason"]) if failed else ""


ROOT_STATEMENT = {
    "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*", "Resource": "*",
}  # fmt: skip
ALLOW_ALL = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
KEY = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": [ROOT_STATEMENT]}}}
TRUST = {"Version": "2012-10-17", "Statement": [STATES_TRUST]}
NEEDED = {
    "kms:CreateKey": KEY,
    "s3:CreateBucket": {"Type": "AWS::S3::Bucket"},
    "iam:CreateRole": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
    "iam:PutUserPolicy": {
        "Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "x", "Users": ["me"], "PolicyDocument": ALLOW_ALL},
    },
    "sqs:CreateQueue": {"Type": "AWS::SQS::Queue"},
    "events:CreateEventBus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "bus"}},
}  # fmt: skip


@pytest.mark.parametrize(("action", "resource"), NEEDED.items(), ids=NEEDED.keys())
def test_stack_needs_its_callers_permissions(
    session_of: Any, allow: Any, action: str, resource: dict[str, Any]
) -> None:
    assert action in deployed(session_of(allow("cloudformation:*", "*")), {"R": resource})


def test_stack_acts_as_its_callers_permissions_allow(session_of: Any, allow: Any) -> None:
    session = session_of(allow(["cloudformation:*", "sqs:CreateQueue"], "*"))
    assert deployed(session, {"Q": {"Type": "AWS::SQS::Queue"}}) == ""


def test_stack_acts_as_its_service_role(session_of: Any, make_role: Any, allow: Any) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = make_role(allow("sqs:*", "*"), trust=trust)
    caller = session_of(allow(["cloudformation:*", "s3:*"], "*"), allow("iam:PassRole", role))
    queue, bucket = {"Q": {"Type": "AWS::SQS::Queue"}}, {"B": {"Type": "AWS::S3::Bucket"}}
    assert deployed(caller, queue, RoleARN=role) == ""
    # The caller's own permissions do not count then.
    assert "s3:CreateBucket" in deployed(caller, bucket, RoleARN=role)


@pytest.mark.parametrize("service", ["ssm", "ssm-secure", "secretsmanager"])
def test_dynamic_reference_copies_nothing_that_the_caller_cannot_read(
    aws: LocalAws, session_of: Any, allow: Any, key: str, service: str
) -> None:
    name = unique()
    if service == "secretsmanager":
        aws.client("secretsmanager").create_secret(Name=name, SecretString="plain", KmsKeyId=key)
    else:
        kind = {"Type": "SecureString", "KeyId": key} if service == "ssm-secure" else {"Type": "String"}
        aws.client("ssm").put_parameter(Name=name, Value="plain", **kind)
    value = f"{{{{resolve:{service}:{name}}}}}"
    parameter = {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Type": "String", "Name": f"{name}-copy", "Value": value},
    }
    session = session_of(allow(["cloudformation:*", "ssm:PutParameter"], "*"))
    assert "AccessDenied" in deployed(session, {"P": parameter})
    assert f"{name}-copy" not in {one["Name"] for one in aws.client("ssm").describe_parameters()["Parameters"]}
    if service == "secretsmanager":
        # The secret without its key is not enough.
        without_key = session_of(allow(["cloudformation:*", "ssm:*", "secretsmanager:*"], "*"))
        assert "kms:Decrypt" in deployed(without_key, {"P": parameter})


def test_name_that_is_taken_fails_the_stack(aws: LocalAws, make_key: Any, make_role: Any, make_bucket: Any) -> None:
    alias, role, bucket = f"alias/{unique()}", make_role().rsplit("/", 1)[-1], make_bucket()
    key = make_key()
    aws.client("kms").create_alias(AliasName=alias, TargetKeyId=key)
    taken = {
        "A": {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": alias, "TargetKeyId": make_key()}},
        "R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": role, "AssumeRolePolicyDocument": TRUST}},
    }
    for logical_id, resource in taken.items():
        reason = deployed(aws.session(), {logical_id: resource})
        assert ("already exists" in reason, "AlreadyExists" in reason) == (True, True), reason
    assert aws.client("kms").describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == key
    assert deployed(aws.session(), {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}})


def test_bucket_that_is_not_empty_stays(aws: LocalAws) -> None:
    name, bucket = unique(), unique()
    resource = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}
    assert deployed(aws.session(), {"B": resource}, name) == ""
    aws.client("s3").put_object(Bucket=bucket, Key="x", Body=b"y")
    cloudformation = aws.client("cloudformation")
    cloudformation.delete_stack(StackName=name)
    assert "not empty" in settled(cloudformation, name)
    assert cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "DELETE_FAILED"
    assert aws.client("s3").get_object(Bucket=bucket, Key="x")["Body"].read() == b"y"


def test_change_set_says_that_a_key_policy_changes_without_interruption(aws: LocalAws) -> None:
    name, cloudformation = unique(), aws.client("cloudformation")
    assert deployed(aws.session(), {"K": KEY, "Q": {"Type": "AWS::SQS::Queue"}}, name) == ""
    other = {"Version": "2012-10-17", "Statement": [ROOT_STATEMENT | {"Sid": "other"}]}
    template = {
        "Resources": {
            "K": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": other}},
            "Q": {"Type": "AWS::SQS::Queue"},
        }
    }
    cloudformation.create_change_set(StackName=name, ChangeSetName="changes", TemplateBody=json.dumps(template))
    changes = cloudformation.describe_change_set(StackName=name, ChangeSetName="changes")["Changes"]
    (change,) = [one["ResourceChange"] for one in changes]
    assert (change["LogicalResourceId"], change["Replacement"]) == ("K", "False")
    assert [detail["Target"]["RequiresRecreation"] for detail in change["Details"]] == ["Never"]


def test_custom_resource_whose_function_cannot_start_fails_at_once(aws: LocalAws, make_role: Any) -> None:
    code = {"ZipFile": "import nothing_of_that_name\ndef h(event, context): pass"}
    role = make_role(
        trust={"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    )
    function = {"Role": role, "Runtime": "python3.12", "Handler": "index.h", "Code": code}
    reason = deployed(aws.session(), {
        "F": {"Type": "AWS::Lambda::Function", "Properties": function},
        "C": {"Type": "Custom::Any", "Properties": {"ServiceToken": {"Fn::GetAtt": ["F", "Arn"]}}},
    })  # fmt: skip
    assert "nothing_of_that_name" in reason
