"""The role that creates an app's resources: AWS CloudFormation's, from the bootstrap of the CDK."""

import tempfile
from collections.abc import Sequence
from functools import cache
from typing import Final
from weakref import WeakKeyDictionary

from aws_cdk import (
    App,
    CfnWaitConditionHandle,
    CliCredentialsStackSynthesizer,
    DefaultStackSynthesizer,
    Environment,
    Fn,
    LegacyStackSynthesizer,
    NestedStack,
    Stack,
    StackSynthesizer,
    Token,
)

from kms_patterns.keys.errors import DeployerUnknown

_QUALIFIER = "@aws-cdk/core:bootstrapQualifier"


_AS_CALLER: Final = (CliCredentialsStackSynthesizer, LegacyStackSynthesizer)
# Service Catalog and stack sets deploy these stacks, as their caller. Their synthesizers have no public class.
_DEPLOYED_BY_A_SERVICE: Final = {"aws-cdk-lib.aws_servicecatalog.ProductStack", "cdk-stacksets.StackSetStack"}


def deployment_role_arn(stack: Stack) -> str | None:
    """Return the ARN of the role with which AWS CloudFormation deploys ``stack``; None if it acts as its caller.

    Raises:
        DeployerUnknown: The synthesizer is none of the AWS CDK's, and what it writes can be read at the end only.

    See https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
    """
    if stack in _ROLES:
        return _ROLES[stack]
    arn = _ROLES[stack] = _deployment_role_arn(stack)
    return arn


_ROLES: "WeakKeyDictionary[Stack, str | None]" = WeakKeyDictionary()


def _deployment_role_arn(stack: Stack) -> str | None:
    while isinstance(stack, NestedStack) and stack.nested_stack_parent is not None:
        stack = stack.nested_stack_parent
    synthesizer = stack.synthesizer
    if isinstance(synthesizer, _AS_CALLER) or getattr(type(stack), "__jsii_type__", "") in _DEPLOYED_BY_A_SERVICE:
        return None
    if not isinstance(synthesizer, DefaultStackSynthesizer):
        raise DeployerUnknown(
            f"the synthesizer of {stack.node.path} is none of the AWS CDK's, so the role with which AWS CloudFormation "
            "deploys the stack is not known, and a policy that leaves changes to the deployment would lock it out "
            "(AccessDenied)"
        )
    try:
        arn: str | None = synthesizer.cloud_formation_execution_role_arn
    except RuntimeError:
        # jsii returns the synthesizer that the app made, not the copy of it that is bound to the stack.
        account, region = (None if Token.is_unresolved(value) else value for value in (stack.account, stack.region))
        arn = _written_by(synthesizer, account, region, stack.node.try_get_context(_QUALIFIER))
    return _resolvable(arn) if arn else None


def deployers(stack: Stack, named: Sequence[str]) -> list[str | None]:
    """Return the role that deploys ``stack``, as :func:`deployment_role_arn` does; none if only the app knows it.

    Args:
        stack: The stack of a bucket.
        named: ARNs of roles that the app lets configure the bucket.

    Raises:
        DeployerUnknown: It is not known, and the app names no role.
    """
    try:
        return [deployment_role_arn(stack)]
    except DeployerUnknown as error:
        if named:
            return []
        raise DeployerUnknown(f"{error}: name it in configured_by=[…]") from error


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
