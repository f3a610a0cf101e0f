"""A bucket for documents: one role uploads, another downloads, an administrator can do neither."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptedBucket, EncryptionKey

app = cdk.App()
stack = cdk.Stack(app, "Documents")
instances = iam.ServicePrincipal("ec2.amazonaws.com")

key = EncryptionKey(stack, "Key", alias="documents")
bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
bucket.grant_upload(iam.Role(stack, "Uploader", assumed_by=instances), multipart=True)
bucket.grant_download(iam.Role(stack, "Downloader", assumed_by=instances))

app.synth()
