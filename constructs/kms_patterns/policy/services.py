"""How AWS services use a customer managed key at rest: one row per service.

All of them take symmetric encryption keys only: https://docs.aws.amazon.com/kms/latest/developerguide/service-integration.html
Each row follows the encryption page of its service's guide; wildcards there are the exact actions behind them here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

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

SOURCE: Final = ("aws:SourceAccount", "aws:SourceArn")
SOURCE_KEYS: Final = (*SOURCE, "aws:SourceOrgID", "aws:SourceOrgPaths")
"""Conditions on the resource for which a service acts: without one, it can be led to act for anybody's."""

_BLOCKS: Final = (DECRYPT, DESCRIBE_KEY, GENERATE_DATA_KEY_WITHOUT_PLAINTEXT, RE_ENCRYPT_FROM, RE_ENCRYPT_TO)
_OBJECTS: Final = (DECRYPT, GENERATE_DATA_KEY)


@dataclass(frozen=True)
class ServiceUse:
    """One service's use of a key.

    Attributes:
        host: First label of its ``kms:ViaService`` value.
        principal: Its service principal, ``{region}`` for the Region, where it acts for itself; else None.
        principal_actions: What it does then.
        sources: Conditions on its source that it supports.
        context: Name in the encryption context that holds the ARN of its resource, where that binds it instead.
        through: What who works with its resources must be allowed through it.
        creation: What who creates its resources must be allowed through it, besides.
        creates_grants: Whether who creates its resources makes a KMS grant for it.
        grant_operations: Operations that this grant may hold.
        resources: CloudFormation type -> property that names the key (a dotted path).
    """

    host: str
    principal: str | None = None
    principal_actions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    context: str | None = None
    through: tuple[str, ...] = ()
    creation: tuple[str, ...] = ()
    creates_grants: bool = False
    grant_operations: tuple[str, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)


_STORAGE_GRANT: Final = (
    "Encrypt",
    "Decrypt",
    "ReEncryptFrom",
    "ReEncryptTo",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
)

SERVICES: Final[Mapping[str, ServiceUse]] = {
    "s3": ServiceUse(
        "s3", "s3.amazonaws.com", _OBJECTS, SOURCE, through=_OBJECTS, resources={"AWS::S3::Bucket": "bucketEncryption"}
    ),
    "ebs": ServiceUse(
        "ec2",
        through=(),
        creation=_BLOCKS,
        creates_grants=True,
        grant_operations=("Decrypt", "GenerateDataKeyWithoutPlaintext", "CreateGrant", "ReEncryptFrom", "ReEncryptTo"),
        resources={"AWS::EC2::Volume": "kmsKeyId"},
    ),
    "rds": ServiceUse(
        "rds",
        creation=(DESCRIBE_KEY, GENERATE_DATA_KEY, DECRYPT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::RDS::DBInstance": "kmsKeyId"},
    ),
    "aurora": ServiceUse(
        "rds",
        creation=(DESCRIBE_KEY, GENERATE_DATA_KEY, DECRYPT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::RDS::DBCluster": "kmsKeyId"},
    ),
    "dynamodb": ServiceUse(
        "dynamodb",
        through=(DECRYPT,),
        creation=(
            DECRYPT,
            DESCRIBE_KEY,
            ENCRYPT,
            GENERATE_DATA_KEY,
            GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
            RE_ENCRYPT_FROM,
            RE_ENCRYPT_TO,
        ),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={
            "AWS::DynamoDB::Table": "sseSpecification",
            "AWS::DynamoDB::GlobalTable": "replicas",
        },
    ),
    "lambda": ServiceUse(
        "lambda",
        through=(DECRYPT,),
        creation=(DECRYPT, DESCRIBE_KEY, ENCRYPT),
        creates_grants=True,
        grant_operations=("Decrypt", "Encrypt", "DescribeKey", "RetireGrant"),
        resources={"AWS::Lambda::Function": "kmsKeyArn"},
    ),
    "secretsmanager": ServiceUse(
        "secretsmanager", through=_OBJECTS, creation=_OBJECTS, resources={"AWS::SecretsManager::Secret": "kmsKeyId"}
    ),
    "ssm": ServiceUse("ssm", through=(DECRYPT, ENCRYPT, GENERATE_DATA_KEY)),
    "logs": ServiceUse(
        "logs",
        "logs.{region}.amazonaws.com",
        (DECRYPT, DESCRIBE_KEY, ENCRYPT, GENERATE_DATA_KEY, RE_ENCRYPT_FROM, RE_ENCRYPT_TO),
        context="aws:logs:arn",
        resources={"AWS::Logs::LogGroup": "kmsKeyId"},
    ),
    "sns": ServiceUse(
        "sns", "sns.amazonaws.com", _OBJECTS, SOURCE, through=_OBJECTS, resources={"AWS::SNS::Topic": "kmsMasterKeyId"}
    ),
    "sqs": ServiceUse(
        "sqs", "sqs.amazonaws.com", _OBJECTS, SOURCE, through=_OBJECTS, resources={"AWS::SQS::Queue": "kmsMasterKeyId"}
    ),
    "efs": ServiceUse(
        "elasticfilesystem",
        creation=(DECRYPT, DESCRIBE_KEY, GENERATE_DATA_KEY_WITHOUT_PLAINTEXT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::EFS::FileSystem": "kmsKeyId"},
    ),
    "kinesis": ServiceUse(
        "kinesis",
        through=_OBJECTS,
        creation=(DESCRIBE_KEY,),
        resources={"AWS::Kinesis::Stream": "streamEncryption"},
    ),
    "redshift": ServiceUse(
        "redshift",
        creation=(DECRYPT, DESCRIBE_KEY, GENERATE_DATA_KEY),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::Redshift::Cluster": "kmsKeyId"},
    ),
    "events": ServiceUse("events", "events.amazonaws.com", (*_OBJECTS, DESCRIBE_KEY), SOURCE, through=_OBJECTS),
    "states": ServiceUse(
        "states",
        through=_OBJECTS,
        creation=(*_OBJECTS, DESCRIBE_KEY),
        resources={"AWS::StepFunctions::StateMachine": "encryptionConfiguration"},
    ),
    "ecr": ServiceUse(
        "ecr",
        creation=(DESCRIBE_KEY, RETIRE_GRANT),
        creates_grants=True,
        grant_operations=("Decrypt", "GenerateDataKey", "DescribeKey", "RetireGrant", "CreateGrant"),
        resources={"AWS::ECR::Repository": "encryptionConfiguration"},
    ),
    "backup": ServiceUse(
        "backup",
        creation=(DECRYPT, DESCRIBE_KEY, GENERATE_DATA_KEY, RETIRE_GRANT),
        creates_grants=True,
        grant_operations=_STORAGE_GRANT,
        resources={"AWS::Backup::BackupVault": "encryptionKeyArn"},
    ),
}
"""Name, as the ``allow_…`` methods take it -> its row."""


def by_host(host: str) -> str:
    """Return the name of the service whose ``kms:ViaService`` value begins with ``host``."""
    return next(name for name, use in SERVICES.items() if use.host == host)


def at_rest(kind: str) -> str | None:
    """Return the name of the service that encrypts resources of a CloudFormation type at rest."""
    return next((name for name, use in SERVICES.items() if kind in use.resources), None)
