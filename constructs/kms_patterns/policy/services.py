"""How AWS services use a customer managed key at rest: one row per service.

All of them take symmetric encryption keys only: https://docs.aws.amazon.com/kms/latest/developerguide/service-integration.html
Each row follows the page above it; wildcards there are the exact actions behind them here.
"""

from collections.abc import Mapping
from typing import Final

from kms_patterns.policy.acting_services import ACTING, SOURCE, ServiceUse
from kms_patterns.policy.actions import (
    DECRYPT,
    DESCRIBE_KEY,
    ENCRYPT,
    GENERATE_DATA_KEY,
    GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
    RE_ENCRYPT_FROM,
    RE_ENCRYPT_TO,
    RETIRE_GRANT,
)

_BLOCKS: Final = (DECRYPT, DESCRIBE_KEY, GENERATE_DATA_KEY_WITHOUT_PLAINTEXT, RE_ENCRYPT_FROM, RE_ENCRYPT_TO)
_OBJECTS: Final = (DECRYPT, GENERATE_DATA_KEY)

_STORAGE_GRANT: Final = (
    "Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
    "CreateGrant", "RetireGrant", "DescribeKey",
)  # fmt: skip

SERVICES: Final[Mapping[str, ServiceUse]] = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    "s3": ServiceUse(
        "s3",
        "s3.amazonaws.com",
        _OBJECTS,
        SOURCE,
        through=_OBJECTS,
        resources={"AWS::S3::Bucket": ("bucketEncryption",)},
    ),
    # https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    "ebs": ServiceUse(
        "ec2",
        through=(),
        creation=_BLOCKS,
        creates_grants=True,
        grant_operations=("Decrypt", "GenerateDataKeyWithoutPlaintext", "CreateGrant", "ReEncryptFrom", "ReEncryptTo"),
        resources={"AWS::EC2::Volume": ("kmsKeyId",), "AWS::EC2::Instance": ("blockDeviceMappings",)},
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html
    "rds": ServiceUse(
        "rds",
        creation=(DESCRIBE_KEY, GENERATE_DATA_KEY, DECRYPT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::RDS::DBInstance": ("kmsKeyId", "masterUserSecret")},
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.access-control.cmk-policy.html
    "performance-insights": ServiceUse(
        "rds",
        through=_OBJECTS,
        creation=(DESCRIBE_KEY, GENERATE_DATA_KEY, DECRYPT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={
            "AWS::RDS::DBInstance": ("performanceInsightsKmsKeyId",),
            "AWS::RDS::DBCluster": ("performanceInsightsKmsKeyId",),
        },
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Overview.Encryption.html
    "aurora": ServiceUse(
        "rds",
        creation=(DESCRIBE_KEY, GENERATE_DATA_KEY, DECRYPT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::RDS::DBCluster": ("kmsKeyId", "masterUserSecret")},
    ),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
    "dynamodb": ServiceUse(
        "dynamodb",
        through=(DECRYPT,),
        creation=(*_BLOCKS, ENCRYPT, GENERATE_DATA_KEY),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={
            "AWS::DynamoDB::Table": ("sseSpecification",),
            "AWS::DynamoDB::GlobalTable": ("replicas",),
        },
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
    "lambda": ServiceUse(
        "lambda",
        through=(DECRYPT,),
        creation=(DECRYPT, DESCRIBE_KEY, ENCRYPT),
        creates_grants=True,
        grant_operations=("Decrypt", "Encrypt", "DescribeKey", "RetireGrant"),
        resources={"AWS::Lambda::Function": ("kmsKeyArn",)},
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/encrypt-zip-package.html
    "lambda-code": ServiceUse(
        "lambda",
        "lambda.amazonaws.com",
        _OBJECTS,
        context="aws:lambda:FunctionArn",
        source="function:*",
        serves_itself=True,
        creation=_OBJECTS,
        resources={"AWS::Lambda::Function": ("code.sourceKmsKeyArn",)},
    ),
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    "secretsmanager": ServiceUse(
        "secretsmanager",
        through=_OBJECTS,
        creation=_OBJECTS,
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
        resources={
            "AWS::SecretsManager::Secret": ("kmsKeyId",),
            "AWS::RDS::DBInstance": ("masterUserSecret",),
            "AWS::RDS::DBCluster": ("masterUserSecret",),
        },
    ),
    # https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
    "ssm": ServiceUse("ssm", through=(DECRYPT, ENCRYPT, GENERATE_DATA_KEY)),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    "logs": ServiceUse(
        "logs",
        "logs.{region}.{suffix}",
        (DECRYPT, DESCRIBE_KEY, ENCRYPT, GENERATE_DATA_KEY, RE_ENCRYPT_FROM, RE_ENCRYPT_TO),
        context="aws:logs:arn",
        source="log-group:*",
        serves_itself=True,
        resources={"AWS::Logs::LogGroup": ("kmsKeyId",)},
    ),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "sns": ServiceUse(
        "sns",
        "sns.amazonaws.com",
        _OBJECTS,
        SOURCE,
        through=_OBJECTS,
        resources={"AWS::SNS::Topic": ("kmsMasterKeyId",)},
    ),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    "sqs": ServiceUse(
        "sqs",
        "sqs.amazonaws.com",
        _OBJECTS,
        SOURCE,
        through=_OBJECTS,
        resources={"AWS::SQS::Queue": ("kmsMasterKeyId",)},
    ),
    # https://docs.aws.amazon.com/efs/latest/ug/EFSKMS.html
    "efs": ServiceUse(
        "elasticfilesystem",
        creation=(DECRYPT, DESCRIBE_KEY, GENERATE_DATA_KEY_WITHOUT_PLAINTEXT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::EFS::FileSystem": ("kmsKeyId",)},
    ),
    # https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
    "kinesis": ServiceUse(
        "kinesis",
        through=_OBJECTS,
        creation=(DESCRIBE_KEY,),
        resources={"AWS::Kinesis::Stream": ("streamEncryption",)},
    ),
    # https://docs.aws.amazon.com/redshift/latest/mgmt/authorizing-kms-customer-managed-key.html
    "redshift": ServiceUse(
        "redshift",
        creation=(DECRYPT, DESCRIBE_KEY, ENCRYPT, GENERATE_DATA_KEY),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::Redshift::Cluster": ("kmsKeyId",)},
    ),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html
    "events": ServiceUse(
        "events",
        "events.amazonaws.com",
        (*_OBJECTS, DESCRIBE_KEY),
        SOURCE,
        through=_OBJECTS,
        creation=(*_BLOCKS, ENCRYPT),
        resources={"AWS::Events::EventBus": ("kmsKeyIdentifier",)},
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
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "events-to-topics": ServiceUse(
        "sns",
        "events.amazonaws.com",
        _OBJECTS,
        context="aws:sns:topicArn",
        source="*",
    ),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "dms-events": ServiceUse("dms", "dms.amazonaws.com", _OBJECTS, SOURCE),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "rds-events": ServiceUse("rds", "events.rds.amazonaws.com", _OBJECTS, SOURCE),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "redshift-events": ServiceUse("redshift", "redshift.amazonaws.com", _OBJECTS, SOURCE),
    # https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
    "states": ServiceUse(
        "states",
        through=_OBJECTS,
        creation=(*_OBJECTS, DESCRIBE_KEY),
        resources={"AWS::StepFunctions::StateMachine": ("encryptionConfiguration",)},
    ),
    # https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
    "ecr": ServiceUse(
        "ecr",
        creation=(DESCRIBE_KEY, RETIRE_GRANT),
        creates_grants=True,
        grant_operations=("Decrypt", "GenerateDataKey", "DescribeKey", "RetireGrant", "CreateGrant"),
        resources={"AWS::ECR::Repository": ("encryptionConfiguration",)},
    ),
    # https://docs.aws.amazon.com/aws-backup/latest/devguide/create-a-vault.html
    "backup": ServiceUse(
        "backup",
        creation=(DECRYPT, DESCRIBE_KEY, GENERATE_DATA_KEY, RETIRE_GRANT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::Backup::BackupVault": ("encryptionKeyArn",)},
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html: code and data of new resources.
    "s3-sources": ServiceUse("s3", creation=(DECRYPT,)),
    **ACTING,
}
"""Name, as the ``allow_…`` methods take it -> its row."""

UNBOUND: Final[Mapping[str, str]] = {
    # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
    "AWS::CloudTrail::EventDataStore": "cloudtrail.amazonaws.com",
}
"""CloudFormation type -> service that uses its key without a source: no statement could bind it to one account."""

LAUNCHED: Final[Mapping[str, str]] = {
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
    "AWS::EC2::LaunchTemplate": "ebs",
}
"""CloudFormation type of a template -> service under whose row its launches need the key, by the role that launches."""

BY_ROLE: Final[Mapping[str, tuple[str, ...]]] = {
    # https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-kms.html
    "AWS::CodeBuild::Project": ("encryptionKey",),
    # https://docs.aws.amazon.com/codepipeline/latest/userguide/S3-artifact-encryption.html
    "AWS::CodePipeline::Pipeline": ("artifactStore", "artifactStores"),
    # https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
    "AWS::KinesisFirehose::DeliveryStream": ("extendedS3DestinationConfiguration", "s3DestinationConfiguration"),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-config-for-kms-objects.html
    "AWS::S3::Bucket": ("replicationConfiguration",),
}
"""CloudFormation type -> properties with a key that only the role of the resource uses, which its construct grants."""
