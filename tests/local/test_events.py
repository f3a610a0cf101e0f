"""Events of CloudFormation and CloudTrail, and the local addresses of function URLs."""

import json
from typing import Any

import pytest

from kms_patterns.local import LocalAws
from kms_patterns.local.function_urls import local_address

URL = "https://abc123.lambda-url.us-east-1.on.aws"


def template(display_name: str) -> str:
    resources = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": display_name}}}
    return json.dumps({"Resources": resources})


@pytest.fixture
def queue(aws: LocalAws) -> str:
    url: str = aws.client("sqs").create_queue(QueueName="stack-events")["QueueUrl"]
    return url


def statuses(aws: LocalAws, queue: str, expected: int) -> list[tuple[str, str]]:
    """Stack and status of the events in the queue."""
    found: list[dict[str, Any]] = []
    for _ in range(20):
        answer = aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            aws.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        if len(found) >= expected:
            break
    assert all(event["detail-type"] == "CloudFormation Stack Status Change" for event in found)
    return [(event["detail"]["stack-id"], event["detail"]["status-details"]["status"]) for event in found]


def test_deployment_and_update_of_a_stack_are_told_to_its_rule_alone(aws: LocalAws, queue: str) -> None:
    cloudformation, events = aws.client("cloudformation"), aws.client("events")
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.cloudformation"],
        "detail": {"status-details": {"status": ["CREATE_COMPLETE", "UPDATE_COMPLETE"]}},
    }
    statement = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn,
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_rule(Name="deployed", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="deployed", Targets=[{"Id": "queue", "Arn": arn}])
    stack = cloudformation.create_stack(StackName="told", TemplateBody=template("one"))["StackId"]
    cloudformation.get_waiter("stack_create_complete").wait(StackName="told", WaiterConfig={"Delay": 1})
    assert statuses(aws, queue, 1) == [(stack, "CREATE_COMPLETE")]
    cloudformation.update_stack(StackName="told", TemplateBody=template("two"))
    cloudformation.get_waiter("stack_update_complete").wait(StackName="told", WaiterConfig={"Delay": 1})
    assert statuses(aws, queue, 1) == [(stack, "UPDATE_COMPLETE")]
    events.remove_targets(Rule="deployed", Ids=["queue"])
    events.delete_rule(Name="deployed")


def test_function_url_leads_to_the_endpoint_with_its_path() -> None:
    endpoint = "https://127.0.0.1:4711"
    assert local_address(f"{URL}/key.pem", endpoint) == f"{endpoint}/_aws/lambda-url/abc123/key.pem"
    assert local_address(URL, endpoint) == f"{endpoint}/_aws/lambda-url/abc123/"
    assert local_address(f"{URL}/a?b=c", endpoint) == f"{endpoint}/_aws/lambda-url/abc123/a?b=c"


@pytest.mark.parametrize("url", ["https://example.com/key.pem", URL.replace("https", "http"), "abc", ""])
def test_other_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no function URL"):
        local_address(url, "https://127.0.0.1:4711")


def test_a_denied_call_tells_who_what_and_which_statement(
    aws: Any, key: str, session_of: Any, allow: Any, code_of: Any
) -> None:
    deny = allow("kms:Decrypt", "*") | {"Effect": "Deny", "Sid": "NoReading"}
    kms = session_of(allow("kms:*", "*"), deny).client("kms")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"tenant": "a"})["CiphertextBlob"]
    code_of(kms.decrypt, CiphertextBlob=blob, EncryptionContext={"tenant": "a"})
    allowed, denied = aws.cloud_trail()[-2:]
    assert (allowed["eventName"], allowed["readOnly"], "errorCode" in allowed) == ("Encrypt", True, False)
    assert (denied["eventName"], denied["errorCode"], denied["awsRegion"]) == ("Decrypt", "AccessDenied", aws.region)
    assert denied["requestParameters"] == {"keyId": key, "encryptionContext": {"tenant": "a"}}
    assert denied["resources"] == [{"accountId": aws.account, "type": "AWS::KMS::Key", "ARN": key}]
    assert denied["userIdentity"]["type"] == "AssumedRole"
    decided = {"policy": "policy", "sid": "NoReading", "position": 1, "effect": "Deny"}
    assert denied["additionalEventData"] == {
        "decision": "deny", "reason": "with an explicit deny in an identity-based policy", "statement": decided,
    }  # fmt: skip


def test_a_call_through_s3_names_the_service(aws: Any, key: str, make_bucket: Any, s3_user: Any) -> None:
    s3_user("kms:GenerateDataKey", key=key).put_object(Bucket=make_bucket(key), Key="a", Body=b"x")
    event = aws.cloud_trail()[-1]
    assert (event["eventName"], event["userIdentity"]["invokedBy"]) == ("GenerateDataKey", "s3.amazonaws.com")


@pytest.mark.parametrize(("key", "value"), [("EventName", "Encrypt"), ("EventSource", "kms.amazonaws.com")])
def test_cloud_trail_answers_from_the_record(aws: LocalAws, make_key: Any, key: str, value: str) -> None:
    arn = make_key()
    aws.client("kms").encrypt(KeyId=arn, Plaintext=b"x")
    looked_for = [
        {"AttributeKey": key, "AttributeValue": value},
        {"AttributeKey": "ResourceName", "AttributeValue": arn},
    ]
    events = aws.client("cloudtrail").lookup_events(LookupAttributes=looked_for)["Events"]
    assert [event["EventName"] for event in events][:1] == ["Encrypt"]
    assert json.loads(events[0]["CloudTrailEvent"])["requestParameters"]["keyId"] == arn
