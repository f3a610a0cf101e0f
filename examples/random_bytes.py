"""Random bytes from the hardware security modules of AWS KMS, for one role."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import RandomBytes

app = cdk.App()
stack = cdk.Stack(app, "Seeds")
instances = iam.ServicePrincipal("ec2.amazonaws.com")

seeds = RandomBytes(stack, "Seeds")
seeds.grant_generate(iam.Role(stack, "Seeder", assumed_by=instances))

app.synth()
