"""Statements of a bucket policy that keep every object under one KMS key, and the ids that they carry.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

from collections.abc import Mapping, Sequence
from typing import Final

from kms_patterns.policy.actions import (
    S3_CONFIGURATION,
    S3_DELETE_OBJECT_VERSION,
    S3_PUT_OBJECT,
    S3_REPLICATE_OBJECT,
    S3_UPDATE_OBJECT_ENCRYPTION,
)
from kms_patterns.policy.conditions import Conditions, not_deploying
from kms_patterns.policy.statements import Document

SID_DENY_OTHER_KEY: Final = "DenyUploadUnderAnotherKey"
SID_DENY_AWS_MANAGED_KEY: Final = "DenyUploadUnderTheAwsManagedKey"
SID_DENY_OTHER_ENCRYPTION: Final = "DenyUploadWithoutSseKms"
SID_DENY_CUSTOMER_KEY: Final = "DenyUploadUnderCustomerProvidedKey"
SID_DENY_CONFIGURATION: Final = "DenyConfigurationExceptByDeployment"
SID_DENY_TAKING_BACK: Final = "DenyFormerVersionsToReturn"

_ENCRYPTION: Final = "s3:x-amz-server-side-encryption"
_KEY_ID: Final = "s3:x-amz-server-side-encryption-aws-kms-key-id"
_UPLOADS: Final = (S3_PUT_OBJECT, S3_REPLICATE_OBJECT)
_CUSTOMER_ALGORITHM: Final = "s3:x-amz-server-side-encryption-customer-algorithm"


def only_under_key(objects_arn: str, key_names: Sequence[str]) -> list[Document]:
    """Return the statements that deny an upload, or a replica that arrives, under any other key than one.

    An upload that names no encryption falls to the bucket's default, which is this key: ``Null`` lets it pass. One that
    names ``aws:kms`` and no key does not: S3 would take the AWS managed key ``aws/s3``, which administrators may use.

    Args:
        objects_arn: All objects of the bucket.
        key_names: The key, as uploads may name it in ``x-amz-server-side-encryption-aws-kms-key-id``: its ARN, its id,
            its aliases. S3 compares what the request says, not what it resolves to.
    """
    return [
        _deny(
            SID_DENY_OTHER_KEY,
            [*_UPLOADS, S3_UPDATE_OBJECT_ENCRYPTION],
            objects_arn,
            _given_other_than(_KEY_ID, list(key_names)),
        ),
        _deny(
            SID_DENY_AWS_MANAGED_KEY,
            _UPLOADS,
            objects_arn,
            {"StringEquals": {_ENCRYPTION: "aws:kms"}, "Null": {_KEY_ID: "true"}},
        ),
        _deny(SID_DENY_OTHER_ENCRYPTION, _UPLOADS, objects_arn, _given_other_than(_ENCRYPTION, "aws:kms")),
        _deny(SID_DENY_CUSTOMER_KEY, _UPLOADS, objects_arn, {"Null": {_CUSTOMER_ALGORITHM: "false"}}),
    ]


def configured_by_deployment(bucket_arn: str, deployers: Sequence[str | None], others: Sequence[str]) -> Document:
    """Return the statement that leaves the bucket's encryption, policy, replication and deletion to its deployment.

    Without it, an administrator would change the default encryption and read every later upload. S3 lets the root user
    of the bucket's account change the bucket policy nevertheless.

    Args:
        bucket_arn: The bucket.
        deployers: ARN of the role with which AWS CloudFormation deploys the bucket; None if it acts as its caller.
        others: ARNs of further roles or users that may do so.

    See https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
    """
    return _deny(SID_DENY_CONFIGURATION, S3_CONFIGURATION, bucket_arn, not_deploying(deployers, others))


def former_versions_stay_former(objects_arn: str, deployers: Sequence[str | None], others: Sequence[str]) -> Document:
    """Return the statement that leaves the deletion of versions to the deployment.

    Without the current version, S3 serves the one before: what was withdrawn would return.

    Args:
        objects_arn: All objects of the bucket.
        deployers: As for ``configured_by_deployment``.
        others: As for ``configured_by_deployment``.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html
    """
    return _deny(SID_DENY_TAKING_BACK, [S3_DELETE_OBJECT_VERSION], objects_arn, not_deploying(deployers, others))


def _given_other_than(key: str, value: str | list[str]) -> Mapping[str, Mapping[str, str | list[str]]]:
    return {"StringNotEquals": {key: value}, "Null": {key: "false"}}


def _deny(sid: str, actions: Sequence[str], resource: str, conditions: Conditions) -> Document:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": list(actions),
        "Resource": resource,
        "Condition": conditions,
    }
