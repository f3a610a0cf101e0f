"""Small secrets from outsiders: the public key for anyone, the private key for one function."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import KeyLifecycle, PublicKeyExport, RsaEncryptionKey, SecretCipher
from stacks import ReferenceStack, cipher_outputs, instance_role, outputs

ALGORITHM = "RSAES_OAEP_SHA_256"


class PublicKeyStack(ReferenceStack):
    """Direct RSA: the public key is published, anyone encrypts up to 318 bytes, one function decrypts."""

    NAME = "KmsPatterns-PublicKey"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = RsaEncryptionKey(self, "Key", alias="partners", lifecycle=lifecycle)
        export = PublicKeyExport(
            self, "Export", keys={"partners": key}, algorithms={"partners": [ALGORITHM]}, lifecycle=lifecycle
        )
        cipher = SecretCipher(self, "Cipher", encryption_key=key, encryption_algorithm=ALGORITHM)
        writer, reader = instance_role(self, "Writer"), instance_role(self, "Reader")
        cipher.grant_encrypt(writer)
        cipher.grant_decrypt(reader)
        outputs(self, cipher_outputs(key, cipher))
        outputs(
            self,
            {
                "PublicKeyUrl": export.url("partners"),
                "PublicKeyBucketName": export.bucket.bucket_name,
                "PublishFunctionName": export.publish_function.function_name,
                "PublishRoleArn": export.publish_role.role_arn,
                "ServeRoleArn": export.serve_role.role_arn,
                "WriterRoleArn": writer.role_arn,
                "ReaderRoleArn": reader.role_arn,
            },
        )
