"""Properties and policy of an EncryptedBucket."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from kms_patterns import EncryptedBucket, EncryptionKey, KeyLifecycle
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.synth.deployment_role import deployment_role_arn
from kms_patterns.policy.bucket_statements import (
    SID_DENY_AWS_MANAGED_KEY,
    SID_DENY_CONFIGURATION,
    SID_DENY_CUSTOMER_KEY,
    SID_DENY_OTHER_ENCRYPTION,
    SID_DENY_OTHER_KEY,
)

CONFIGURATION = [
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketPolicy",
    "s3:PutEncryptionConfiguration",
    "s3:PutReplicationConfiguration",
]


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.fixture
def bucket(stack, key):
    return EncryptedBucket(stack, "Bucket", encryption_key=key)


def test_bucket_policy_denies_plain_http_and_every_other_encryption(stack, key, bucket, synth, bucket_statements):
    objects = stack.resolve(bucket.arn_for_objects("*"))
    both = [stack.resolve(bucket.bucket_arn), objects]
    encryption, key_id = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"
    everyone, uploads = {"AWS": "*"}, ["s3:PutObject", "s3:ReplicateObject"]

    assert bucket_statements(synth(stack)) == [
        {
            "Effect": "Deny",
            "Principal": everyone,
            "Action": "s3:*",
            "Resource": both,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Effect": "Deny",
            "Principal": everyone,
            "Action": "s3:*",
            "Resource": both,
            "Condition": {"NumericLessThan": {"s3:TlsVersion": 1.2}},
        },
        {
            "Sid": SID_DENY_OTHER_KEY,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": [*uploads, "s3:UpdateObjectEncryption"],
            "Resource": objects,
            "Condition": {
                "StringNotEquals": {key_id: stack.resolve([key.key_arn, key.key_id])},
                "Null": {key_id: "false"},
            },
        },
        {
            "Sid": SID_DENY_AWS_MANAGED_KEY,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": uploads,
            "Resource": objects,
            "Condition": {"StringEquals": {encryption: "aws:kms"}, "Null": {key_id: "true"}},
        },
        {
            "Sid": SID_DENY_OTHER_ENCRYPTION,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": uploads,
            "Resource": objects,
            "Condition": {"StringNotEquals": {encryption: "aws:kms"}, "Null": {encryption: "false"}},
        },
        {
            "Sid": SID_DENY_CUSTOMER_KEY,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": uploads,
            "Resource": objects,
            "Condition": {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}},
        },
        {
            "Sid": SID_DENY_CONFIGURATION,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": CONFIGURATION,
            "Resource": both[0],
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [stack.resolve(deployment_role_arn(stack))]}},
        },
    ]


def test_configuration_may_be_left_to_further_roles(stack, key, synth, bucket_statements):
    EncryptedBucket(stack, "Bucket", encryption_key=key, configured_by=["arn:aws:iam::111122223333:role/emergency"])

    (principals,) = bucket_statements(synth(stack))[-1]["Condition"].values()
    assert principals["aws:PrincipalArn"] == [
        stack.resolve(deployment_role_arn(stack)),
        "arn:aws:iam::111122223333:role/emergency",
    ]


@pytest.mark.parametrize("synthesizer", [cdk.LegacyStackSynthesizer, cdk.CliCredentialsStackSynthesizer])
def test_without_a_deployment_role_configuration_must_come_through_cloudformation(
    synthesizer, app, synth, bucket_statements
):
    stack = cdk.Stack(app, "Bootstrapless", synthesizer=synthesizer())
    EncryptedBucket(stack, "Bucket", encryption_key=EncryptionKey(stack, "Key"))

    through = {"StringNotEquals": {"aws:CalledViaLast": "cloudformation.amazonaws.com"}}
    assert bucket_statements(synth(stack))[-1]["Condition"] == through


def test_properties_are_those_of_a_private_versioned_bucket_under_the_key(stack, key, bucket, synth):
    made = resource(synth(stack), "AWS::S3::Bucket")

    assert made["Properties"] == {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {
                    "BucketKeyEnabled": True,
                    "ServerSideEncryptionByDefault": {
                        "SSEAlgorithm": "aws:kms",
                        "KMSMasterKeyID": stack.resolve(key.key_arn),
                    },
                }
            ]
        },
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": "AbortIncompleteUploads",
                    "Status": "Enabled",
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                }
            ]
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "VersioningConfiguration": {"Status": "Enabled"},
    }
    assert made["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize("days", [1, 7])
def test_unfinished_uploads_may_be_aborted_after_one_to_seven_days(days, stack, key, synth):
    EncryptedBucket(stack, "Bucket", encryption_key=key, abort_incomplete_uploads_after=cdk.Duration.days(days))

    rules = resource(synth(stack), "AWS::S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": days}


@pytest.mark.parametrize("after", [cdk.Duration.days(0), cdk.Duration.days(8), cdk.Duration.hours(36)])
def test_other_times_for_unfinished_uploads_are_refused(after, stack, key):
    with pytest.raises(KeyConfigurationError, match="whole days from 1 to 7"):
        EncryptedBucket(stack, "Bucket", encryption_key=key, abort_incomplete_uploads_after=after)


def test_bucket_of_an_ephemeral_key_goes_with_it_without_a_custom_resource(stack, synth):
    key = EncryptionKey(stack, "Key", lifecycle=KeyLifecycle.EPHEMERAL)
    EncryptedBucket(stack, "Bucket", encryption_key=key)

    template = synth(stack)
    assert resource(template, "AWS::S3::Bucket")["DeletionPolicy"] == "Delete"
    assert {item["Type"] for item in template["Resources"].values()} == {
        "AWS::KMS::Key",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
    }


def test_lifecycle_of_the_bucket_can_differ_from_its_key(stack, key, synth):
    EncryptedBucket(stack, "Bucket", encryption_key=key, lifecycle=KeyLifecycle.EPHEMERAL)

    template = synth(stack)
    assert resource(template, "AWS::S3::Bucket")["DeletionPolicy"] == "Delete"
    assert resource(template, "AWS::KMS::Key")["DeletionPolicy"] == "RetainExceptOnCreate"


def test_access_logs_go_to_the_given_bucket(stack, key, synth):
    logs = s3.Bucket(stack, "Logs")
    bucket = EncryptedBucket(
        stack, "Bucket", encryption_key=key, server_access_logs_bucket=logs, server_access_logs_prefix="documents/"
    )

    made = synth(stack)["Resources"][stack.get_logical_id(bucket.node.default_child)]
    assert made["Properties"]["LoggingConfiguration"] == {
        "DestinationBucketName": stack.resolve(logs.bucket_name),
        "LogFilePrefix": "documents/",
    }


def test_access_logs_into_a_bucket_under_a_named_key_are_refused(stack, key, bucket):
    with pytest.raises(RuntimeError, match="a service has no role ARN"):
        EncryptedBucket(stack, "Other", encryption_key=key, server_access_logs_bucket=bucket)


def resource(template, kind):
    (found,) = [item for item in template["Resources"].values() if item["Type"] == kind]
    return found
