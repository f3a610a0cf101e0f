"""The role that creates an app's resources: AWS CloudFormation's, from the bootstrap of the CDK."""

from functools import cache

from aws_cdk import DefaultStackSynthesizer, Fn, NestedStack, Stack


def deployment_role_arn(stack: Stack) -> str | None:
    """Return the ARN of the role with which AWS CloudFormation deploys ``stack``; None where that is not known.

    See https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
    """
    while isinstance(stack, NestedStack) and stack.nested_stack_parent is not None:
        stack = stack.nested_stack_parent
    synthesizer = stack.synthesizer
    if not isinstance(synthesizer, DefaultStackSynthesizer):
        return None
    return _resolvable(synthesizer.cloud_formation_execution_role_arn)


@cache
def _resolvable(arn: str) -> str:
    # One token for one role: grants to it are recognized by its ARN.
    return Fn.sub(arn) if "${AWS::" in arn else arn
