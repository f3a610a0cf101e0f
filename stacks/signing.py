"""Signatures by a key that never leaves KMS."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import KeyLifecycle, PublicKeyExport, Signer, SigningKey
from stacks import ReferenceStack, instance_role, outputs


class SigningStack(ReferenceStack):
    """Messages signed by one role's function, verified by another's or with the published key, with one algorithm."""

    NAME = "KmsPatterns-Signing"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = SigningKey(self, "Key", alias="messages", lifecycle=lifecycle)
        signer = Signer(self, "Signer", signing_key=key)
        export = PublicKeyExport(self, "Export", keys={"messages": key}, lifecycle=lifecycle)
        author, reader = instance_role(self, "Author"), instance_role(self, "Reader")
        signer.grant_sign(author)
        signer.grant_verify(reader)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "PublicKeyUrl": export.url("messages"),
                "SignFunctionName": signer.sign_function.function_name,
                "VerifyFunctionName": signer.verify_function.function_name,
                "SignRoleArn": signer.sign_role.role_arn,
                "VerifyRoleArn": signer.verify_role.role_arn,
                "AuthorRoleArn": author.role_arn,
                "ReaderRoleArn": reader.role_arn,
            },
        )
