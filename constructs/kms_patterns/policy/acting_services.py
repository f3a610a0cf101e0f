"""Rows of the table of services for those that act for themselves, on resources that the key encrypts already.

A key under a topic, a queue or a bucket must let the service in that publishes, sends or delivers there. Each row
follows the page above it; the source binds the service to one account.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
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

SOURCE: Final = ("aws:SourceAccount", "aws:SourceArn")
"""Conditions on the resource for which a service acts: without one, any account can make it act."""
ENCRYPTION: Final = "ENCRYPT_DECRYPT"


@dataclass(frozen=True)
class ServiceUse:
    """One service's use of a key.

    Attributes:
        host: First label of its ``kms:ViaService`` value.
        principal: Its service principal, ``{region}`` for the Region, where it acts for itself; else None.
        principal_actions: What it does then.
        sources: Conditions on its source that it supports.
        context: Name in the encryption context that holds the ARN of its resource, where that binds it instead.
        source: Resource part of this ARN, or of ``aws:SourceArn`` where that is the only source that it sends.
        assumes: Whether it assumes a role of its user's, which then calls AWS KMS itself: ``kms:ViaService`` is not in
            such a request, the context binds it.
        by_role: Whether the role of a resource must be allowed through it what its users must.
        serves_itself: Whether it acts for itself as soon as a resource is under the key.
        usage: Key usage that it needs.
        key_spec: The one key spec that it takes; None for every one of the usage.
        only_in: The one Region whose keys it takes; None for every one.
        through: What users of its resources must be allowed through it.
        creation: What the creator of its resources must be allowed through it in addition.
        creates_grants: Whether the creator of its resources makes a KMS grant for it.
        grant_operations: Operations that this grant may hold.
        resources: CloudFormation type -> properties that name the key, as dotted paths.
    """

    host: str
    principal: str | None = None
    principal_actions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    context: str | None = None
    source: str | None = None
    assumes: bool = False
    by_role: bool = False
    serves_itself: bool = False
    usage: str = ENCRYPTION
    key_spec: str | None = None
    only_in: str | None = None
    through: tuple[str, ...] = ()
    creation: tuple[str, ...] = ()
    creates_grants: bool = False
    grant_operations: tuple[str, ...] = ()
    resources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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
        resources={"AWS::CloudTrail::Trail": ("kmsKeyId",)},
    ),
    # https://docs.aws.amazon.com/config/latest/developerguide/s3-kms-key-policy.html
    "config": ServiceUse(
        "config",
        "config.amazonaws.com",
        _OBJECTS,
        SOURCE,
        serves_itself=True,
        resources={"AWS::Config::DeliveryChannel": ("s3KmsKeyArn",)},
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-V2-S3.html
    "delivery.logs": ServiceUse(
        "delivery.logs",
        "delivery.logs.amazonaws.com",
        (*_OBJECTS, DESCRIBE_KEY, ENCRYPT, RE_ENCRYPT_FROM, RE_ENCRYPT_TO),
        SOURCE,
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
    "cloudfront": ServiceUse(
        # CloudFront sends the distribution, and no account: its kms:Encrypt is for uploads, which S3 does not need.
        "cloudfront",
        "cloudfront.amazonaws.com",
        _OBJECTS,
        SOURCE[1:],
        source="distribution/*",
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/durable-encryption.html
    "lambda-durable": ServiceUse(
        "lambda",
        "lambda.amazonaws.com",
        _OBJECTS,
        context="aws:lambda:FunctionArn",
        source="function:*",
        serves_itself=True,
        by_role=True,
        through=(DECRYPT,),
        creation=(*_OBJECTS, DESCRIBE_KEY),
        resources={"AWS::Lambda::Function": ("durableConfig",)},
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    "lambda-filters": ServiceUse(
        "lambda",
        "lambda.{region}.amazonaws.com",
        (DECRYPT,),
        context="aws:lambda:FunctionArn",
        source="function:*",
        serves_itself=True,
        creation=(*_OBJECTS, DESCRIBE_KEY),
        resources={"AWS::Lambda::EventSourceMapping": ("kmsKeyArn",)},
    ),
    # Writers: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/WAFLoggingServiceRolePolicy.html
    # https://docs.aws.amazon.com/firehose/latest/APIReference/API_DeliveryStreamEncryptionConfigurationInput.html
    "firehose": ServiceUse(
        "firehose",
        through=_OBJECTS,
        creation=(*_OBJECTS, DESCRIBE_KEY),
        creates_grants=True,
        grant_operations=("Decrypt", "GenerateDataKey", "DescribeKey", "RetireGrant"),
        resources={"AWS::KinesisFirehose::DeliveryStream": ("deliveryStreamEncryptionConfigurationInput",)},
    ),
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html
    "scheduler": ServiceUse(
        "scheduler",
        # The schedule's execution role, which the page shows in an event of AWS CloudTrail.
        through=(DECRYPT,),
        context="aws:scheduler:schedule:arn",
        source="schedule/*",
        assumes=True,
        creation=(*_OBJECTS, DESCRIBE_KEY),
        resources={"AWS::Scheduler::Schedule": ("kmsKeyArn",)},
    ),
}
"""Name, as the ``allow_…`` methods take it -> its row."""

BY_DEPLOYMENT: Final = "s3-sources"
"""Row of what the role that deploys reads from a bucket to create a resource."""
ORIGINS: Final = "origins"
_LOGS: Final = (
    "has AWS write logs to {}, whose default encryption is under this key: %s. Give it an s3.Bucket under SSE-S3 "
    "(Amazon CloudFront also logs through AWS::Logs::Delivery, which this key serves)"
)
WITHOUT_KEY: Final[Mapping[str, str]] = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/enable-access-logs.html
    "logs": _LOGS % "AWS writes such logs to buckets under SSE-S3 alone, so they would be lost, or the creation fails",
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html
    "legacy-logs": _LOGS
    % (
        "CloudFront's legacy logs need ACLs, which an EncryptedBucket does not have, and a key policy statement for "
        "delivery.logs.amazonaws.com with kms:GenerateDataKey and kms:Decrypt and no condition on a source, which the "
        "logs of every account would meet (confused deputy)"
    ),
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
    ORIGINS: "reads objects of {} under this key without an origin access control, as an origin access identity or as "
    "anyone, and neither can use a KMS key (AccessDenied). Make the origin with "
    "S3BucketOrigin.with_origin_access_control(bucket)",
}
"""Uses of a bucket that no key of this package serves -> what happens, and what to do."""
NAMING: Final[Mapping[str, Mapping[str, str]]] = {
    "AWS::ApiGateway::RestApi": {"bodyS3Location": BY_DEPLOYMENT},
    "AWS::ApiGatewayV2::Api": {"bodyS3Location": BY_DEPLOYMENT},
    "AWS::AutoScaling::AutoScalingGroup": {"notificationConfigurations": "scaling"},
    "AWS::CloudFront::Distribution": {
        "distributionConfig.logging": "legacy-logs",
        "distributionConfig.origins": ORIGINS,
    },
    "AWS::CloudWatch::Alarm": {"": "cloudwatch"},
    "AWS::CloudWatch::CompositeAlarm": {"": "cloudwatch"},
    "AWS::CloudTrail::Trail": {"": "cloudtrail"},
    "AWS::Config::DeliveryChannel": {"": "config"},
    "AWS::DMS::EventSubscription": {"snsTopicArn": "dms-events"},
    "AWS::DocDB::EventSubscription": {"snsTopicArn": "rds-events"},
    "AWS::DynamoDB::Table": {"importSourceSpecification": BY_DEPLOYMENT, "kinesisStreamSpecification": "replication"},
    "AWS::DynamoDB::GlobalTable": {"replicas.kinesisStreamSpecification": "replication"},
    "AWS::EC2::FlowLog": {"": "delivery.logs"},
    "AWS::EC2::VerifiedAccessInstance": {"loggingConfigurations": "delivery.logs"},
    "AWS::ElasticLoadBalancing::LoadBalancer": {"accessLoggingPolicy": "logs"},
    "AWS::ElasticLoadBalancingV2::LoadBalancer": {"loadBalancerAttributes": "logs"},
    "AWS::ElastiCache::CacheCluster": {"notificationTopicArn": "elasticache.amazonaws.com"},
    "AWS::ElastiCache::ReplicationGroup": {"notificationTopicArn": "elasticache.amazonaws.com"},
    "AWS::Events::EventBus": {"deadLetterConfig": "events"},
    "AWS::Events::Rule": {"targets": "events"},
    "AWS::ImageBuilder::InfrastructureConfiguration": {"snsTopicArn": "image-builder"},
    "AWS::KafkaConnect::Connector": {"logDelivery": "delivery.logs"},
    "AWS::Lambda::Function": {"code": BY_DEPLOYMENT},
    "AWS::Lambda::LayerVersion": {"content": BY_DEPLOYMENT},
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html: these, and flow logs.
    "AWS::Logs::DeliveryDestination": {"destinationResourceArn": "delivery.logs"},
    "AWS::MSK::Cluster": {"loggingInfo": "delivery.logs"},
    "AWS::Neptune::EventSubscription": {"snsTopicArn": "rds-events"},
    "AWS::NetworkFirewall::LoggingConfiguration": {"loggingConfiguration": "delivery.logs"},
    "AWS::Pipes::Pipe": {"logConfiguration": "delivery.logs"},
    "AWS::RDS::EventSubscription": {"snsTopicArn": "rds-events"},
    "AWS::Redshift::EventSubscription": {"snsTopicArn": "redshift-events"},
    "AWS::Route53Resolver::ResolverQueryLoggingConfig": {"destinationArn": "delivery.logs"},
    "AWS::S3::Bucket": {"inventoryConfigurations": "s3", "loggingConfiguration": "logs"},
    "AWS::SES::ReceiptRule": {"rule": "ses"},
    "AWS::SNS::Subscription": {"endpoint": "sns"},
    "AWS::StepFunctions::StateMachine": {"definitionS3Location": BY_DEPLOYMENT},
    "AWS::Synthetics::Canary": {"code": BY_DEPLOYMENT},
    "AWS::VpcLattice::AccessLogSubscription": {"destinationArn": "delivery.logs"},
    "AWS::WAFv2::LoggingConfiguration": {"logDestinationConfigs": "delivery.logs"},
    "Custom::S3BucketNotifications": {"notificationConfiguration": "s3"},
}
"""CloudFormation type -> property that names topics, queues or buckets, empty for all -> row of their user."""
LINKED_ROLES: Final[Mapping[str, tuple[str, str]]] = {
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds_iam.html
    "replication": (
        "kinesis",
        "kinesisreplication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBKinesisDataStreamsReplication",
    ),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html: which need a role in the key policy.
    "image-builder": ("sns", "imagebuilder.amazonaws.com/AWSServiceRoleForImageBuilder"),
    "scaling": ("sns", "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"),
}
"""Row of a service that delivers by its service-linked role -> through which service, and service and name of it."""
BUCKETS_BY_NAME: Final = frozenset({BY_DEPLOYMENT, "cloudtrail", "config", "delivery.logs", "ses", *WITHOUT_KEY})
"""Rows whose properties name a bucket by its name, not by its ARN."""
