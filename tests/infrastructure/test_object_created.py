"""Encryption on object-created events: an EventBridge rule, no custom resource, no loop, no context left open."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3

from kms_patterns import EncryptedBucket, EncryptionKey, EnvelopeCipher

Synth = Callable[[cdk.Stack], dict[str, Any]]


@pytest.fixture
def buckets(stack: cdk.Stack) -> dict[str, aws_s3.IBucket]:
    storage = EncryptionKey(stack, "StorageKey")
    names = ("source", "destination", "restored")
    return {name: EncryptedBucket(stack, name.title(), encryption_key=storage) for name in names}


def cipher(stack: cdk.Stack, buckets: dict[str, aws_s3.IBucket], **options: Any) -> EnvelopeCipher:
    settings = {"encryption_key": EncryptionKey(stack, "Key"), "encrypt_on_create": True, **buckets, **options}
    return EnvelopeCipher(stack, "Files", **settings)


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


def test_rule_passes_the_key_of_every_object_created_in_the_source_to_the_encrypt_function(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    made = cipher(stack, buckets)
    (rule,) = of_type(synth(stack), "AWS::Events::Rule")
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [stack.resolve(buckets["source"].bucket_name)]}},
    }
    (target,) = rule["Targets"]
    assert target["Arn"] == stack.resolve(made.encrypt_function.function_arn)
    assert target["InputTransformer"] == {
        "InputPathsMap": {"detail-object-key": "$.detail.object.key"},
        "InputTemplate": '{"sourceKey":<detail-object-key>}',
    }
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400}


def test_event_bridge_alone_may_invoke_and_send_dead_letters_for_this_rule_only(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    made = cipher(stack, buckets)
    template = synth(stack)
    rule = next(name for name, item in template["Resources"].items() if item["Type"] == "AWS::Events::Rule")
    rule_arn = {"Fn::GetAtt": [rule, "Arn"]}
    assert of_type(template, "AWS::Lambda::Permission") == [
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": stack.resolve(made.encrypt_function.function_arn),
            "Principal": "events.amazonaws.com",
            "SourceArn": rule_arn,
        }
    ]
    allowed = [
        statement
        for policy in of_type(template, "AWS::SQS::QueuePolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert [(s["Action"], s["Principal"], s["Condition"]) for s in allowed] == [
        (
            "sqs:SendMessage",
            {"Service": "events.amazonaws.com"},
            {"ArnEquals": {"aws:SourceArn": rule_arn}},
        )
    ]


def test_source_bucket_alone_sends_its_events_to_event_bridge_without_a_custom_resource(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    cipher(stack, buckets)
    template = synth(stack)
    switched = [
        bucket["NotificationConfiguration"]
        for bucket in of_type(template, "AWS::S3::Bucket")
        if "NotificationConfiguration" in bucket
    ]
    assert switched == [{"EventBridgeConfiguration": {"EventBridgeEnabled": True}}]
    assert [item["Type"] for item in template["Resources"].values() if "Custom" in item["Type"]] == []
    assert len(of_type(template, "AWS::Lambda::Function")) == 2


def test_without_events_no_rule_is_made_and_no_bucket_is_changed(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    cipher(stack, buckets, encrypt_on_create=False)
    template = synth(stack)
    assert of_type(template, "AWS::Events::Rule") == []
    assert not any("NotificationConfiguration" in bucket for bucket in of_type(template, "AWS::S3::Bucket"))


@pytest.mark.parametrize("name", ["destination", "restored"])
def test_function_that_would_start_itself_is_refused(
    stack: cdk.Stack, buckets: dict[str, aws_s3.IBucket], name: str
) -> None:
    with pytest.raises(ValueError, match=f"encrypt_on_create with {name} == source would encrypt its own output"):
        cipher(stack, buckets, **{name: buckets["source"]})


def test_restoring_into_the_source_by_default_is_refused_with_events(
    stack: cdk.Stack, buckets: dict[str, aws_s3.IBucket]
) -> None:
    with pytest.raises(ValueError, match="restored == source"):
        cipher(stack, buckets, restored=None)


def test_required_name_without_a_value_is_refused_with_events(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    with pytest.raises(ValueError, match=r"cannot give a value for \['tenant'\]"):
        cipher(stack, buckets, required_context=["tenant"])


def test_required_name_with_a_fixed_value_is_accepted_with_events(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    cipher(stack, buckets, required_context=["tenant"], encryption_context={"tenant": "a"})
    assert len(of_type(synth(stack), "AWS::Events::Rule")) == 1


def test_imported_source_bucket_is_left_to_its_owner(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    imported = aws_s3.Bucket.from_bucket_name(stack, "Imported", "theirs")
    cipher(stack, buckets, source=imported)
    (rule,) = of_type(synth(stack), "AWS::Events::Rule")
    assert rule["EventPattern"]["detail"] == {"bucket": {"name": ["theirs"]}}
