"""Releases signed as they are uploaded; anyone who downloads them checks the signature without AWS."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import CodeSigner, EncryptedBucket, EncryptionKey, SigningKey

app = cdk.App()
stack = cdk.Stack(app, "Releases")

releases = EncryptedBucket(stack, "Bucket", encryption_key=EncryptionKey(stack, "StorageKey"))
signer = CodeSigner(stack, "Signer", signing_key=SigningKey(stack, "Key", alias="releases"), artifacts=releases)
releases.grant_upload(iam.Role(stack, "Build", assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com")))

app.synth()
