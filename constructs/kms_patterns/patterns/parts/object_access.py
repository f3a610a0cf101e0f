"""Grants on the objects of any bucket: ours narrow themselves, for others the actions are written out."""

from collections.abc import Sequence

from aws_cdk import aws_iam, aws_kms, aws_s3

from kms_patterns.keys.encryption_key import EncryptionKey
from kms_patterns.patterns.encrypted_bucket import EncryptedBucket


def grant_object_download(
    bucket: aws_s3.IBucket, grantee: aws_iam.IGrantable, *, versions: bool = False, objects: Sequence[str] = ("*",)
) -> None:
    """Allow ``grantee`` to get the objects of ``bucket``, decrypted by S3 under the bucket's key if it has one.

    Args:
        bucket: Any bucket.
        grantee: A role, or anything that has one.
        versions: Whether versions may be named, ``s3:GetObjectVersion``, which reads deleted and overwritten objects.
        objects: Keys of the objects, or patterns of them.
    """
    if versions:
        _grant(bucket, grantee, objects, "s3:GetObjectVersion")
    if isinstance(bucket, EncryptedBucket):
        for pattern in objects:
            bucket.grant_download(grantee, objects_key_pattern=pattern).assert_success()
        return
    _grant(bucket, grantee, objects, "s3:GetObject")
    _grant_key(bucket.encryption_key, grantee, "kms:Decrypt")


def grant_object_upload(
    bucket: aws_s3.IBucket, grantee: aws_iam.IGrantable, *, multipart: bool = True, objects: Sequence[str] = ("*",)
) -> None:
    """Allow ``grantee`` to put objects into ``bucket``, under the bucket's key if it has one.

    Args:
        bucket: Any bucket.
        grantee: A role, or anything that has one.
        multipart: Whether in parts, too.
        objects: Keys of the objects, or patterns of them.
    """
    if isinstance(bucket, EncryptedBucket):
        for pattern in objects:
            bucket.grant_upload(grantee, multipart=multipart, objects_key_pattern=pattern).assert_success()
        return
    _grant(bucket, grantee, objects, *(["s3:AbortMultipartUpload"] if multipart else []), "s3:PutObject")
    # S3 decrypts the parts when it joins them.
    _grant_key(bucket.encryption_key, grantee, *(["kms:Decrypt"] if multipart else []), "kms:GenerateDataKey")


def _grant(bucket: aws_s3.IBucket, grantee: aws_iam.IGrantable, objects: Sequence[str], *actions: str) -> None:
    arns = [bucket.arn_for_objects(pattern) for pattern in objects]
    aws_iam.Grant.add_to_principal_or_resource(
        grantee=grantee, actions=list(actions), resource_arns=arns, resource=bucket
    ).assert_success()


def _grant_key(key: aws_kms.IKey | None, grantee: aws_iam.IGrantable, *actions: str) -> None:
    if key is None:
        return
    if not isinstance(key, EncryptionKey):
        key.grant(grantee, *actions).assert_success()
        return
    if "kms:Decrypt" in actions:
        key.grant_decrypt(grantee, via_service="s3").assert_success()
    if "kms:GenerateDataKey" in actions:
        key.grant_generate_data_key(grantee, via_service="s3").assert_success()
