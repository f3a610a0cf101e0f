"""Two stacks that are destroyed and deployed again: one whose key and bucket stay, one that leaves nothing."""

import os

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptedBucket, EncryptionKey, KeyLifecycle
from kms_patterns.patterns.public_bucket import PublicBucket

app = cdk.App()
env = cdk.Environment(account=os.environ["CDK_DEFAULT_ACCOUNT"], region="us-east-1")
for name, lifecycle in (("Kept", KeyLifecycle.RETAIN), ("Trial", KeyLifecycle.EPHEMERAL)):
    stack = cdk.Stack(app, name, env=env)
    trial = lifecycle is KeyLifecycle.EPHEMERAL
    key = EncryptionKey(stack, "Key", alias="documents", lifecycle=lifecycle)
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key, **({"auto_delete_objects": True} if trial else {}))
    user = iam.Role(stack, "User", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    bucket.grant_upload(user)
    bucket.grant_download(user)
    published = PublicBucket(stack, "Published", publisher=user, lifecycle=lifecycle)
    published.grant_put(user)
    values = {"KeyId": key.key_id, "BucketName": bucket.bucket_name, "UserArn": user.role_arn}
    for output, value in (values | {"PublishedName": published.bucket_name}).items():
        cdk.CfnOutput(stack, output, value=value)

app.synth()
