"""S3 objects under a key: a role that uploads, one that downloads, one that does both."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import EncryptedBucket, EncryptionKey, KeyLifecycle
from stacks import ReferenceStack, acknowledge_bucket, instance_role, outputs


class DocumentsStack(ReferenceStack):
    """S3: one instance role uploads, one downloads, one does both."""

    NAME = "KmsPatterns-S3"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = EncryptionKey(self, "Key", alias="documents", lifecycle=lifecycle)
        bucket = EncryptedBucket(self, "Bucket", encryption_key=key)
        uploader = instance_role(self, "Uploader")
        downloader = instance_role(self, "Downloader")
        read_write = instance_role(self, "ReadWrite")
        bucket.grant_upload(uploader, multipart=True)
        bucket.grant_download(downloader)
        bucket.grant_upload(read_write, multipart=True)
        bucket.grant_download(read_write)
        acknowledge_bucket(bucket, uploader, downloader, read_write)
        outputs(
            self,
            {
                "BucketName": bucket.bucket_name,
                "KeyArn": key.key_arn,
                "UploaderRoleArn": uploader.role_arn,
                "DownloaderRoleArn": downloader.role_arn,
                "ReadWriteRoleArn": read_write.role_arn,
            },
        )
