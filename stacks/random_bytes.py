"""Random bytes from KMS, which uses no key for them."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import KeyLifecycle, RandomBytes
from stacks import ReferenceStack, instance_role, outputs


class RandomBytesStack(ReferenceStack):
    """One role may have random bytes made; nothing else may be asked of the function's role."""

    NAME = "KmsPatterns-RandomBytes"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        seeds = RandomBytes(self, "Seeds")
        seeder = instance_role(self, "Seeder")
        seeds.grant_generate(seeder)
        outputs(
            self,
            {
                "GenerateFunctionName": seeds.function.function_name,
                "GenerateRoleArn": seeds.role.role_arn,
                "SeederRoleArn": seeder.role_arn,
            },
        )
