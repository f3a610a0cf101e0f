"""Key pairs made by KMS, with the private keys encrypted under a symmetric key."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import DataKeyPairs, EncryptionKey, KeyLifecycle
from stacks import ReferenceStack, instance_role, outputs


class DataKeyPairsStack(ReferenceStack):
    """Data key pairs: one role has them made, one signs with them, one decrypts with them."""

    NAME = "KmsPatterns-DataKeyPairs"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = EncryptionKey(self, "Key", alias="pairs", lifecycle=lifecycle)
        pairs = DataKeyPairs(
            self,
            "Pairs",
            encryption_key=key,
            required_context=["tenant"],
            pair_specs=["ECC_NIST_P256", "RSA_2048"],
            retry_time=cdk.Duration.seconds(3),
        )
        maker, signer, reader = (instance_role(self, name) for name in ("Maker", "Signer", "Reader"))
        pairs.grant_generate(maker)
        pairs.grant_sign(signer)
        pairs.grant_decrypt(reader)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "GenerateFunctionName": pairs.generate_function.function_name,
                "SignFunctionName": pairs.sign_function.function_name,
                "DecryptFunctionName": pairs.decrypt_function.function_name,
                "GenerateRoleArn": pairs.generate_role.role_arn,
                "SignRoleArn": pairs.sign_role.role_arn,
                "DecryptRoleArn": pairs.decrypt_role.role_arn,
                "MakerRoleArn": maker.role_arn,
                "SignerRoleArn": signer.role_arn,
                "ReaderRoleArn": reader.role_arn,
            },
        )
