"""The role that creates an app's resources: AWS CloudFormation's, from the bootstrap of the CDK."""

import tempfile
from functools import cache

from aws_cdk import (
    App,
    CfnWaitConditionHandle,
    DefaultStackSynthesizer,
    Environment,
    Fn,
    NestedStack,
    Stack,
    StackSynthesizer,
    Token,
)

_QUALIFIER = "@aws-cdk/core:bootstrapQualifier"


def deployment_role_arn(stack: Stack) -> str | None:
    """Return the ARN of the role with which AWS CloudFormation deploys ``stack``; None if the synthesizer has none.

    See https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
    """
    while isinstance(stack, NestedStack) and stack.nested_stack_parent is not None:
        stack = stack.nested_stack_parent
    synthesizer = stack.synthesizer
    if not isinstance(synthesizer, DefaultStackSynthesizer):
        return None
    try:
        arn: str | None = synthesizer.cloud_formation_execution_role_arn
    except RuntimeError:
        # jsii returns the synthesizer that the app made, not the copy of it that is bound to the stack.
        account, region = (None if Token.is_unresolved(value) else value for value in (stack.account, stack.region))
        arn = _written_by(synthesizer, account, region, stack.node.try_get_context(_QUALIFIER))
    return _resolvable(arn) if arn else None


@cache
def _written_by(
    synthesizer: StackSynthesizer, account: str | None, region: str | None, qualifier: str | None
) -> str | None:
    """Return the role that ``synthesizer`` writes into the manifest of a stack in this account and Region."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(outdir=folder, analytics_reporting=False, context={_QUALIFIER: qualifier} if qualifier else None)
        stack = Stack(app, "Stack", env=Environment(account=account, region=region), synthesizer=synthesizer)
        CfnWaitConditionHandle(stack, "Handle")
        return app.synth().get_stack_by_name("Stack").cloud_formation_execution_role_arn


@cache
def _resolvable(arn: str) -> str:
    # One token for one role: grants to it are recognized by its ARN.
    return Fn.sub(arn) if "${AWS::" in arn else arn
