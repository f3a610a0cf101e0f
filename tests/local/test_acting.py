"""In whose name the emulator works on, what stacks and functions may, and STS: sessions, tokens of a federation."""

import base64
import io
import json
import ssl
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.config import Config

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.local.aws_session import local_address

DENIED = "AccessDeniedException"
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
    assert "sqs:sendmessage" in found[0]["cause"]
    assert "kms:GenerateDataKey" in found[1]["cause"]


def test_state_machine_whose_role_no_longer_trusts_it_fails(aws: LocalAws, make_role: Any, allow: Any) -> None:
    name, machines = unique(), aws.client("stepfunctions")
    role = make_role(allow("*", "*"), trust=STATES_TRUST, name=name)
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sqs:listQueues", "End": True}
    definition = json.dumps({"StartAt": "Task", "States": {"Task": task}})
    machine = machines.create_state_machine(name=name, definition=definition, roleArn=role)["stateMachineArn"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [CHAINING]})
    aws.client("iam").update_assume_role_policy(RoleName=name, PolicyDocument=document)
    found = finished(aws, machines.start_execution(stateMachineArn=machine)["executionArn"])
    assert (found["status"], "states.amazonaws.com" in found["cause"]) == ("FAILED", True)


def test_state_machine_decrypts_as_its_role(aws: LocalAws, make_role: Any, allow: Any, key: str) -> None:
    blob = aws.client("kms").encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    parameters = {"CiphertextBlob": base64.b64encode(blob).decode(), "KeyId": key}
    resource = "arn:aws:states:::aws-sdk:kms:decrypt"
    denied = run_machine(aws, make_role(trust=STATES_TRUST), resource, parameters)
    allowed = run_machine(aws, make_role(allow("kms:Decrypt", key), trust=STATES_TRUST), resource, parameters)
    assert (denied["status"], allowed["status"]) == ("FAILED", "SUCCEEDED"), (denied.get("cause"), allowed.get("cause"))
    assert "kms:Decrypt" in denied["cause"]


@pytest.mark.parametrize(("allowed", "key_policy", "reached"), [
    (False, None, False), (True, None, True), (True, "without the service", False), (True, "with it", True),
])  # fmt: skip
def test_rule_reaches_a_queue_by_its_policy_and_its_key_only(
    aws: LocalAws, make_key: Any, root_statement: Any, allowed: bool, key_policy: str | None, reached: bool
) -> None:
    sqs, events, name = aws.client("sqs"), aws.client("events"), unique()
    service = root_statement | {"Principal": {"Service": "events.amazonaws.com"}}
    key = make_key(root_statement, *([service] if key_policy == "with it" else [])) if key_policy else ""
    url = sqs.create_queue(QueueName=name, Attributes={"KmsMasterKeyId": key} if key else {})["QueueUrl"]
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
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2 if reached else 0).get("Messages", [])
    assert len(received) == int(reached)


def deployed(session: AwsSession, resources: dict[str, Any], name: str | None = None, **options: Any) -> str:
    """Deploy a stack and return the reason of the first failure, empty if it was created."""
    cloudformation, name = session.client("cloudformation"), name or unique()
    body = json.dumps({"Resources": resources})
    cloudformation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"], **options)
    return settled(cloudformation, name)


def test_rule_reaches_no_queue_of_another_region_and_events_go_on(aws: LocalAws) -> None:
    there, events, name = aws.client("sqs", region_name="eu-west-1"), aws.client("events"), unique()
    url, arn = there.create_queue(QueueName=name)["QueueUrl"], f"arn:aws:sqs:eu-west-1:{aws.account}:{name}"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    there.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    entry = {"Source": name, "DetailType": "t", "Detail": "{}"}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert "Messages" not in there.receive_message(QueueUrl=url)


