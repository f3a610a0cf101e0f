"""Releases signed where they are published."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import CodeSigner, EncryptedBucket, EncryptionKey, KeyLifecycle, PublicKeyExport, SigningKey
from stacks import ReferenceStack, acknowledge_bucket, instance_role, outputs


class CodeSigningStack(ReferenceStack):
    """What a build uploads is signed by itself; the signatures go into a bucket that the build cannot write."""

    NAME = "KmsPatterns-CodeSigning"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        storage = EncryptionKey(self, "StorageKey", alias="releases/storage", lifecycle=lifecycle)
        key = SigningKey(self, "Key", alias="releases/signing", lifecycle=lifecycle)
        artifacts = EncryptedBucket(self, "Artifacts", encryption_key=storage)
        signatures = EncryptedBucket(self, "Signatures", encryption_key=storage)
        signer = CodeSigner(self, "Signer", signing_key=key, artifacts=artifacts, signatures=signatures)
        export = PublicKeyExport(self, "Export", keys={"releases": key}, lifecycle=lifecycle)
        builder, publisher = instance_role(self, "Builder"), instance_role(self, "Publisher")
        artifacts.grant_upload(builder, multipart=True)
        artifacts.grant_download(publisher)
        signatures.grant_download(publisher)
        signer.grant_sign(publisher)
        acknowledge_bucket(artifacts, builder, publisher)
        acknowledge_bucket(signatures, publisher)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "PublicKeyUrl": export.url("releases"),
                "ArtifactsName": artifacts.bucket_name,
                "SignaturesName": signatures.bucket_name,
                "SignFunctionName": signer.function.function_name,
                "SignRoleArn": signer.role.role_arn,
                "BuilderRoleArn": builder.role_arn,
                "PublisherRoleArn": publisher.role_arn,
            },
        )
