"""Statements of a bucket policy that keep every object under one KMS key, and the ids that they carry.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import aws_iam as iam

from kms_patterns.policy.actions import S3_PUT_OBJECT

SID_DENY_OTHER_KEY: Final = "DenyUploadUnderAnotherKey"
SID_DENY_AWS_MANAGED_KEY: Final = "DenyUploadUnderTheAwsManagedKey"
SID_DENY_OTHER_ENCRYPTION: Final = "DenyUploadWithoutSseKms"
SID_DENY_CUSTOMER_KEY: Final = "DenyUploadUnderCustomerProvidedKey"

_ENCRYPTION: Final = "s3:x-amz-server-side-encryption"
_KEY_ID: Final = "s3:x-amz-server-side-encryption-aws-kms-key-id"
_CUSTOMER_ALGORITHM: Final = "s3:x-amz-server-side-encryption-customer-algorithm"


def only_under_key(objects_arn: str, key_names: Sequence[str]) -> list[iam.PolicyStatement]:
    """Return the statements that deny an upload under any other key than one.

    An upload that names no encryption falls to the bucket's default, which is this key: ``Null`` lets it pass. One that
    names ``aws:kms`` and no key does not: S3 would take the AWS managed key ``aws/s3``, which administrators may use.

    Args:
        objects_arn: All objects of the bucket.
        key_names: The key, as uploads may name it in ``x-amz-server-side-encryption-aws-kms-key-id``: its ARN, its id,
            its aliases. S3 compares what the request says, not what it resolves to.
    """
    return [
        _deny(SID_DENY_OTHER_KEY, objects_arn, _given_other_than(_KEY_ID, list(key_names))),
        _deny(
            SID_DENY_AWS_MANAGED_KEY,
            objects_arn,
            {"StringEquals": {_ENCRYPTION: "aws:kms"}, "Null": {_KEY_ID: "true"}},
        ),
        _deny(SID_DENY_OTHER_ENCRYPTION, objects_arn, _given_other_than(_ENCRYPTION, "aws:kms")),
        _deny(SID_DENY_CUSTOMER_KEY, objects_arn, {"Null": {_CUSTOMER_ALGORITHM: "false"}}),
    ]


def _given_other_than(key: str, value: str | list[str]) -> Mapping[str, Mapping[str, str | list[str]]]:
    return {"StringNotEquals": {key: value}, "Null": {key: "false"}}


def _deny(sid: str, objects_arn: str, conditions: Mapping[str, Mapping[str, str | list[str]]]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid,
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=[S3_PUT_OBJECT],
        resources=[objects_arn],
        conditions=conditions,
    )
