"""Issues of aws-cdk about keys, named by number: with our keys each app synthesizes, no cycle, no void grant.

aws-cdk#24523 has no test by that name: its text was in none of the sources at hand, and a guess under its number would
claim what nobody read.
"""

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

from kms_patterns import EncryptionKey, KeyLifecycle, ReplicaKey

HERE = cdk.Environment(account="111122223333", region="eu-west-1")


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.fixture
def consumer(app):
    return cdk.Stack(app, "Consumer", env=HERE)


def test_3732_encrypted_bucket_granted_to_a_role_of_another_stack_is_no_cycle(stack, key, consumer, role, synth):
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)

    bucket.grant_read_write(role("Role", consumer, role_name="consumer"))

    synth(consumer)
    assertions.Template.from_json(synth(stack))


def test_14213_secret_granted_to_a_role_of_another_stack_is_no_cycle(stack, key, consumer, role, synth):
    secret = secretsmanager.Secret(stack, "Secret", encryption_key=key)

    secret.grant_read(role("Role", consumer, role_name="consumer"))

    synth(consumer)
    assertions.Template.from_json(synth(stack))


def test_22047_key_used_by_roles_of_several_stacks_is_no_cycle(stack, key, consumer, role, synth):
    secret = secretsmanager.Secret(consumer, "Secret", encryption_key=key)
    queue = sqs.Queue(consumer, "Queue", encryption_master_key=key)
    authorizer = role("Authorizer", consumer, role_name="authorizer")

    secret.grant_read(authorizer)
    queue.grant_send_messages(authorizer)

    assertions.Template.from_json(synth(stack))
    assertions.Template.from_json(synth(consumer))


def test_32286_grant_past_the_key_is_an_error_instead_of_void(stack, key, role, synth):
    kms.KeyGrants.from_key(key).decrypt(role("Role"))

    with pytest.raises(RuntimeError, match="AccessDeniedException"):
        synth(stack)


def test_15257_multi_region_key_has_a_replica_construct(app, role):
    away = cdk.Environment(account="111122223333", region="us-east-1")
    home = cdk.Stack(app, "Home", env=HERE, cross_region_references=True)
    other = cdk.Stack(app, "Away", env=away, cross_region_references=True)

    replica = ReplicaKey(other, "Replica", primary_key=EncryptionKey(home, "Key", multi_region=True))

    s3.Bucket(other, "Bucket", encryption_key=replica).grant_read(role("Role", other))
    app.synth()


class TestSnsToSqsUnderOneKey:
    """aws-cdk#35418: with the flag restrictSqsDescryption, the key names the topic, which is encrypted under it."""

    @pytest.fixture
    def app(self):
        return cdk.App(context={"@aws-cdk/aws-sns-subscriptions:restrictSqsDescryption": True})

    def test_35418_is_no_cycle(self, stack, key, synth):
        topic = sns.Topic(stack, "Topic", master_key=key)
        queue = sqs.Queue(stack, "Queue", encryption_master_key=key)

        topic.add_subscription(subscriptions.SqsSubscription(queue))

        template = synth(stack)
        assertions.Template.from_json(template)
        (key_resource,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
        service = key_resource["Properties"]["KeyPolicy"]["Statement"][-1]
        assert service["Principal"] == {"Service": "sns.amazonaws.com"}
        assert service["Condition"] == {
            "ArnEquals": {"aws:SourceArn": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":sns:*:*:*"]]}},
            "StringEquals": {"aws:SourceAccount": "111122223333"},
        }


def test_17786_notifications_of_a_bucket_into_a_queue_under_one_key_are_no_cycle(stack, key, synth):
    queue = sqs.Queue(stack, "Queue", encryption_master_key=key)
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)

    bucket.add_event_notification(s3.EventType.OBJECT_CREATED, notifications.SqsDestination(queue))

    assertions.Template.from_json(synth(stack))


def test_23991_grant_in_another_region_names_the_key_and_no_wildcard(app, role):
    away = cdk.Environment(account="111122223333", region="us-east-1")
    home = cdk.Stack(app, "Home", env=HERE, cross_region_references=True)
    other = cdk.Stack(app, "Away", env=away, cross_region_references=True)
    user: iam.Role = role("Role", other, role_name="reader")

    s3.Bucket(home, "Bucket", encryption_key=EncryptionKey(home, "Key")).grant_read(user)

    policies = assertions.Template.from_stack(other).find_resources("AWS::IAM::Policy")
    statements = [it for item in policies.values() for it in item["Properties"]["PolicyDocument"]["Statement"]]
    assert [it for it in statements if "kms" in str(it["Action"]) and it["Resource"] == "*"] == []


def policies_on_deletion(template):
    return {
        (item["Type"], item["DeletionPolicy"], item["UpdateReplacePolicy"]) for item in template["Resources"].values()
    }


@pytest.mark.parametrize(
    ("lifecycle", "deletion", "replacement"),
    [(KeyLifecycle.RETAIN, "RetainExceptOnCreate", "Retain"), (KeyLifecycle.EPHEMERAL, "Delete", "Delete")],
)
def test_38217_key_has_the_removal_policy_of_its_lifecycle_and_its_aliases_leave_their_names_free(
    lifecycle, deletion, replacement, stack, synth
):
    EncryptionKey(stack, "Key", alias="one", aliases=["two"], lifecycle=lifecycle).add_alias("three")

    template = synth(stack)
    assert policies_on_deletion(template) == {
        ("AWS::KMS::Key", deletion, replacement),
        ("AWS::KMS::Alias", "Delete", "Delete"),
    }
    assert len(template["Resources"]) == 4


def test_4336_aliases_of_two_deployments_differ_and_an_ephemeral_one_leaves_its_name_free(app, synth):
    stacks = [cdk.Stack(app, name, env=HERE) for name in ("Orders-dev", "Orders-prod")]
    for stack in stacks:
        EncryptionKey(stack, "Key", alias="artifacts", lifecycle=KeyLifecycle.EPHEMERAL)

    aliases = [
        item for stack in stacks for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::KMS::Alias"
    ]
    assert [it["Properties"]["AliasName"] for it in aliases] == [
        "alias/Orders-dev/artifacts",
        "alias/Orders-prod/artifacts",
    ]
    assert {it["DeletionPolicy"] for it in aliases} == {"Delete"}