def changed(session: AwsSession, name: str, resources: dict[str, Any]) -> str:
    """Update a stack, and return why that failed; empty if it did not."""
    cloudformation, body = session.client("cloudformation"), json.dumps({"Resources": resources})
    known = {it["EventId"] for it in cloudformation.describe_stack_events(StackName=name)["StackEvents"]}
    cloudformation.update_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"])
    settled(cloudformation, name)
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [it for it in events if it["EventId"] not in known and it["ResourceStatus"].endswith("FAILED")]
    return str(failed[-1]["ResourceStatusReason"]) if failed else ""


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
LESS = {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
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


@pytest.mark.parametrize("key_", [True, False])
def test_secret_in_a_stack_uses_its_key_as_the_caller(
    aws: LocalAws, session_of: Any, allow: Any, key: str, key_: bool
) -> None:
    deny = allow("kms:*", "*") | {"Effect": "Deny"}
    without, with_it = session_of(allow("*", "*"), deny), session_of(allow("*", "*"))
    properties = {"SecretString": "plain", **({"KmsKeyId": key} if key_ else {})}
    secret, name = {"S": {"Type": "AWS::SecretsManager::Secret", "Properties": properties}}, unique()
    assert "kms:GenerateDataKey" in deployed(without, secret)
    assert deployed(with_it, secret, name) == ""
    updates = [({"SecretString": "other"}, "kms:GenerateDataKey"), ({"Name": unique()}, "kms:GenerateDataKey")]
    for more, needed in [*updates, *([({"KmsKeyId": None}, "kms:Decrypt")] if key_ else [])]:
        given = {member: value for member, value in (properties | more).items() if value is not None}
        assert needed in changed(without, name, {"S": secret["S"] | {"Properties": given}})
        assert changed(with_it, name, {"S": secret["S"] | {"Properties": given}}) == ""
        assert changed(with_it, name, secret) == ""


@pytest.mark.parametrize(("kind", "writes", "tags", "untags", "properties"), [
    ("AWS::SQS::Queue", ["sqs:CreateQueue", "sqs:SetQueueAttributes"], "sqs:TagQueue", "sqs:UntagQueue", {}),
    ("AWS::SNS::Topic", ["sns:CreateTopic", "sns:SetTopicAttributes"], "sns:TagResource", "sns:UntagResource", {}),
    ("AWS::SSM::Parameter", ["ssm:PutParameter"], "ssm:AddTagsToResource", "ssm:RemoveTagsFromResource",
     {"Type": "String", "Value": "x"}),
    ("AWS::KMS::Key", ["kms:CreateKey", "kms:PutKeyPolicy"], "kms:TagResource", "kms:UntagResource",
     KEY["Properties"]),
])  # fmt: skip
def test_tags_in_a_stack_need_their_permission(
    session_of: Any, allow: Any, kind: str, writes: list[str], tags: str, untags: str, properties: dict[str, Any]
) -> None:
    given = {"a": "b"} if "SSM" in kind else [{"Key": "a", "Value": "b"}]
    name, resource = unique(), {"R": {"Type": kind, "Properties": properties | {"Tags": given}}}
    assert tags in deployed(session_of(allow(["cloudformation:*", *writes], "*")), resource)
    tagging = session_of(allow(["cloudformation:*", *writes, tags], "*"))
    assert deployed(tagging, resource, name) == ""
    resource["R"]["Properties"] = properties
    assert untags in changed(tagging, name, resource)
    assert changed(session_of(allow(["cloudformation:*", *writes, untags], "*")), name, resource) == ""


@pytest.mark.parametrize(("kind", "member", "properties", "creates"), [
    ("AWS::S3::Bucket", "BucketName", {}, "s3:CreateBucket"),
    ("AWS::SecretsManager::Secret", "Name", {"SecretString": "a"}, "secretsmanager:CreateSecret"),
    ("AWS::SNS::Topic", "TopicName", {}, "sns:CreateTopic"),
])  # fmt: skip
def test_stack_that_renames_a_resource_needs_what_makes_one(
    aws: LocalAws, session_of: Any, allow: Any, kind: str, member: str, properties: dict[str, Any], creates: str
) -> None:
    stack, name, service = unique(), unique(), creates.partition(":")[0]
    assert deployed(aws.session(), {"R": {"Type": kind, "Properties": properties}}, stack) == ""
    few = session_of(allow("*", "*"), allow(f"{service}:Create*", "*") | {"Effect": "Deny"})
    renamed = {"R": {"Type": kind, "Properties": {**properties, member: name}}}
    assert creates in changed(few, stack, renamed)
    assert changed(session_of(allow("*", "*")), stack, renamed) == ""


@pytest.mark.parametrize(("kind", "named", "before", "after"), [
    ("AWS::IAM::ManagedPolicy", "policy/", {"PolicyDocument": ALLOW_ALL}, {"PolicyDocument": LESS}),
    ("AWS::SecretsManager::Secret", "secret:", {"SecretString": "a"}, {"SecretString": "b"}),
    ("AWS::SNS::Topic", "", {"DisplayName": "a"}, {"DisplayName": "b"}),
    ("AWS::SQS::Queue", "", {"DelaySeconds": 1}, {"DelaySeconds": 2}),
])  # fmt: skip
def test_stack_that_changes_a_resource_is_held_to_statements_that_name_it(
    aws: LocalAws, session_of: Any, allow: Any, kind: str, named: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Its physical id is not the name that the ARN ends in."""
    name, service = unique(), kind.split("::")[1].lower()
    arn = f"arn:aws:{service}:{'' if named == 'policy/' else aws.region}:{aws.account}:{named}{name}-R-*"
    resource = {"R": {"Type": kind, "Properties": before}}
    assert deployed(aws.session(), resource, name) == ""
    resource["R"]["Properties"] = after
    denied = session_of(allow("*", "*"), allow(f"{service}:*", arn) | {"Effect": "Deny"})
    assert "is not authorized to perform" in changed(denied, name, resource)
    allowed = session_of(allow(["cloudformation:*", "kms:*"], "*"), allow(f"{service}:*", arn))
    assert changed(allowed, name, resource) == ""


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
    name, rule = unique(), {"EventPattern": {"source": ["app"]}}
    alarm = {
        "MetricName": "m", "Namespace": "n", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1,
        "Period": 60, "Statistic": "Sum", "Threshold": 1,
    }  # fmt: skip
    mine = {
        "M": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"ManagedPolicyName": name, "PolicyDocument": ALLOW_ALL},
        },
        "T": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}},
        "E": {"Type": "AWS::Events::Rule", "Properties": {"Name": name, **rule}},
        "S": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": name, "ShardCount": 1}},
        "L": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmName": name, **alarm}},
    }
    assert deployed(aws.session(), mine) == ""
    for logical_id, resource in (taken | mine).items():
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


def anonymous(aws: LocalAws, form: dict[str, str]) -> tuple[int, str]:
    """Send a request without credentials; return status and body."""
    request = urllib.request.Request(f"{aws.endpoint_url}/", data=urlencode(form).encode())
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(aws.ca_bundle)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def _token() -> str:
    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    claims = {"iss": "https://tok.example.com", "sub": "me", "aud": "sts.amazonaws.com", "exp": 4102444800}
    return f"{part({'alg': 'none'})}.{part(claims)}."


@pytest.mark.parametrize(("action", "token"), [
    ("AssumeRoleWithWebIdentity", "WebIdentityToken"), ("AssumeRoleWithSAML", "SAMLAssertion"),
])  # fmt: skip
@pytest.mark.parametrize("registered", [False, True])
def test_federation_is_refused(aws: LocalAws, make_role: Any, action: str, token: str, registered: bool) -> None:
    provider = f"arn:aws:iam::{aws.account}:oidc-provider/tok.example.com"
    if registered:
        aws.client("iam").create_open_id_connect_provider(Url="https://tok.example.com", ThumbprintList=["a" * 40])
    role = make_role(trust={"Effect": "Allow", "Principal": {"Federated": provider}, "Action": f"sts:{action}"})
    form = {"Version": "2011-06-15", "Action": action, "RoleArn": role, "RoleSessionName": "xx", token: _token()}
    status, body = anonymous(aws, form | {"PrincipalArn": provider})
    if registered:
        aws.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    assert (status, "AccessKeyId" in body) == (400, False), body
    assert "InvalidIdentityToken" in body


@pytest.mark.parametrize("name", ["x", "y" * 65, "with space"])
def test_session_names_have_2_to_64_characters_of_some(aws: LocalAws, make_role: Any, code_of: Any, name: str) -> None:
    sts = aws.client("sts", config=Config(parameter_validation=False))
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"}
    assert code_of(sts.assume_role, RoleArn=make_role(trust=trust), RoleSessionName=name) == "ValidationError"


@pytest.mark.parametrize(("option", "action"), [
    ({"Tags": [{"Key": "team", "Value": "a"}]}, "sts:TagSession"),
    ({"SourceIdentity": "alice"}, "sts:SetSourceIdentity"),
])  # fmt: skip
def test_tags_and_source_identity_need_a_permission_of_their_own(
    aws: LocalAws, session_of: Any, make_role: Any, allow: Any, refusal: Any, option: dict[str, Any], action: str
) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": ["sts:AssumeRole", action]}
    role = make_role(trust=trust)
    without, with_it = session_of(allow("sts:AssumeRole", "*")), session_of(allow(["sts:AssumeRole", action], "*"))
    request = {"RoleArn": role, "RoleSessionName": "name"} | option
    code, message = refusal(without.client("sts").assume_role, **request)
    assert (code, action in message) == ("AccessDenied", True)
    assert with_it.client("sts").assume_role(**request)["AssumedRoleUser"]["Arn"].endswith("/name")


def with_keys(aws: LocalAws, keys: dict[str, str]) -> AwsSession:
    access, secret, token = keys["AccessKeyId"], keys["SecretAccessKey"], keys.get("SessionToken")
    return replace(aws.session(), access_key_id=access, secret_access_key=secret, session_token=token)


CHAINING = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}


@pytest.mark.parametrize("option", [
    {"ExternalId": "x"}, {"DurationSeconds": 899}, {"DurationSeconds": 7200}, {"DurationSeconds": 43201},
    {"DurationSeconds": "\u00b2"},
    {"Tags": [{"Key": "aws:team", "Value": "a"}]}, {"Tags": [{"Key": f"t{n}", "Value": ""} for n in range(51)]},
])  # fmt: skip
def test_member_of_assume_role_beyond_its_limits_is_refused(
    aws: LocalAws, make_role: Any, code_of: Any, option: dict[str, Any]
) -> None:
    sts = aws.client("sts", config=Config(parameter_validation=False))
    request = {"RoleArn": make_role(trust=CHAINING), "RoleSessionName": "name"}
    assert code_of(sts.assume_role, **request, **option) == "ValidationError"


def test_tag_keys_that_differ_in_case_only_are_one_key_given_twice(aws: LocalAws, make_role: Any, refusal: Any) -> None:
    tags = [{"Key": "Team", "Value": "a"}, {"Key": "team", "Value": "b"}]
    request = {"RoleArn": make_role(trust=CHAINING), "RoleSessionName": "name", "Tags": tags}
    code, message = refusal(aws.client("sts").assume_role, **request)
    assert code == "InvalidParameterValue"
    assert "Duplicate tag keys" in message


@pytest.mark.parametrize("operation", ["assume_role", "get_session_token"])
def test_code_of_an_mfa_device_is_never_taken_unverified(
    aws: LocalAws, make_role: Any, session_of: Any, allow: Any, code_of: Any, operation: str
) -> None:
    mfa = {"SerialNumber": f"arn:aws:iam::{aws.account}:mfa/any", "TokenCode": "123456"}
    role = {"RoleArn": make_role(trust=CHAINING), "RoleSessionName": "name"} if operation == "assume_role" else {}
    assert code_of(getattr(session_of(allow("sts:*", "*")).client("sts"), operation), **role, **mfa) == "AccessDenied"


def assumed(aws: LocalAws, by: AwsSession, role: str, **options: Any) -> AwsSession:
    keys = by.client("sts").assume_role(RoleArn=role, RoleSessionName="name", **options)["Credentials"]
    return with_keys(aws, keys)


def test_transitive_tags_reach_the_next_session_and_cannot_be_replaced(
    aws: LocalAws, session_of: Any, make_role: Any, allow: Any, code_of: Any
) -> None:
    tagged = allow("kms:ListKeys", "*") | {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}
    first, second = make_role(allow("sts:*", "*"), trust=CHAINING), make_role(tagged, trust=CHAINING)
    red = {"Tags": [{"Key": "team", "Value": "red"}]}
    user = session_of(allow("sts:*", "*"))
    kept = assumed(aws, user, first, **red, TransitiveTagKeys=["team"])
    assert assumed(aws, kept, second).client("kms").list_keys()["Keys"] is not None
    dropped = assumed(aws, assumed(aws, user, first, **red), second).client("kms")
    assert code_of(dropped.list_keys) == "AccessDeniedException"
    again = {"Tags": [{"Key": "Team", "Value": "blue"}]}
    assume = kept.client("sts").assume_role
    assert code_of(assume, RoleArn=second, RoleSessionName="name", **again) == "InvalidParameterValue"
    assert code_of(assume, RoleArn=second, RoleSessionName="name", DurationSeconds=3601) == "ValidationError"


def test_session_of_a_deleted_role_stays_dead_when_the_name_is_taken_again(
    aws: LocalAws, session_of: Any, make_role: Any, allow: Any, code_of: Any
) -> None:
    name = unique()
    role = make_role(allow("kms:ListKeys", "*"), trust=CHAINING, name=name)
    old, iam = assumed(aws, session_of(allow("sts:*", "*")), role).client("kms"), aws.client("iam")
    assert old.list_keys()["Keys"] is not None
    iam.delete_role_policy(RoleName=name, PolicyName="policy")
    iam.delete_role(RoleName=name)
    make_role(allow("kms:ListKeys", "*"), trust=CHAINING, name=name)
    assert code_of(old.list_keys) == "AccessDeniedException"


def test_trust_policy_that_names_the_caller_suffices_and_one_of_the_account_does_not(
    aws: LocalAws, session_of: Any, make_role: Any, code_of: Any
) -> None:
    caller = session_of()
    arn = caller.client("sts").get_caller_identity()["Arn"]
    itself = {**CHAINING, "Principal": {"AWS": f"arn:aws:iam::{aws.account}:role/{arn.split('/')[1]}"}}
    assert assumed(aws, caller, make_role(trust=itself)).client("sts").get_caller_identity()["Arn"].endswith("/name")
    assume = caller.client("sts").assume_role
    assert code_of(assume, RoleArn=make_role(trust=CHAINING), RoleSessionName="name") == "AccessDenied"


def test_session_without_mfa_may_not_call_iam(aws: LocalAws) -> None:
    iam, name = aws.client("iam"), unique()
    iam.create_user(UserName=name)
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps({"Statement": everything}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = AwsSession(
        key["AccessKeyId"], key["SecretAccessKey"], None, aws.endpoint_url, aws.ca_bundle, aws.region, aws.folder
    )
    found = user.client("sts").get_session_token()["Credentials"]
    session = AwsSession(
        found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], aws.endpoint_url, aws.ca_bundle,
        aws.region, aws.folder,
    )  # fmt: skip
    assert user.client("iam").list_users()["Users"]
    with pytest.raises(session.client("iam").exceptions.ClientError, match="AccessDenied"):
        session.client("iam").list_users()
    assert session.client("kms").list_keys()["Keys"] is not None


TRUSTED = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ONE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
PROTECTED = {
    "TableName": "kept", "BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": True,
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
}  # fmt: skip


def test_stack_does_not_delete_what_its_service_keeps(aws: LocalAws) -> None:
    stacks, iam, name = aws.client("cloudformation"), aws.client("iam"), unique()
    policy, replica = f"arn:aws:iam::{aws.account}:policy/{name}", [{"Region": "eu-west-1"}]
    trust = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [TRUSTED]}}
    resources = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": name, **trust}},
        "Policy": {
            "Type": "AWS::IAM::ManagedPolicy", "Properties": {"ManagedPolicyName": name, "PolicyDocument": ONE}
        },
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": PROTECTED},
        "Rule": {"Type": "AWS::Events::Rule", "Properties": {"Name": name, "EventPattern": {"source": ["x"]}}},
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": name, "SecretString": "x"}},
    }  # fmt: skip
    assert deployed(aws.session(), resources, name) == ""
    iam.put_role_policy(RoleName=name, PolicyName="outside", PolicyDocument=json.dumps(ONE))
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=policy)
    queue = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"
    aws.client("events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue}])
    aws.client("secretsmanager").replicate_secret_to_regions(SecretId=name, AddReplicaRegions=replica)
    stacks.delete_stack(StackName=name)
    settled(stacks, name)
    found = stacks.describe_stack_resources(StackName=name)["StackResources"]
    assert {it["LogicalResourceId"] for it in found if it["ResourceStatus"] == "DELETE_FAILED"} == set(resources)


def make_function(aws: LocalAws, role: str, code: bytes, **options: Any) -> str:
    name = unique()
    made = {"FunctionName": name, "Role": role, "Runtime": "python3.12", "Handler": "index.handler", **options}
    aws.client("lambda").create_function(**{"Code": {"ZipFile": code}, **made})
    return name


def bundle() -> bytes:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return {'statusCode': 200, 'body': 'x'}")
    return code.getvalue()


def test_url_of_a_function_is_open_to_all_by_its_policy_only(aws: LocalAws, make_role: Any) -> None:
    functions, name = aws.client("lambda"), make_function(aws, make_role(trust=TRUSTED), bundle())
    url = functions.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    session, found = aws.session(), []
    trusted = ssl.create_default_context(cafile=str(session.ca_bundle))
    for more in ({}, {"FunctionUrlAuthType": "NONE"}, {"InvokedViaFunctionUrl": True}):
        action = "lambda:InvokeFunctionUrl" if "FunctionUrlAuthType" in more else "lambda:InvokeFunction"
        if more:
            functions.add_permission(
                FunctionName=name, StatementId=f"s{len(found)}", Action=action, Principal="*", **more
            )
        try:
            with urllib.request.urlopen(local_address(url, session.endpoint_url), context=trusted) as response:
                found.append(response.status)
        except urllib.error.HTTPError as refused:
            found.append(refused.code)
    assert found == [403, 403, 200]
