"""Rows of the table of services for those that act for themselves, on resources that the key encrypts already.

A key under a topic, a queue or a bucket must let the service in that publishes, sends or delivers there. Each row
follows the page above it; the source binds the service to one account.
"""

from collections.abc import Mapping
from typing import Final

from kms_patterns.policy.actions import (
    DECRYPT,
    DESCRIBE_KEY,
    ENCRYPT,
    GENERATE_DATA_KEY,
    GET_PUBLIC_KEY,
    RE_ENCRYPT_FROM,
    RE_ENCRYPT_TO,
    SIGN,
)
from kms_patterns.policy.service_use import SOURCE, ServiceUse

_OBJECTS: Final = (DECRYPT, GENERATE_DATA_KEY)

ACTING: Final[Mapping[str, ServiceUse]] = {
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html: alarms that publish.
    "cloudwatch": ServiceUse("monitoring", "cloudwatch.amazonaws.com", _OBJECTS, SOURCE),
    # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
    "cloudtrail": ServiceUse(
        "cloudtrail",
        "cloudtrail.amazonaws.com",
        (*_OBJECTS, DESCRIBE_KEY),
        SOURCE,
        serves_itself=True,
        resources={"AWS::CloudTrail::Trail": ("kmsKeyId",), "AWS::CloudTrail::EventDataStore": ("kmsKeyId",)},
    ),
    # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-cmk-policy.html, and of other vended logs.
    "delivery.logs": ServiceUse(
        "delivery.logs",
        "delivery.logs.amazonaws.com",
        (*_OBJECTS, DESCRIBE_KEY, ENCRYPT, RE_ENCRYPT_FROM, RE_ENCRYPT_TO),
        SOURCE,
    ),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/encryption-archives.html
    "archive": ServiceUse(
        "events",
        "events.amazonaws.com",
        (*_OBJECTS, DESCRIBE_KEY, RE_ENCRYPT_FROM, RE_ENCRYPT_TO),
        SOURCE,
        serves_itself=True,
        resources={"AWS::Events::Archive": ("kmsKeyIdentifier",)},
    ),
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/access-control-managing-permissions.html
    "dnssec-route53": ServiceUse(
        "route53",
        "dnssec-route53.amazonaws.com",
        (DESCRIBE_KEY, GET_PUBLIC_KEY, SIGN),
        SOURCE,
        usage="SIGN_VERIFY",
        # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-configuring-dnssec-cmk-requirements.html
        key_spec="ECC_NIST_P256",
        only_in="us-east-1",
        creates_grants=True,
    ),
    # https://docs.aws.amazon.com/ses/latest/dg/receiving-email-permissions.html
    "ses": ServiceUse("ses", "ses.amazonaws.com", _OBJECTS, SOURCE),
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
    "cloudfront": ServiceUse("cloudfront", "cloudfront.amazonaws.com", _OBJECTS, SOURCE),
    # https://docs.aws.amazon.com/firehose/latest/APIReference/API_DeliveryStreamEncryptionConfigurationInput.html
    "firehose": ServiceUse(
        "firehose",
        creation=(*_OBJECTS, DESCRIBE_KEY),
        creates_grants=True,
        grant_operations=("Decrypt", "GenerateDataKey", "DescribeKey", "RetireGrant"),
        resources={"AWS::KinesisFirehose::DeliveryStream": ("deliveryStreamEncryptionConfigurationInput",)},
    ),
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html
    "scheduler": ServiceUse(
        "scheduler",
        through=(DECRYPT,),
        creation=(*_OBJECTS, DESCRIBE_KEY),
        resources={"AWS::Scheduler::Schedule": ("kmsKeyArn",)},
    ),
}
"""Name, as the ``allow_…`` methods take it -> its row."""
